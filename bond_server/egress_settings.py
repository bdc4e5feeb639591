"""What the environment says about the URLs that users give (`bond_core.plugin.egress`).

    BOND_EGRESS_ALLOW     hosts they may name: `public` for any, or `*.acme.example, api.b.example`
    BOND_EGRESS_PORTS     ports they may name, in place of 443, 8443, 9443
    BOND_EGRESS_PRIVATE   networks that may be reached although they aren't public, such as
                          `192.168.1.0/24`, or 1 for all private ones and loopback

A server that only this machine can reach lets its users name any public host. One that others
can reach lets them name none, until BOND_EGRESS_ALLOW is set.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network

import attrs

from bond_core.errors import Problem
from bond_core.plugin.addresses import PRIVATE, Network
from bond_core.plugin.egress import EgressPolicy, is_host_pattern
from bond_server.environment import wrong


def egress_policy(
    environ: Mapping[str, str], *, is_loopback: bool
) -> tuple[EgressPolicy, list[Problem]]:
    """Return what the environment allows, and what in it makes no sense.

    Args:
        environ: The variables.
        is_loopback: Whether only this machine can reach the server.
    """
    problems: list[Problem] = []

    def words(name: str) -> list[str]:
        listed = environ.get(name, "").lower().split(",")
        return [word.strip() for word in listed if word.strip()]

    hosts = [] if "BOND_EGRESS_ALLOW" in environ or not is_loopback else ["*"]
    for word in words("BOND_EGRESS_ALLOW"):
        if word != "public" and not is_host_pattern(word):
            problems.append(
                wrong("BOND_EGRESS_ALLOW", word, "`public`, or hosts such as *.acme.example")
            )
        hosts.append("*" if word == "public" else word)
    ports = set()
    for word in words("BOND_EGRESS_PORTS"):
        if word.isascii() and word.isdecimal() and 0 < int(word) < 65_536:
            ports.add(int(word))
        else:
            problems.append(wrong("BOND_EGRESS_PORTS", word, "ports, such as 443, 8443"))
    private: list[Network] = []
    for word in words("BOND_EGRESS_PRIVATE"):
        if word in ("1", "0"):
            private += PRIVATE if word == "1" else ()
            continue
        try:
            private.append(ip_network(word))
        except ValueError:
            problems.append(
                wrong("BOND_EGRESS_PRIVATE", word, "1, or networks such as 192.168.1.0/24")
            )
    policy = EgressPolicy(hosts=tuple(hosts), private=tuple(private))
    return attrs.evolve(policy, ports=frozenset(ports) or policy.ports), problems
