"""The settings of the sink `nats`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import attrs

from bond_core.plugin import Secret, setting

_URL = re.compile(
    r"(?P<scheme>nats|tls)://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:(?P<port>[0-9]{1,5}))?/?"
)
_WORD = r"(?:[A-Za-z0-9_-]|\{(?:stream_id|symbol|timeframe)\})+"
_SUBJECT = re.compile(rf"{_WORD}(?:\.{_WORD})*")
_PORT = 4222
_NO_TOKEN = re.compile(r"[^A-Za-z0-9_-]+")


def _check_url(url: str) -> None:
    if not _URL.fullmatch(url):
        raise ValueError("must be written tls://host:4222 or nats://host:4222")


def _check_subject(subject: str) -> None:
    if not _SUBJECT.fullmatch(subject):
        raise ValueError(
            "must be letters, digits, - and _ with dots between; of braces there are "
            "{stream_id}, {symbol} and {timeframe}"
        )


@attrs.frozen(kw_only=True)
class NatsConfig:
    """Which server, which subject, and as whom."""

    url: str = setting(
        doc="The server: tls://host:4222, or nats:// without TLS",
        example="tls://nats.example.com",
        check=_check_url,
    )
    subject: str = setting(
        default="bond.{stream_id}",
        doc="Where records go; {stream_id}, {symbol} and {timeframe} stand for the record's own",
        check=_check_subject,
    )
    user: str | None = setting(default=None, doc="User name")
    password: Secret | None = setting(default=None, doc="The user's password")
    token: Secret | None = setting(default=None, doc="A token in place of user and password")
    ack_within_s: float = setting(
        default=10.0, ge=1.0, le=50.0, doc="How long JetStream may take to confirm a batch"
    )

    @property
    def is_tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.url.startswith("tls:")

    @property
    def address(self) -> tuple[str, int]:
        """Return host and port."""
        found = _URL.fullmatch(self.url)
        assert found is not None  # noqa: S101 -- it was looked at when this was made
        return found["host"], int(found["port"] or _PORT)

    def subject_of(self, record: Mapping[str, Any], stream_id: str) -> str:
        """Return where a record goes. `BTC/USDT` is `BTC-USDT` there; a gap has no symbol.

        What a raw stream tells has its kind in place of a timeframe, and of a missing symbol.
        """
        kind = str(record.get("kind", "gap"))
        return self.subject.format(
            stream_id=stream_id,
            symbol=_NO_TOKEN.sub("-", str(record.get("symbol") or kind)),
            timeframe=_NO_TOKEN.sub("-", str(record.get("timeframe", kind))),
        )
