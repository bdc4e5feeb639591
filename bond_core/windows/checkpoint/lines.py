"""What the lines of a snapshot hold. Closed: a line that says more, or less, is refused.

The first line is a Head, the last an End, and between them, in this order, the others. Every
time is in ns; `FAR` and `-FAR` stand for times that don't come. `packed` is what
`bond_core.windows.checkpoint.plain` makes.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from bond_core.model.record import Notice, Record, Repaired, Status
from bond_core.windows.plan import SourcePlan
from bond_core.windows.source_state import Totals
from bond_core.windows.watermark import NEVER

FORMAT = 1
"""Raised with every change of what lines hold."""

FAR = 2**63 - 1


def near(ns: int) -> int:
    """Return a time that 64 bits can say."""
    return max(-FAR, min(ns, FAR))


def time_of(ns: int) -> int:
    """Return the time that `near` was given."""
    return NEVER if ns >= FAR else -NEVER if ns <= -FAR else ns


class Head(msgspec.Struct, forbid_unknown_fields=True):
    """What a snapshot belongs to."""

    format: int
    spec: str
    program: str


class _Line(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """A line: an array, its name first."""


class EngineLine(_Line, tag="engine"):
    """What there is one of; `missing` are the stretches in which the stream didn't run."""

    start_ns: int
    now_ns: int
    watermark_ns: int
    done_ns: int
    max_open: int
    sent: list[int]
    revised: list[int]
    missing: list[tuple[int, int]]
    totals: dict[str, Totals]
    field_errors: dict[str, int]
    kinds: dict[str, str]


class NoticesLine(_Line, tag="notices"):
    """What the next record of a timeframe, or of a size of bars, tells one symbol, or all."""

    timeframe: int
    symbol: str | None
    notices: list[Notice]
    over: int


class FillLine(_Line, tag="fill"):
    """The last close of a symbol, and its windows that were left out."""

    timeframe: int
    symbol: str
    close: Any  # packed
    skipped: int


class WindowsLine(_Line, tag="windows"):
    """What a symbol's events of one kind add up to; its panes follow."""

    symbol: str | None
    kind: str
    unit: Any  # packed
    seen_ns: int
    since_ns: int


Place = Literal["open", "larger", "kept", "merged", "tail", "since", "bar"]


class PaneLine(_Line, tag="pane"):
    """A pane of the symbol or bar before it, or what of it is one source's; its events follow.

    `at` says which: a start; for `larger` the timeframe; for `merged` length and start.
    """

    place: Place
    at: list[int]
    own: str | None
    n: int
    unit: Any  # packed
    slots: list[Any]  # packed, in the order of the generated class


class EventsLine(_Line, tag="events"):
    """Some of the events that the pane before it keeps for a Reduce."""

    events: list[list[Any]]  # packed


class SourceLine(_Line, tag="source"):
    """A source; its symbols follow."""

    plan: SourcePlan
    is_here: bool
    at_ns: int
    max_ts: int
    fire_at: int
    left_ns: int
    told_units: bool


class Tallied(_Line):
    """A Tally."""

    count: int
    lag_step: int
    lags: list[int]
    late: list[int]
    duplicates: int
    rejected: int
    gaps: int
    repaired: list[Repaired]


class Part(_Line):
    """A PanePart."""

    start: int
    n: int
    lags: list[int]
    mask: int
    full: int
    told: int


class SymbolLine(_Line, tag="symbol"):
    """What the source before it is for one symbol."""

    symbol: str | None
    status: Status
    reason: str | None
    is_live: bool
    changes: list[int]
    tallies: list[Tallied]
    parts: list[Part]
    kept: list[Part]
    repaired: list[Repaired]
    mended: list[int]


class HeardLine(_Line, tag="heard"):
    """Some of the events that the symbol before it keeps, in one pane, for bars."""

    start: int
    events: list[Any]  # packed


class BarLine(_Line, tag="bar"):
    """The bar of a symbol that is filling; its kinds follow."""

    place: int
    symbol: str
    start_ns: int
    number: int
    room: float


class BarKindLine(_Line, tag="bar_kind"):
    """What the bar before it has of one kind: its pane follows, and then its parts."""

    kind: str


class BarPartLine(_Line, tag="bar_part"):
    """A source's part in the bar before it."""

    source: str
    symbol: str | None
    part: Part


class PastLine(_Line, tag="past"):
    """What a field was worth in earlier windows."""

    key: tuple[str, int | str, str, str]
    first: int
    places: list[int]
    values: list[Any]  # packed


class SentLine(_Line, tag="sent"):
    """The records of a window that may be sent again."""

    timeframe: int
    end_ns: int
    records: list[Record]


class ClosedLine(_Line, tag="closed"):
    """A window that closed, and of which it isn't sure yet that anybody has it."""

    end_ns: int
    records: list[Record]
    is_revision: bool


class End(_Line, tag="end"):
    """How many lines came before it; and by field why it can't be kept."""

    lines: int
    lost: dict[str, str]


Line = (
    EngineLine | NoticesLine | FillLine | WindowsLine | PaneLine | EventsLine | SourceLine
    | SymbolLine | HeardLine | BarLine | BarKindLine | BarPartLine | PastLine | SentLine
    | ClosedLine | End
)  # fmt: skip
