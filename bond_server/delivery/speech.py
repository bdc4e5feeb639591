"""What a client hears beside records, in each of the three ways to speak to it.

plain       a WebSocket without subprotocol: records, and nothing else, ever
envelopes   the subprotocol `bond.v1.json`:
                {"t":"hello","stream":…,"epoch":…,"oldest":…,"top":…,"recovered":true}
                {"t":"ev","id":…,"d":{record}}
                {"t":"gap","from":…,"to":…,"reason":"trimmed|epoch|slow|takeover","n":null}
                {"t":"hb","top":…,"now":1761053410123}
                {"t":"bye","code":1012,"retry_ms":[0,5000]}
events      Server-Sent Events: `retry`, unnamed records, `gap`, `problem`, `complete`, comments
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from bond_core.log.cursor import Hole
from bond_core.log.event_log import Entry
from bond_core.log.offset import Offset
from bond_core.wire import frames
from bond_server.delivery.endings import COMPLETE, RESTART, SLOW, Ending, is_retryable
from bond_server.delivery.start import Start
from bond_server.error_catalogue.catalogue import link_of

ENVELOPES = "bond.v1.json"
RETRY_MS = 2000
RESTART_RETRY_MS = (0, 5000)
_BACKOFF_MS = (1000, 30_000)

_encode = msgspec.json.Encoder().encode


class Speech(Protocol):
    """A way to speak. What it has no words for is None."""

    def record(self, entry: Entry) -> bytes:
        """Say a record."""
        ...

    def hello(self, stream_id: str, start: Start) -> bytes | None:
        """Say where the client starts, before all else."""
        ...

    def gap(self, hole: Hole) -> bytes | None:
        """Say from where to where records are missing."""
        ...

    def heartbeat(self, top: Offset, now_ms: int) -> bytes | None:
        """Show that the connection lives."""
        ...

    def bye(self, ending: Ending) -> bytes | None:
        """Say why it is over."""
        ...


class Plain:
    """Records only."""

    def record(self, entry: Entry) -> bytes:
        """See Speech."""
        return entry.data

    def hello(self, stream_id: str, start: Start) -> None:
        """Say nothing: the accepting headers did."""

    def gap(self, hole: Hole) -> None:
        """Say nothing: `notices` in the records tell what can be told."""

    def heartbeat(self, top: Offset, now_ms: int) -> None:
        """Say nothing: WebSocket has pings."""

    def bye(self, ending: Ending) -> None:
        """Say nothing: the close code does."""


class Envelopes:
    """JSON objects with a type `t`."""

    def record(self, entry: Entry) -> bytes:
        """See Speech."""
        return frames.envelope(entry)

    def hello(self, stream_id: str, start: Start) -> bytes:
        """See Speech. `recovered` is false where records that were asked for are gone."""
        return _encode({
            "t": "hello", "stream": stream_id, "epoch": start.epoch,
            "oldest": _text(start.oldest), "top": _text(start.top),
            "recovered": start.replay != "truncated",
        })  # fmt: skip

    def gap(self, hole: Hole) -> bytes:
        """See Speech. `n` would be how many, which no log knows."""
        return _encode({"t": "gap", **_ends(hole), "n": None})

    def heartbeat(self, top: Offset, now_ms: int) -> bytes:
        """See Speech."""
        return _encode({"t": "hb", "top": _text(top), "now": now_ms})

    def bye(self, ending: Ending) -> bytes:
        """See Speech. `retry_ms` is when to come back, from and to; null for never."""
        retry_ms: tuple[int, int] | None = None
        if ending == RESTART:
            retry_ms = RESTART_RETRY_MS
        elif ending == SLOW:
            retry_ms = (0, 0)
        elif is_retryable(ending):
            retry_ms = _BACKOFF_MS
        return _encode({
            "t": "bye", "code": ending.code, "reason": ending.reason, "retry_ms": retry_ms,
            "docs": link_of(ending.reason),
        })  # fmt: skip


class Events:
    """Server-Sent Events."""

    def record(self, entry: Entry) -> bytes:
        """See Speech."""
        return frames.event(entry)

    def hello(self, stream_id: str, start: Start) -> bytes:
        """Say how soon to come back; the rest the headers said."""
        return b"retry: %d\n\n" % RETRY_MS

    def gap(self, hole: Hole) -> bytes:
        """See Speech."""
        return _event("gap", _ends(hole))

    def heartbeat(self, top: Offset, now_ms: int) -> bytes:
        """Send a comment."""
        return b": hb %d\n\n" % now_ms

    def bye(self, ending: Ending) -> bytes | None:
        """Name the end; whoever only has to come back needs no word, EventSource does it."""
        if ending in (RESTART, SLOW):
            return None
        if ending == COMPLETE:
            return _event("complete", {})
        code = ending.reason
        said = {"code": code, "retryable": is_retryable(ending), "docs": link_of(code)}
        return _event("problem", said)


PLAIN, ENVELOPED, EVENTS = Plain(), Envelopes(), Events()


def _text(offset: Offset | None) -> str | None:
    return None if offset is None else str(offset)


def _ends(hole: Hole) -> dict[str, Any]:
    return {"from": str(hole.after), "to": str(hole.until), "reason": hole.reason}


def _event(name: str, data: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), _encode(data))
