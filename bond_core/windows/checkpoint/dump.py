"""Write an engine's whole state as lines of JSON.

The engine must stand still until the last line: nothing may be told to it between two of them.
A line is a symbol, a pane or two hundred events at most, so that others can be let in between.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import attrs
import msgspec

from bond_core.windows.bars import Bars, Filling
from bond_core.windows.checkpoint.identity import head_of
from bond_core.windows.checkpoint.lines import (
    BarKindLine,
    BarLine,
    BarPartLine,
    ClosedLine,
    End,
    EngineLine,
    EventsLine,
    FillLine,
    Head,
    HeardLine,
    Line,
    NoticesLine,
    PaneLine,
    Part,
    PastLine,
    Place,
    SentLine,
    SourceLine,
    SymbolLine,
    Tallied,
    WindowsLine,
    near,
)
from bond_core.windows.checkpoint.plain import (
    MAX_ITEMS,
    SLIM,
    UnkeptError,
    is_mark,
    pack,
    pack_event,
    pack_scalar,
)
from bond_core.windows.closing import ClosedWindow
from bond_core.windows.compile import FoldField, ReduceField
from bond_core.windows.engine import EngineParts, WindowEngine
from bond_core.windows.history import GONE
from bond_core.windows.pane import OpenWindows, PanePart
from bond_core.windows.program import BROKEN, Program
from bond_core.windows.stream_state import StreamState
from bond_core.windows.symbol_state import SymbolState, Tally

_AT_ONCE = 200
_NOT_SLOTS = ("n", "unit", "events", "by")

_encode = msgspec.json.Encoder().encode


def dumped(engine: WindowEngine) -> Iterator[bytes]:
    """Yield the lines of a snapshot, without line ends.

    A field whose author's state can't be written is null in the windows that are open now, once
    they are read again; the last line says which, and why.

    Raises:
        ValueError: The stream has ended: there is nothing to go on from.
    """
    if engine.is_finished:
        raise ValueError("a stream that has ended has nothing to go on from")
    parts = engine.parts
    lost: dict[str, str] = {}
    number = 0
    for line in _lines(engine, parts, lost):
        number += 1
        yield _encode(line)
    yield _encode(End(number, lost))


def _lines(engine: WindowEngine, parts: EngineParts, lost: dict[str, str]) -> Iterator[Head | Line]:
    stream, grid, closer = parts.stream, parts.grid, parts.closer
    yield head_of(parts.plan, stream.programs)
    yield EngineLine(
        start_ns=closer.start_ns,
        now_ns=parts.now_ns,
        watermark_ns=near(parts.watermark_ns),
        done_ns=near(grid.done_ns),
        max_open=grid.max_open,
        sent=sorted(grid.sent),
        revised=sorted(grid.revised),
        missing=stream.missing,
        totals=engine.totals,
        field_errors=engine.field_errors,
        kinds=stream.kinds,
    )
    yield from _told(stream)
    yield from map(closed_line, closer.closed)
    for (timeframe, end_ns), sent in stream.sent.items():
        yield SentLine(timeframe, end_ns, list(sent.values()))
    for (symbol, kind), windows in stream.open_windows.items():
        yield from _windows(symbol, kind, windows, lost)
    for key, history in stream.finishing.past.items():
        values = [_past(key[2], value, lost) for value in history.values]
        yield PastLine(key, history.first, history.places, values)
    yield from _sources(parts, lost)
    for bars in stream.bars:
        for symbol, bar in bars.filling.items():
            yield BarLine(bars.frame, symbol, bar.start_ns, bar.number, bar.room)
            yield from _bar(bars, bar, lost)


def closed_line(window: ClosedWindow) -> ClosedLine:
    """Return the line of a window that closed."""
    return ClosedLine(window.window_end_ns, list(window.records), window.is_revision)


def _told(stream: StreamState) -> Iterator[Line]:
    for timeframe, notices in enumerate(stream.notices):
        for symbol, kept in notices.by_symbol.items():
            yield NoticesLine(timeframe, symbol, kept, notices.over.get(symbol, 0))
    for bars in stream.bars:
        for symbol, notices in bars.notices.items():
            kept = notices.by_symbol.get(None, [])
            yield NoticesLine(bars.frame, symbol, kept, notices.over.get(None, 0))
    filler = stream.filler
    for key in dict.fromkeys((*filler.closes, *filler.skipped)):
        yield FillLine(*key, pack(filler.closes.get(key)), filler.skipped.get(key, 0))


def _windows(
    symbol: str | None, kind: str, windows: OpenWindows, lost: dict[str, str]
) -> Iterator[Line]:
    kept = windows.kept
    since_ns = 0 if kept is None else kept.since_ns
    yield WindowsLine(symbol, kind, pack(windows.unit), windows.seen_ns, since_ns)
    panes: list[tuple[Place, list[int], Any]] = [("open", [k], p) for k, p in windows.open.items()]
    panes += [("larger", [k], p) for k, p in enumerate(windows.larger) if p is not None]
    if kept is not None:
        panes += [("kept", [start], kept.panes[start]) for start in kept.starts]
        panes += [("merged", list(key), pane) for key, pane in kept.merged.items()]
        panes += [("tail", [start], pane) for start, pane in kept.tails.items()]
        panes += [("since", [], kept.since)] if kept.since is not None else []
    for place, at, pane in panes:
        yield from _pane(functools.partial(PaneLine, place, at), windows.program, pane, None, lost)


def _bar(bars: Bars, bar: Filling, lost: dict[str, str]) -> Iterator[Line]:
    for kind, pane in bar.panes.items():
        yield BarKindLine(kind)
        line = functools.partial(PaneLine, "bar", [])
        yield from _pane(line, bars.programs[kind], pane, None, lost)
        for state, part in bar.parts.items():
            if state.source.plan.kind == kind:
                yield BarPartLine(state.source.plan.name, state.symbol, _part(part))


def _pane(
    line: Callable[..., PaneLine], program: Program, pane: Any, own: str | None,
    lost: dict[str, str],
) -> Iterator[Line]:  # fmt: skip
    fields: tuple[ReduceField | FoldField, ...] = (*program.plan.reduces, *program.plan.folds)
    authors = {field.slot: field for field in fields}
    events: Sequence[Any] = getattr(pane, "events", ())
    too_many = len(events) > MAX_ITEMS
    slots = []
    for name in slots_of(pane):
        state = getattr(pane, name)
        if name not in authors:
            slots.append(_own_state(state))
            continue
        names = [field.name for field in fields if field.slot == name]
        if too_many and isinstance(authors[name], ReduceField):
            _lose(lost, names, f"its window has more than {MAX_ITEMS} events")
            state = BROKEN
        slots.append(_authors(state, authors[name].plan.dump, names, lost))
    yield line(own=own, n=pane.n, unit=pack(pane.unit), slots=slots)
    for first in range(0, 0 if too_many else len(events), _AT_ONCE):
        yield EventsLine([pack_event(event) for event in events[first : first + _AT_ONCE]])
    if program.own is not None:
        for source, part in pane.by.items():
            yield from _pane(line, program.own, part, source, lost)


def slots_of(pane: Any) -> list[str]:
    """Return the names of what the generated class keeps beside what all panes have."""
    return [name for name in pane.__slots__ if name not in _NOT_SLOTS]


def _own_state(state: Any) -> Any:
    """Pack a count, sum, extreme, time, or the event that is the first or last."""
    if state is None or isinstance(state, int | float):
        return pack_scalar(state)
    return {SLIM: pack_event(state)}


def _authors(
    state: Any, dump: Callable[[Any], Any] | None, fields: Sequence[str], lost: dict[str, str]
) -> Any:
    """Pack a state that an author's code made; BROKEN, and told, if it can't be."""
    try:
        return pack(state if dump is None or is_mark(state) else dump(state))
    except UnkeptError as error:
        _lose(lost, fields, str(error))
    except Exception as error:  # noqa: BLE001 -- an author's code: told, contained
        _lose(lost, fields, f"{type(error).__name__}: {error}"[:300])
    return pack(BROKEN)


def _lose(lost: dict[str, str], fields: Sequence[str], why: str) -> None:
    for field in fields:
        lost.setdefault(field, why)


def _past(field: str, value: Any, lost: dict[str, str]) -> Any:
    try:
        return pack(value)
    except UnkeptError as error:
        _lose(lost, [field], str(error))
        return GONE


def _sources(parts: EngineParts, lost: dict[str, str]) -> Iterator[Line]:
    for source in parts.stream.sources:
        yield SourceLine(
            plan=source.plan,
            is_here=source.plan.name in parts.sources,
            at_ns=near(source.watermark.at_ns),
            max_ts=near(source.max_ts),
            fire_at=near(source.fire_at),
            left_ns=near(source.left_ns),
            told_units=source.told_units,
        )
        for state in source.states.values():
            yield _symbol(state)
            for part in state.parts.values():
                events = part.heard or ()
                for first in range(0, len(events), _AT_ONCE):
                    several = [_heard(each, lost) for each in events[first : first + _AT_ONCE]]
                    yield HeardLine(part.start, several)


def _heard(event: Any, lost: dict[str, str]) -> Any:
    """Pack an event that authors' code has yet to see, whole if that can be."""
    try:
        return pack(event)
    except UnkeptError as error:
        _lose(lost, [f"what {event.kind} events hold beside numbers and texts"], str(error))
        return {SLIM: pack_event(event)}


def _symbol(state: SymbolState) -> SymbolLine:
    return SymbolLine(
        symbol=state.symbol,
        status=state.status,
        reason=state.reason,
        is_live=state.coverage.is_live,
        changes=state.coverage.changes,
        tallies=[_tallied(tally) for tally in state.tallies],
        parts=list(map(_part, state.parts.values())),
        kept=list(map(_part, state.kept.values())),
        repaired=state.repaired,
        mended=sorted(state.mended),
    )


def _tallied(tally: Tally) -> Tallied:
    return Tallied(
        count=tally.count,
        lag_step=tally.lag_step,
        lags=list(tally.lags),
        late=list(map(near, attrs.astuple(tally.late))),
        duplicates=tally.duplicates,
        rejected=tally.rejected,
        gaps=tally.gaps,
        repaired=list(tally.repaired),
    )


def _part(part: PanePart) -> Part:
    return Part(near(part.start), part.n, part.lags, part.mask, part.full, part.told)
