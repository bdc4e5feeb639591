"""Make an engine of a snapshot, or say why it can't be one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import attrs
import msgspec

from bond_core.errors import BondError
from bond_core.model.record import Notice, Record, SourceReport
from bond_core.windows.bars import Filling
from bond_core.windows.checkpoint.dump import slots_of
from bond_core.windows.checkpoint.identity import head_of
from bond_core.windows.checkpoint.lines import (
    FORMAT,
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
    SentLine,
    SourceLine,
    SymbolLine,
    WindowsLine,
    time_of,
)
from bond_core.windows.checkpoint.plain import SLIM, is_mark, unpack, unpack_event
from bond_core.windows.closing import ClosedWindow
from bond_core.windows.compile import FoldField, ReduceField
from bond_core.windows.coverage import Coverage
from bond_core.windows.engine import WindowEngine
from bond_core.windows.history import History
from bond_core.windows.lateness import Late
from bond_core.windows.notices import Notices
from bond_core.windows.pane import OpenWindows, PanePart
from bond_core.windows.plan import StreamPlan
from bond_core.windows.program import BROKEN
from bond_core.windows.source_state import Aside, SourceState, Totals, leave
from bond_core.windows.symbol_state import SymbolState, Tally
from bond_core.windows.watermark import NEVER

_heads = msgspec.json.Decoder(Head)
_lines = msgspec.json.Decoder(Line)


class SnapshotError(BondError):
    """A snapshot can't be used: it is another's, or damaged."""

    default_code = "bad_snapshot"


def loaded(plan: StreamPlan, lines: Iterable[bytes], *, aside: Aside = leave) -> WindowEngine:
    """Return an engine that goes on where the one that was written down stood.

    Fields that could not be kept are told by a notice `not_kept` in the next records.

    Raises:
        SnapshotError: It is of another format, spec or program, or damaged.
        PluginError: A field's plan is wrong.
    """
    read = iter(lines)
    fresh = WindowEngine(plan, start_ns=0, aside=aside)
    _check_head(next(read, b""), head_of(plan, fresh.parts.stream.programs))
    try:
        return _Loading(plan, aside).all(_lines.decode(line) for line in read)
    except SnapshotError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise SnapshotError(f"the snapshot is damaged: {type(error).__name__}: {error}") from error


def _check_head(line: bytes, mine: Head) -> None:
    try:
        format_ = msgspec.json.decode(line)["format"]
        if format_ != FORMAT:
            raise SnapshotError(f"the snapshot is of format {format_}, this Bond reads {FORMAT}")
        its = _heads.decode(line)
    except (msgspec.MsgspecError, KeyError, TypeError) as error:
        raise SnapshotError(f"the snapshot is damaged: its head can't be read: {error}") from error
    for what in ("spec", "program"):
        if getattr(its, what) != getattr(mine, what):
            raise SnapshotError(
                f"the snapshot is of {what} {getattr(its, what)}, the stream's is "
                f"{getattr(mine, what)}"
            )


class _Loading:
    """An engine that is being put together, line by line."""

    def __init__(self, plan: StreamPlan, aside: Aside) -> None:
        self._plan = plan
        self._aside = aside
        self._sources: list[SourceState] = []
        self._here: dict[str, SourceState] = {}
        self._notices: list[NoticesLine] = []
        self._lost: dict[str, str] = {}

    def all(self, lines: Iterator[Line]) -> WindowEngine:
        first = next(lines, None)
        if not isinstance(first, EngineLine):
            raise SnapshotError("the snapshot is damaged: it begins with something else")
        self._begin(first)
        number = 2  # with the head
        for line in lines:
            if isinstance(line, End):
                if line.lines != number or next(lines, None) is not None:
                    break
                self._end(first, line.lost)
                return self._engine
            _TAKES[type(line)](self, line)
            number += 1
        raise SnapshotError("the snapshot is damaged: it is cut short, or goes on after its end")

    def _begin(self, line: EngineLine) -> None:
        self._engine = WindowEngine(self._plan, start_ns=line.start_ns, aside=self._aside)
        parts = self._engine.parts
        self._stream, self._closer = parts.stream, parts.closer
        self._stream.missing = line.missing
        parts.grid.done_ns, parts.grid.max_open = time_of(line.done_ns), line.max_open
        parts.grid.sent, parts.grid.revised = set(line.sent), set(line.revised)
        self._engine.go_on_from(line.now_ns, time_of(line.watermark_ns))

    def _end(self, first: EngineLine, lost: Mapping[str, str]) -> None:
        """Put in place what making sources and panes may have touched, and tell what is lost."""
        engine, parts = self._engine, self._engine.parts
        self._stream.put_sources(self._sources, first.kinds)
        parts.sources.clear()
        parts.sources.update(self._here)
        for name, totals in first.totals.items():
            mine = engine.totals.setdefault(name, totals)  # its source counts in this very object
            for field in attrs.fields(Totals):
                setattr(mine, field.name, getattr(totals, field.name))
        engine.field_errors = first.field_errors
        for notices in self._stream.notices:
            notices.take()
        for bars in self._stream.bars:
            bars.notices.clear()
        for line in self._notices:
            self._tell(line)
        for name, why in {**lost, **self._lost}.items():
            detail = f"{name} can't be kept over a restart; it is null in windows of then: {why}"
            engine.notify(Notice(code="not_kept", detail=detail))

    def _tell(self, line: NoticesLine) -> None:
        frames, symbol = len(self._stream.notices), line.symbol
        if line.timeframe < frames:
            notices = self._stream.notices[line.timeframe]
        else:
            bars = self._stream.bars[line.timeframe - frames]
            notices = bars.notices.setdefault(str(symbol), Notices())
            symbol = None
        notices.by_symbol[symbol] = line.notices
        if line.over:
            notices.over[symbol] = line.over

    def notices(self, line: NoticesLine) -> None:
        self._notices.append(line)

    def fill(self, line: FillLine) -> None:
        filler, key = self._stream.filler, (line.timeframe, line.symbol)
        if line.close is not None:
            filler.closes[key] = unpack(line.close)
        if line.skipped:
            filler.skipped[key] = line.skipped

    def closed(self, line: ClosedLine) -> None:
        self._closer.closed.append(closed_window(line))

    def sent(self, line: SentLine) -> None:
        records = {record.symbol: _record(record) for record in line.records}
        self._stream.sent[line.timeframe, line.end_ns] = records

    def past(self, line: PastLine) -> None:
        values = list(map(unpack, line.values))
        self._stream.finishing.past[line.key] = History(line.first, line.places, values)

    def windows(self, line: WindowsLine) -> None:
        self._require(line.symbol)
        self._windows = windows = self._stream.windows(line.symbol, line.kind)
        self._program = windows.program
        windows.unit = unpack(line.unit)
        windows.seen_ns = line.seen_ns
        if windows.kept is not None:
            windows.kept.since_ns = line.since_ns

    def pane(self, line: PaneLine) -> None:
        program = self._program
        if line.own is None:
            self._whole = self._pane = program.new_pane()
            if line.place == "bar":
                self._bar.panes[program.plan.kind] = self._pane
            else:
                _place(self._windows, line, self._pane)
        else:
            self._pane = program.own_pane(self._whole, line.own)
            program = program.own or program
        self._pane.n, self._pane.unit = line.n, unpack(line.unit)
        fields: tuple[ReduceField | FoldField, ...] = (*program.plan.reduces, *program.plan.folds)
        plans = {field.slot: field for field in fields}
        for name, packed in zip(slots_of(self._pane), line.slots, strict=True):
            if name in plans:
                state = self._authors(plans[name], packed)
            elif packed.__class__ is dict and SLIM in packed:
                state = unpack_event(program.plan.kind, packed[SLIM])
            else:
                state = unpack(packed)
            setattr(self._pane, name, state)

    def _authors(self, field: ReduceField | FoldField, packed: Any) -> Any:
        state = unpack(packed)
        if field.plan.load is None or is_mark(state):
            return state
        try:
            return field.plan.load(state)
        except Exception as error:  # noqa: BLE001 -- an author's code: told, contained
            self._lost[field.name] = f"{type(error).__name__}: {error}"[:300]
            return BROKEN

    def events(self, line: EventsLine) -> None:
        kind = self._program.plan.kind
        self._pane.events.extend(unpack_event(kind, each) for each in line.events)

    def _require(self, *symbols: str | None) -> None:
        if unknown := {*symbols} - {*self._plan.symbols, None}:
            raise SnapshotError(f"the snapshot is damaged: this stream has no symbol {unknown}")

    def source(self, line: SourceLine) -> None:
        self._require(*(target for targets in line.plan.routes.values() for target in targets))
        self._source = source = self._engine.put_source(line.plan)
        source.watermark.at_ns = time_of(line.at_ns)
        source.max_ts, source.fire_at = time_of(line.max_ts), time_of(line.fire_at)
        source.left_ns = time_of(line.left_ns)
        source.told_units = line.told_units
        self._sources.append(source)
        if line.is_here:
            self._here[line.plan.name] = source

    def symbol(self, line: SymbolLine) -> None:
        self._symbol = state = self._source.states[line.symbol]
        state.status, state.reason = line.status, line.reason
        state.coverage = Coverage(is_live=line.is_live, changes=line.changes)
        state.tallies = [
            Tally(
                t.count, t.lag_step, t.lags, Late(*t.late), t.duplicates, t.rejected, t.gaps,
                t.repaired,
            )
            for t in line.tallies
        ]  # fmt: skip
        state.repaired, state.mended = line.repaired, frozenset(line.mended)
        for part in line.parts:
            state.parts[part.start] = self._part(state, part, state.windows.open)
        if state.parts:
            state.use(state.parts[max(state.parts)])
        for part in line.kept:
            kept = state.windows.kept
            state.kept[part.start] = self._part(state, part, kept.panes if kept else {})

    def _part(self, state: SymbolState, part: Part, panes: Mapping[int, Any]) -> PanePart:
        pane, program = panes[part.start], state.windows.program
        end = part.start + self._plan.pane_ns
        return PanePart(
            start=part.start, end=end, until=min(end, self._source.fire_at), pane=pane, state=state,
            n=part.n, lags=part.lags, mask=part.mask, full=part.full, told=part.told,
            own=program.own_pane(pane, self._source.plan.name),
            heard=[] if program.plan.keeps else None,
        )  # fmt: skip

    def heard(self, line: HeardLine) -> None:
        heard, kind = self._symbol.parts[line.start].heard, self._source.plan.kind
        for packed in line.events:
            is_slim = packed.__class__ is dict and SLIM in packed
            event = unpack_event(kind, packed[SLIM]) if is_slim else unpack(packed)
            assert heard is not None  # noqa: S101 -- the program is the same
            heard.append(event)

    def bar(self, line: BarLine) -> None:
        self._bars = self._stream.bars[line.place - len(self._plan.timeframes_ns)]
        self._bar = Filling(start_ns=line.start_ns, room=line.room, number=line.number)
        self._require(line.symbol)
        self._bars.filling[line.symbol] = self._bar

    def bar_kind(self, line: BarKindLine) -> None:
        self._program = self._bars.programs[line.kind]

    def bar_part(self, line: BarPartLine) -> None:
        source = next(each for each in self._sources if each.plan.name == line.source)
        state, part = source.states[line.symbol], line.part
        pane = self._bar.panes[source.plan.kind]
        self._bar.parts[state] = PanePart(
            start=time_of(part.start), end=NEVER, pane=pane, state=state,
            n=part.n, lags=part.lags, mask=part.mask, full=part.full, told=part.told,
            own=self._program.own_pane(pane, line.source),
        )  # fmt: skip


_TAKES: Mapping[type, Callable[[Any, Any], None]] = {
    NoticesLine: _Loading.notices,
    FillLine: _Loading.fill,
    ClosedLine: _Loading.closed,
    SentLine: _Loading.sent,
    PastLine: _Loading.past,
    WindowsLine: _Loading.windows,
    PaneLine: _Loading.pane,
    EventsLine: _Loading.events,
    SourceLine: _Loading.source,
    SymbolLine: _Loading.symbol,
    HeardLine: _Loading.heard,
    BarLine: _Loading.bar,
    BarKindLine: _Loading.bar_kind,
    BarPartLine: _Loading.bar_part,
}


def _place(windows: OpenWindows, line: PaneLine, pane: Any) -> None:
    """Put a pane where it was."""
    kept = windows.kept
    if line.place == "open":
        windows.open[line.at[0]] = pane
    elif line.place == "larger":
        windows.larger[line.at[0]] = pane
    elif kept is None:
        raise SnapshotError("the snapshot is damaged: it keeps panes that this stream doesn't")
    elif line.place == "kept":
        kept.add(line.at[0], pane)
    elif line.place == "merged":
        kept.merged[line.at[0], line.at[1]] = pane
    elif line.place == "tail":
        kept.tails[line.at[0]] = pane
    else:
        kept.since = pane


def closed_window(line: ClosedLine) -> ClosedWindow:
    """Return the window that a line is of."""
    return ClosedWindow(line.end_ns, tuple(map(_record, line.records)), line.is_revision)


def _record(record: Record) -> Record:
    """Make the tuples that JSON has as lists."""
    record.values = {
        name: tuple(value) if isinstance(value, list) else value  # levels of a book
        for name, value in record.values.items()
    }
    parts: list[Record | SourceReport] = [record, *record.sources.values()]
    for each in parts:
        for field in attrs.fields(type(each)):
            if isinstance(value := getattr(each, field.name), list):
                setattr(each, field.name, tuple(value))
    return record
