"""Break what the venues send, on demand: frames lost, doubled, swapped, altered, or none."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Awaitable, Callable

from attrs import define, field, frozen

from bond_core.clock import NS, Clock
from bond_sim.instruments import VENUES
from bond_sim.subscriptions import Subscription

PER_FRAME = ("drop", "duplicate", "reorder", "flip")
LASTING = ("stall", "refuse")
FLIPS = ("json", "price", "nan", "inf", "checksum")


Frame = tuple[str, str]
"""A data frame: the venue's stream it belongs to, and its text."""


@frozen
class Fault:
    """One thing that goes wrong.

    drop       the next `count` data frames are not sent
    duplicate  the next `count` data frames are sent twice
    reorder    the next `count` data frames are each sent after the one that follows
    flip       the next `count` data frames are altered; `how`: `json` cuts the text short,
               `price` puts a 9 before the price, `nan` and `inf` write NaN or Infinity there,
               `checksum` makes a book's checksum wrong
    stall      no data frames, while the socket stays open and pings are answered
    refuse     HTTP requests and new WebSockets are answered 503
    close      every WebSocket is lost: without a word, or with `how` as its close code

    `channel` and `symbol` narrow the first five to one `Subscription`. Times are seconds
    after the simulator's start; `for_s` None means until it is lifted.
    """

    kind: str
    venue: str
    channel: str | None = None
    symbol: str | None = None
    count: int = 1
    how: str = ""
    at_s: float = 0.0
    for_s: float | None = None

    def __attrs_post_init__(self) -> None:
        kinds = (*PER_FRAME, *LASTING, "close")
        if self.kind not in kinds:
            raise ValueError(f"unknown fault {self.kind!r}: one of {', '.join(kinds)}")
        if self.venue not in VENUES:
            raise ValueError(f"unknown venue {self.venue!r}: one of {', '.join(VENUES)}")
        if self.kind == "flip" and self.how not in FLIPS:
            raise ValueError(f"flip cannot do {self.how!r}: one of {', '.join(FLIPS)}")
        if self.kind == "close" and not re.fullmatch(r"|[1-4]\d\d\d", self.how):
            raise ValueError(f"a close code is 1000 to 4999, was {self.how!r}")


_TEXT = re.compile(
    r"(?P<kind>\w+):(?P<venue>\w+)(?:/(?P<channel>[^/*=@+]+))?(?:/(?P<symbol>[^/*=@+]+))?"
    r"(?:\*(?P<count>\d+))?(?:=(?P<how>\w+))?"
    r"(?:@(?P<at>\d+(?:\.\d+)?(?:ms|s|m)))?(?:\+(?P<length>\d+(?:\.\d+)?(?:ms|s|m)))?"
)


def parse_fault(text: str) -> Fault:
    """Read `KIND:VENUE[/CHANNEL[/SYMBOL]][*COUNT][=HOW][@START][+LENGTH]`.

    `stall:binance@5s+10s` · `drop:okx/trades/BTC-USDT*3` · `flip:okx=price` ·
    `close:binance=1012@500ms` · `refuse:okx@1m+30s`. ValueError: it says something else.
    """
    match = _TEXT.fullmatch(text.strip())
    if match is None:
        raise ValueError(
            f"cannot read the fault {text!r}: "
            "write KIND:VENUE[/CHANNEL[/SYMBOL]][*COUNT][=HOW][@START][+LENGTH], "
            "like stall:binance@5s+10s"
        )
    said = match.groupdict()
    return Fault(
        said["kind"],
        said["venue"],
        said["channel"],
        said["symbol"],
        int(said["count"] or 1),
        said["how"] or ("json" if said["kind"] == "flip" else ""),
        _seconds(said["at"] or "0s"),
        _seconds(said["length"]) if said["length"] else None,
    )


def _seconds(text: str) -> float:
    for unit, factor in (("ms", 0.001), ("s", 1.0), ("m", 60.0)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    raise AssertionError(text)


@define(eq=False)
class _Live:
    fault: Fault
    start_ns: int
    end_ns: int | None
    left: int  # frames still to be touched; -1 for a fault that lasts
    held: list[Frame] = field(factory=list)


@define
class Faults:
    """The faults of one simulator. `done` counts, per (kind, venue), the frames they touched.

    The methods take effect at once; `add` takes a `Fault` with times of its own.
    """

    _clock: Clock
    _cut: Callable[[str, int | None], Awaitable[None]]
    start_ns: int
    done: Counter[tuple[str, str]] = field(factory=Counter)
    _live: list[_Live] = field(factory=list)

    def add(self, fault: Fault) -> None:
        """Put a fault in place, its times counted from the simulator's start."""
        if fault.kind == "close":
            raise ValueError("a close is done with close(), or given in the option 'faults'")
        self._put(fault, self.start_ns + round(fault.at_s * NS))

    def drop(
        self, venue: str, n: int = 1, *, channel: str | None = None, symbol: str | None = None
    ) -> None:
        """Do not send the next `n` data frames."""
        self._now(Fault("drop", venue, channel, symbol, n))

    def duplicate(
        self, venue: str, n: int = 1, *, channel: str | None = None, symbol: str | None = None
    ) -> None:
        """Send the next `n` data frames twice."""
        self._now(Fault("duplicate", venue, channel, symbol, n))

    def reorder(
        self, venue: str, n: int = 1, *, channel: str | None = None, symbol: str | None = None
    ) -> None:
        """Send each of the next `n` data frames after the one that follows it."""
        self._now(Fault("reorder", venue, channel, symbol, n))

    def flip(
        self,
        venue: str,
        n: int = 1,
        *,
        how: str = "json",
        channel: str | None = None,
        symbol: str | None = None,
    ) -> None:
        """Alter the next `n` data frames, as one of `FLIPS` says; see `Fault`."""
        self._now(Fault("flip", venue, channel, symbol, n, how))

    def stall(
        self,
        venue: str,
        *,
        for_s: float | None = None,
        channel: str | None = None,
        symbol: str | None = None,
    ) -> None:
        """Send no data frames, for so many seconds of the clock or until `resume`."""
        self._now(Fault("stall", venue, channel, symbol, for_s=for_s))

    def resume(self, venue: str) -> None:
        """Lift every stall of this venue."""
        self._lift("stall", venue)

    def refuse(self, venue: str, *, for_s: float | None = None) -> None:
        """Answer 503 to everything new, for so many seconds of the clock or until `accept`."""
        self._now(Fault("refuse", venue, for_s=for_s))

    def accept(self, venue: str) -> None:
        """Lift every refusal of this venue."""
        self._lift("refuse", venue)

    async def close(self, venue: str, code: int | None = None) -> None:
        """Lose every WebSocket: the TCP connection aborted, or closed with this code."""
        self.done["close", venue] += 1
        await self._cut(venue, code)

    def refuses(self, venue: str) -> bool:
        """Whether this venue answers 503 now."""
        live = [f for f in self._active(self._clock.now_ns()) if f.fault.kind == "refuse"]
        return any(f.fault.venue == venue for f in live)

    def apply(self, about: Subscription, wire: str, text: str) -> list[Frame]:
        """Return what is sent, as (wire, text), where this data frame would have been."""
        now_ns = self._clock.now_ns()
        frames: list[Frame] = [(wire, text)]
        later: list[Frame] = []
        for live in self._active(now_ns):
            if live.fault.kind == "refuse" or not _concerns(live.fault, about):
                continue
            if live.held:  # the frame before this one waited for it
                later += live.held
                live.held = []
            elif live.left != 0 and frames:
                live.left -= live.left > 0
                self.done[live.fault.kind, about.venue] += 1
                frames, live.held = _broken(live.fault, frames)
        return frames + later

    def released(self, venue: str) -> list[Frame]:
        """Return the frames that still wait for one to follow, and hold them no longer."""
        held: list[Frame] = []
        for live in self._live:
            if live.fault.venue == venue:
                held += live.held
                live.held = []
        return held

    def _now(self, fault: Fault) -> None:
        self._put(fault, self._clock.now_ns())

    def _put(self, fault: Fault, start_ns: int) -> None:
        end_ns = None if fault.for_s is None else start_ns + round(fault.for_s * NS)
        self._live.append(
            _Live(fault, start_ns, end_ns, fault.count if fault.kind in PER_FRAME else -1)
        )

    def _lift(self, kind: str, venue: str) -> None:
        self._live = [f for f in self._live if (f.fault.kind, f.fault.venue) != (kind, venue)]

    def _active(self, now_ns: int) -> list[_Live]:
        return [
            f
            for f in self._live
            if f.start_ns <= now_ns and (f.end_ns is None or now_ns < f.end_ns)
        ]


def _concerns(fault: Fault, about: Subscription) -> bool:
    return (
        fault.venue == about.venue
        and fault.channel in (None, about.channel)
        and fault.symbol in (None, about.symbol)
    )


def _broken(fault: Fault, frames: list[Frame]) -> tuple[list[Frame], list[Frame]]:
    """Return what goes out now, and what goes out after the next frame."""
    match fault.kind:
        case "drop" | "stall":
            return [], []
        case "duplicate":
            return frames * 2, []
        case "reorder":
            return [], frames
        case _:
            return [(wire, flipped(text, fault.how)) for wire, text in frames], []


_PRICE = re.compile(r'("(?:p|px|price|b|bidPx|best_bid)":\s*)"([^"]*)"|("bids":\[\[)"([^"]*)"')


_CHECKSUM = re.compile(r'("checksum":)(\d+)')


def flipped(text: str, how: str) -> str:
    """Return the frame with broken JSON, or a price that is 9... too high, NaN or Infinity."""
    if how == "json":
        return text[: len(text) // 2]
    if how == "checksum":
        return _CHECKSUM.sub(lambda found: f"{found[1]}{int(found[2]) ^ 1}", text, count=1)
    number = {"nan": "NaN", "inf": "Infinity"}.get(how)

    def altered(found: re.Match[str]) -> str:
        name, was = found[1] or found[3], found[2] or found[4]
        return f'{name}"{number or "9" + was}"'

    return _PRICE.sub(altered, text, count=1)
