"""What the environment says about the URLs that users give."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from bond_core.plugin.addresses import PRIVATE
from bond_core.plugin.egress import EgressPolicy
from bond_core.settings import SettingsError
from bond_server.cli.serve import made_with
from bond_server.local import Bond
from bond_server.settings import read_settings

SECRET = {"BOND_SECRET": "x" * 40, "BOND_OPEN": "1"}


def policy(host="127.0.0.1", **environ):
    """Return the policy of a server that binds to a host."""
    return read_settings(SECRET | environ, host=host).egress


@pytest.mark.parametrize(
    ("host", "environ", "hosts"),
    [
        ("127.0.0.1", {}, ("*",)),
        ("192.0.2.1", {}, ()),
        ("192.0.2.1", {"BOND_EGRESS_ALLOW": "public"}, ("*",)),
        ("127.0.0.1", {"BOND_EGRESS_ALLOW": ""}, ()),
        (
            "192.0.2.1",
            {"BOND_EGRESS_ALLOW": " *.Acme.example ,api.b.example"},
            ("*.acme.example", "api.b.example"),
        ),
    ],
)
def test_which_hosts_users_may_name(host, environ, hosts):
    """Any public one on a machine of one's own; none where others come in, until it is said."""
    assert policy(host, **environ).hosts == hosts


def test_ports_and_private_networks_are_opened_by_name():
    """All the usual private ones at once by a 1."""
    plain = EgressPolicy()

    assert (policy().ports, policy().private) == (plain.ports, ())
    assert policy(BOND_EGRESS_PORTS="443, 9000").ports == {443, 9000}
    assert policy(BOND_EGRESS_PRIVATE="0").private == ()
    assert policy(BOND_EGRESS_PRIVATE="1").private == PRIVATE
    assert policy(BOND_EGRESS_PRIVATE="192.168.1.0/24,fd12::/16").private == (
        ip_network("192.168.1.0/24"), ip_network("fd12::/16"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("BOND_EGRESS_ALLOW", "https://a.example"),
        ("BOND_EGRESS_ALLOW", "*"),
        ("BOND_EGRESS_ALLOW", "*.com"),
        ("BOND_EGRESS_PORTS", "https"),
        ("BOND_EGRESS_PORTS", "0"),
        ("BOND_EGRESS_PORTS", "65536"),
        ("BOND_EGRESS_PRIVATE", "yes"),
        ("BOND_EGRESS_PRIVATE", "192.168.1.5/24"),
    ],
)
def test_what_makes_no_sense_stops_the_start(name, text):
    """With the variable's name, rather than opening more or less than was meant."""
    with pytest.raises(SettingsError) as caught:
        policy(**{name: text})
    assert [problem.pointer for problem in caught.value.problems] == [name]


def test_the_server_uses_it():
    """What was read is what guards the feeds."""
    settings = read_settings(SECRET, host="192.0.2.1")

    assert Bond(**made_with(settings)).feeds._egress.policy is settings.egress
