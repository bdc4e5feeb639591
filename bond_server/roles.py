"""What a server's process does: everything, or one part of it beside others.

api      REST: compiles requests, registers streams, gives tokens
worker   runs streams; over HTTP it only says how it does
broker   WebSocket and Server-Sent Events
"""

from __future__ import annotations

from typing import Literal, get_args

Role = Literal["api", "worker", "broker"]

ALL: frozenset[Role] = frozenset(get_args(Role))

PORTS: dict[str, int] = {"all": 8000, "api": 8000, "worker": 8001, "broker": 8080}
"""Where each listens unless told otherwise."""

NAMES = tuple(PORTS)


def roles_of(name: str) -> frozenset[Role]:
    """Return what `--role NAME` means."""
    return ALL if name == "all" else frozenset(role for role in get_args(Role) if role == name)
