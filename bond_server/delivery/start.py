"""Where in a stream's log a client starts: `from` (inclusive), `after` (exclusive), or live.

    from=now-60s | now-5m | 2025-10-21T13:30:05Z | 1761053405000
    after=1761053405000-0 | 2025-10-21T13:30:05Z | 1761053405000      wins over `from`

Times are those of windows' ends, in UTC where they name no zone.
"""

from __future__ import annotations

import re
from typing import Literal

import attrs

from bond_core.errors import Problem, RequestError
from bond_core.log.event_log import EventLog
from bond_core.log.offset import LAST_N, START, Offset, parse_offset
from bond_core.spec.duration import parse_duration_ms
from bond_core.wire.times import parse_iso

_EPOCH_MS = re.compile(r"[0-9]{1,15}")
_UNESCAPED_PLUS = re.compile(r" (?=\d\d:?\d\d$)")  # in a query a bare + arrives as a space
_DAY_MS = 86_400_000
_LONGEST = 64


@attrs.frozen(kw_only=True)
class Start:
    """Where a client starts, and what it should know of the log.

    Attributes:
        after: The position it stands after; None is the top, so that only what is new comes.
        replay: Whether all that was asked for is there still: `full`, `truncated`, or
            `none` where nothing was asked for.
        oldest: The oldest position kept; None while there is none.
        top: The newest position.
        epoch: Which life of the log this is.
        is_of_another_epoch: Whether the client was last served from another life of it.
    """

    after: Offset | None
    replay: Literal["full", "truncated", "none"]
    oldest: Offset | None
    top: Offset
    epoch: str
    is_of_another_epoch: bool = False

    def headers(self) -> dict[str, str]:
        """Return it as the headers that an accepted client gets."""
        return {
            "Bond-Epoch": self.epoch,
            "Bond-Oldest-Id": str(self.oldest or ""),
            "Bond-Top-Id": str(self.top),
            "Bond-Replay": self.replay,
        }


async def find_start(
    log: EventLog, stream_id: str, *, from_: str | None, after: str | None, now_ns: int,
    epoch: str | None = None,
) -> Start:  # fmt: skip
    """Return where a client starts that asked for `from_` and `after`.

    A client that resumes may say which `epoch` it was served from. If that is not this one, then
    what it has not seen may be gone, whatever the ids look like: its replay is truncated.

    Resuming after a time repeats that time's window where it held more than one record: the
    client may have seen only some of them.

    Raises:
        RequestError: `bad_from`: one of them is neither an id nor a time.
    """
    now_ms = now_ns // 1_000_000
    if after:
        asked = parse_offset(after) if len(after) <= _LONGEST else None
        if asked is None:
            asked = await _after_time(log, stream_id, _read_time("after", after, now_ms))
        _refuse_future("after", after, asked.ms, now_ms)
    elif from_:
        ms = _read_time("from", from_, now_ms)
        _refuse_future("from", from_, ms, now_ms)
        asked = _before(ms)
    else:
        asked = None
    page = await log.read(stream_id, START, 1)
    replay: Literal["full", "truncated", "none"] = "none"
    if asked is not None:
        is_cut = asked < (page.entries[0].prev if page.entries else page.top)
        replay = "truncated" if is_cut else "full"
    is_other = bool(after and epoch) and epoch != page.epoch
    return Start(
        after=asked,
        replay="truncated" if is_other else replay,
        oldest=page.oldest,
        top=page.top,
        epoch=page.epoch,
        is_of_another_epoch=is_other,
    )


async def _after_time(log: EventLog, stream_id: str, ms: int) -> Offset:
    """Return the position after which to go on for a client whose last record ended at `ms`."""
    page = await log.read(stream_id, _before(ms), 2)
    held = [entry.offset for entry in page.entries if entry.offset.ms == ms]
    if held:
        return held[0] if len(held) == 1 else _before(ms)
    if page.oldest is not None and ms < page.oldest.ms:
        return Offset(ms, 0)  # gone already; had it held more than one, the start says truncated
    return Offset(ms, LAST_N)


def _before(ms: int) -> Offset:
    return Offset(ms - 1, LAST_N) if ms > 0 else START


def _read_time(name: str, text: str, now_ms: int) -> int:
    """Return ms since 1970; a fraction of one counts as the next for `from`, as none for `after`.

    Raises:
        RequestError: It is no time.
    """
    if len(text) <= _LONGEST:
        if _EPOCH_MS.fullmatch(text):
            return int(text)
        if name == "from" and text.startswith("now"):
            back_ms = _read_look_back(text)
            if back_ms is not None:
                return max(0, now_ms - back_ms)
        ns = parse_iso(text)
        if ns is None:
            ns = parse_iso(_UNESCAPED_PLUS.sub("+", text))
        if ns is not None and ns >= 0:
            return -(-ns // 1_000_000) if name == "from" else ns // 1_000_000
    raise _bad(name, text, "is neither a time nor an id" if name == "after" else "is no time")


def _read_look_back(text: str) -> int | None:
    if text == "now":
        return 0
    return parse_duration_ms(text[4:]) if text.startswith("now-") else None


def _refuse_future(name: str, text: str, ms: int, now_ms: int) -> None:
    """Refuse what no clock's error explains: waiting for it would be silence without end."""
    if ms > now_ms + _DAY_MS:
        raise _bad(name, text, "is in the future")


def _bad(name: str, text: str, what: str) -> RequestError:
    shown = text[:_LONGEST]
    return RequestError(
        f"{name}={shown} {what}",
        code="bad_from",
        problems=[Problem(detail=what, text=shown)],
        fix="from=now-60s" if name == "from" else "after=1761053405000-0",
    )
