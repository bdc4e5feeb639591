"""What the environment says about sinks: which secrets and folders a spec may name."""

from __future__ import annotations

from pathlib import Path

import pytest

from bond_core.runtime.sink_policy import SinkPolicy
from bond_server.settings import read_settings
from bond_server.sink_settings import sink_policy

NAMED = {"BOND_SINK_SECRETS": "HOOK_*, TOKEN, /run/secrets", "BOND_SINK_DIR": "/var/lib/sinks"}


def policy(environ, *, is_loopback):
    """Return the policy of an environment in which nothing is wrong."""
    found, problems = sink_policy(environ, is_loopback=is_loopback)
    assert not problems
    return found


def test_on_loopback_anything_may_be_named():
    """Who may use the server may use the machine."""
    assert policy({}, is_loopback=True) == SinkPolicy()


def test_elsewhere_nothing_may_be_named_until_it_is_said():
    """A stranger's spec reads no variable and writes no file."""
    assert policy({}, is_loopback=False) == SinkPolicy(
        variables=(), secret_folders=(), folder=None, writes=False
    )


@pytest.mark.parametrize("is_loopback", [True, False])
def test_what_is_said_counts_everywhere(is_loopback):
    """Variables by pattern, folders by path."""
    assert policy(NAMED, is_loopback=is_loopback) == SinkPolicy(
        variables=("HOOK_*", "TOKEN"), secret_folders=(Path("/run/secrets"),),
        folder=Path("/var/lib/sinks"), writes=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [("BOND_SINK_DIR", "sinks"), ("BOND_SINK_SECRETS", "a b"), ("BOND_SINK_SECRETS", "a*b*")],
)
def test_what_makes_no_sense_is_told(name, value):
    """The server does not start with it."""
    _, problems = sink_policy({name: value}, is_loopback=True)

    assert [problem.pointer for problem in problems] == [name]


def test_the_servers_settings_have_it(tmp_path):
    """What a request may name comes from where the server binds to."""
    environ = {**NAMED, "BOND_DATA_DIR": str(tmp_path), "BOND_SECRET": "0123456789abcdef" * 4}

    assert read_settings(environ).defaults().sinks.variables == ("HOOK_*", "TOKEN")
