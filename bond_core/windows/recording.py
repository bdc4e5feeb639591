"""Say what was in a closed window, or in a bar: one record for each symbol, and say it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

from bond_core.model.record import BarName, Notice, Record, SourceReport, Value
from bond_core.windows.fill import CLOSE, fill_with
from bond_core.windows.finishing import Place
from bond_core.windows.lateness import revised_reports, revision_notice
from bond_core.windows.one_window import Closed, OneWindow
from bond_core.windows.pane import UNSET
from bond_core.windows.symbol_state import SymbolState

if TYPE_CHECKING:
    from bond_core.windows.bars import Bars, Filling
    from bond_core.windows.stream_state import StreamState


def records_of(
    stream: StreamState, timeframe: int, end_ns: int, closed: Closed, *, is_partial: bool
) -> list[Record]:
    """Say what was in a closed window of a timeframe: one record for each symbol."""
    told = stream.notices[timeframe].take()
    window = _window(stream, timeframe, end_ns, closed)
    fills = stream.plan.fill == "previous" and CLOSE in stream.plan.fields
    records = []
    for symbol in stream.plan.symbols:
        notices = [*told.get(None, ()), *told.get(symbol, ())] if told else []
        record, heard = _record(stream, window, symbol, notices)
        record.partial = is_partial
        records.append(record)
        if fills:
            is_heard = stream.kind_of(symbol, CLOSE) in heard
            stream.filler.previous(timeframe, record, is_heard=is_heard)
    sent = stream.filler.sent(timeframe, records)
    if stream.plan.late == "update":
        were_sent = {id(record) for record in sent}
        # Of what was skipped nothing was sent: its first record will be rev 0.
        stream.sent[timeframe, end_ns] = {
            r.symbol: r if id(r) in were_sent else attrs.evolve(r, rev=-1) for r in records
        }
    return sent


def record_of_bar(
    stream: StreamState, bars: Bars, symbol: str, bar: Filling, end_ns: int,
    told: Sequence[Notice],
) -> Record:  # fmt: skip
    """Say what was in a bar of a symbol."""
    closed: Closed = {kind: {symbol: pane} for kind, pane in bar.panes.items()}
    place = Place(bars.plan.name, bar.number, step=1)
    window = OneWindow(stream, bars.frame, place, bar.start_ns, end_ns, closed)
    record, _ = _record(stream, window, symbol, list(told))
    record.bar = BarName(bars.plan.name, bar.number)
    record.partial = stream.has_missed(bar.start_ns, end_ns)
    return record


def _window(stream: StreamState, timeframe: int, end_ns: int, closed: Closed) -> OneWindow:
    length_ns, step_ns = stream.plan.timeframes_ns[timeframe], stream.plan.step_ns(timeframe)
    start_ns = end_ns - length_ns
    place = Place(length_ns, start_ns, step=step_ns, keep=stream.plan.revised_ns)
    return OneWindow(stream, timeframe, place, start_ns, end_ns, closed)


def _record(
    stream: StreamState, window: OneWindow, symbol: str, notices: list[Notice]
) -> tuple[Record, set[str]]:
    """Return a symbol's record of a window, and the kinds of event that were heard."""
    sources: dict[str, SourceReport] = {}
    heard: set[str] = set()
    for state in stream.states(symbol):
        report, late = window.report(state)
        if late is not None:
            notices.append(late)
        if report is None:
            continue
        plan = state.source.plan
        sources[plan.name] = report
        if report.coverage:
            heard.add(plan.kind)
    record = Record(
        symbol=symbol,
        timeframe_ns=window.end_ns - window.start_ns,
        window_start_ns=window.start_ns,
        window_end_ns=window.end_ns,
        values=window.values(symbol, heard),
        sources=sources,
        notices=tuple(notices),
        served=_served(stream, sources),
        size_unit=_unit(stream, symbol),
    )
    return record, heard


def revisions_of(
    stream: StreamState, timeframe: int, end_ns: int, late: Mapping[SymbolState, int]
) -> list[Record]:
    """Say again what was in a window that got late events: a record for each such symbol.

    Args:
        stream: Whose.
        timeframe: Which of its timeframes the window is of.
        end_ns: Where the window ends.
        late: By source and symbol, how many events came late.
    """
    sent = stream.sent.get((timeframe, end_ns), {})
    start_ns = end_ns - stream.plan.timeframes_ns[timeframe]
    closed = stream.closed_before(start_ns, end_ns)
    window = _window(stream, timeframe, end_ns, closed)
    records: list[Record] = []
    for symbol in stream.plan.symbols:
        its = {state: late[state] for state in stream.states(symbol) if state in late}
        if its and symbol in sent:
            was = sent[symbol].values.get(CLOSE)
            sources = revised_reports(sent[symbol].sources, its, start_ns, end_ns)
            heard = {stream.kinds[name] for name, each in sources.items() if each.coverage}
            sent[symbol] = attrs.evolve(
                sent[symbol],
                values=window.values(symbol, heard),
                sources=sources,
                rev=sent[symbol].rev + 1,
                notices=(revision_notice(its),),
                served=_served(stream, sources),
                size_unit=_unit(stream, symbol),
            )
            _fill_again(stream, timeframe, end_ns, sent[symbol], was=was)
            records.append(sent[symbol])
    return records


def _fill_again(
    stream: StreamState, timeframe: int, end_ns: int, record: Record, *, was: Value
) -> None:
    """Fill a record that is sent again as before; the windows to come, with its new close."""
    close = record.values.get(CLOSE)
    if record.filled and close is None:
        fill_with(record, was)
        return
    record.filled = False
    later = (r[record.symbol] for (t, e), r in stream.sent.items() if t == timeframe and e > end_ns)
    if close is not None and all(r.filled or r.values.get(CLOSE) is None for r in later):
        stream.filler.closes[timeframe, record.symbol] = close


def _served(stream: StreamState, sources: Mapping[str, SourceReport]) -> tuple[str, ...]:
    """Return the venues that events of a window came from, in the sources' order."""
    venues = stream.venues
    found = [venue for name, venue in venues if name in sources and sources[name].count]
    return tuple(found) if len(found) < 2 else tuple(dict.fromkeys(found))


def _unit(stream: StreamState, symbol: str) -> str | None:
    """Return what a symbol's sizes count: its trades', or without a trade's feed, others'."""
    for kind in ("trade", "liquidation", "book", "candle"):
        if (windows := stream.open_windows.get((symbol, kind))) is not None:
            return None if windows.unit is UNSET else windows.unit
    return None
