"""The settings of the sink `kafka`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import attrs

from bond_core.plugin import Secret, setting

_SERVER = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")
_TOPIC = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}")


def _check_servers(servers: Sequence[str]) -> None:
    if not servers or not all(map(_SERVER.fullmatch, servers)):
        raise ValueError("must be written host:port, and there is at least one")


def _check_topic(topic: str) -> None:
    if not _TOPIC.fullmatch(topic):
        raise ValueError("must be up to 249 letters, digits, dots, - and _")


@attrs.frozen(kw_only=True)
class KafkaConfig:
    """Which cluster, which topic, and as whom."""

    servers: tuple[str, ...] = setting(
        doc="Some of the cluster's servers, host:port each",
        example=["kafka.example.com:9093"],
        check=_check_servers,
    )
    topic: str = setting(doc="The topic; it must be there", example="bond", check=_check_topic)
    tls: bool = setting(default=True, doc="Whether connections are encrypted")
    sasl: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = setting(
        default="SCRAM-SHA-512", doc="How the user is proven, where there is one"
    )
    user: str | None = setting(default=None, doc="User name; needs a password")
    password: Secret | None = setting(default=None, doc="The user's password")
    ack_within_s: float = setting(
        default=20.0, ge=1.0, le=50.0, doc="How long the cluster may take to confirm a batch"
    )

    def __attrs_post_init__(self) -> None:
        """Refuse half of a user."""
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password go together")

    def addresses(self) -> list[tuple[str, int]]:
        """Return host and port of each server."""
        found = (_SERVER.fullmatch(server) for server in self.servers)
        return [(match[1], int(match[2])) for match in found if match is not None]
