"""Make records of events: one stream's windows, from what its sources bring.

Pure and synchronous: time comes in with events and ticks, so the same calls in the same
order give the same records. How events are split into batches makes no difference.

Windows are `[start, end)`, aligned to the epoch. Events go into panes, the windows of the
smallest timeframe; larger windows are merges of panes. A pane closes once the stream's
watermark (`bond_core.windows.watermark`) reaches its end, and every window that ends there
closes with it.

The first window that is sent in any case is the one that holds the stream's start. Older
ones are sent if they got an event: sources may bring what happened before the start as far
back as their watermark began, at start - lateness - idle. Both are `partial`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import attrs

from bond_core.model.event import Event
from bond_core.model.record import Notice, Repaired, Status
from bond_core.windows.closing import MAX_FILL, ClosedWindow, Closer
from bond_core.windows.joining import give_states
from bond_core.windows.notices import Notices
from bond_core.windows.plan import SourcePlan, StreamPlan
from bond_core.windows.plan_check import check_plan
from bond_core.windows.source_state import Aside, Grid, SourceState, Totals, leave
from bond_core.windows.stream_state import StreamState
from bond_core.windows.symbol_state import SymbolState
from bond_core.windows.watermark import NEVER, SourceWatermark, stream_watermark

__all__ = ["ClosedWindow", "WindowEngine"]

MAX_KEYS = 100_000
"""How many symbols, summed over its sources, a stream keeps state of, unless said."""

_AHEAD_NS = 60_000_000_000
"""How far beyond their normal bound open panes may reach, as when ticks are held back."""


@attrs.frozen
class EngineParts:
    """What an engine is made of, for `bond_core.windows.checkpoint` alone.

    Attributes:
        sources: Those that are here; `stream.sources` has also those that left.
    """

    plan: StreamPlan
    stream: StreamState
    grid: Grid
    closer: Closer
    sources: dict[str, SourceState]
    now_ns: int
    watermark_ns: int


class WindowEngine:
    """One stream's windows.

    Attributes:
        totals: What became of every source's events, by source name.
        field_errors: How often the code behind a field raised, or gave what is no value.
    """

    def __init__(
        self, plan: StreamPlan, *, start_ns: int, max_fill: int = MAX_FILL,
        max_keys: int = MAX_KEYS, aside: Aside = leave,
    ) -> None:  # fmt: skip
        """Compile a plan.

        Args:
            plan: What to compute.
            start_ns: The stream's start.
            max_fill: How many silent windows a single jump emits at most.
            max_keys: How many symbols, summed over sources, it keeps state of at most.
            aside: Takes late events where the plan's `late` is `side`.

        Raises:
            PluginError: A field's plan is wrong; says which and why.
            ValueError: Timeframes are not multiples of the smallest, or names repeat.
        """
        check_plan(plan)
        self.totals: dict[str, Totals] = {}
        self.field_errors: dict[str, int] = {}
        self._plan = plan
        self._max_keys = max_keys
        self._aside = aside if plan.late == "side" else leave
        self._now_ns = start_ns
        self._is_finished = False
        self._stream = StreamState(
            plan=plan, failed=self._failed, notices=[Notices() for _ in plan.timeframes_ns],
            start_ns=start_ns,
        )  # fmt: skip
        self._grid = Grid(pane_ns=plan.pane_ns, done_ns=NEVER, max_open=1)
        fill = max_fill if plan.slide_ns else max_fill * (plan.timeframes_ns[0] // plan.pane_ns)
        self._closer = Closer(self._grid, self._stream, start_ns=start_ns, max_fill=fill)
        self._sources: dict[str, SourceState] = {}
        for source in plan.sources:
            self._add(source, start_ns)
        self._watermark_ns = stream_watermark(self._sources.values(), start_ns)
        self._grid.done_ns = self._grid.floor(self._watermark_ns)
        self._advance()

    @property
    def source_code(self) -> Mapping[str, str]:
        """The generated Python, by kind of event."""
        return {kind: program.source for kind, program in self._stream.programs.items()}

    @property
    def watermark_ns(self) -> int:
        """What is older is late, ns."""
        return self._watermark_ns

    @property
    def closed_until_ns(self) -> int:
        """Until when all windows of the smallest timeframe are closed, ns."""
        return self._grid.done_ns

    @property
    def is_finished(self) -> bool:
        """Whether the stream has ended."""
        return self._is_finished

    @property
    def parts(self) -> EngineParts:
        """All of its state, to be written down or put in place."""
        return EngineParts(
            self._plan, self._stream, self._grid, self._closer, self._sources,
            self._now_ns, self._watermark_ns,
        )  # fmt: skip

    def put_source(self, plan: SourcePlan) -> SourceState:
        """Return the source of a plan, as yet without anything: for checkpoints."""
        known = next((x for x in self._stream.sources if x.plan == plan), None)
        return self._new_source(plan) if known is None else known

    def go_on_from(self, now_ns: int, watermark_ns: int) -> None:
        """Stand where another engine stood: for checkpoints."""
        self._now_ns, self._watermark_ns = now_ns, watermark_ns

    def slept(self, from_ns: int, to_ns: int, *, brought: Collection[str] = ()) -> None:
        """Take in that the stream did not run for a time, and that its sources start anew.

        Unless all of them bring what happened meanwhile, windows of that time are `partial`.

        Args:
            from_ns: Since when it knows nothing.
            to_ns: When it ran again.
            brought: The sources that go on where they were.
        """
        for source in self._sources.values():
            for state in source.states.values():
                state.turn("starting", from_ns, None)
        if not self._sources.keys() <= set(brought):
            self._stream.missing.append((from_ns, to_ns))

    def on_events(self, name: str, events: Sequence[Event]) -> None:
        """Take in events of the source of that name, in the order in which they were heard.

        They are of the source's kind, checked, not repeated, and have `recv_ts`.
        """
        source = self._sources.get(name)
        if source is not None:
            source.take(events)
        elif self._known(name) is None:
            self.totals[name].unrouted += len(events)

    def on_fetched(self, name: str, events: Sequence[Event]) -> None:
        """Take in events that were fetched after the fact: they go where they belong."""
        self.on_events(name, events)

    def on_heartbeat(self, name: str, ts: int) -> None:
        """Believe a source that nothing older than `ts`, ns, will come."""
        if source := self._known(name):
            source.watermark.saw_heartbeat(ts)
            self._advance()

    def on_tick(self, now_ns: int) -> None:
        """Take in the time, and close what is due; a clock that steps back is waited for."""
        if self.sees(now_ns):
            self.close_due()

    def sees(self, now_ns: int) -> bool:
        """Take in the time; whether there is something to close or to send again.

        Nothing else may be told to the engine before `close_due`.
        """
        self._now_ns = now_ns
        for source in self._sources.values():
            source.watermark.saw_tick(now_ns)
        self._pass()
        is_due = self._grid.floor(self._watermark_ns) > self._grid.done_ns
        return not self._is_finished and (is_due or bool(self._grid.revised))

    def close_due(self) -> None:
        """Close what `sees` found due, and send again what got late events."""
        if not self._is_finished:
            self._closer.revise()  # with a tick, so that many late events make one revision
            self._advance()

    def on_status(
        self,
        name: str,
        symbol: str | None,
        status: Status,
        at_ns: int,
        reason: str | None = None,
    ) -> None:
        """Take in that a source's status for a symbol (None: for all) is another now."""
        for state in self._states(name, symbol):
            state.turn(status, at_ns, reason)

    def on_duplicates(self, name: str, symbol: str, n: int = 1) -> None:
        """Count events that the source had sent before."""
        states = self._states(name, symbol)
        self.totals[name].duplicates += n * max(len(states), 1)
        for tally in (tally for state in states for tally in state.tallies):
            tally.duplicates += n

    def on_clamped(self, name: str, symbol: str, n: int = 1) -> None:
        """Count events that go where they were heard, as their time lay in the future."""
        self.totals[name].clamped += n * max(len(self._states(name, symbol)), 1)

    def on_rejected(
        self, name: str, symbol: str | None, n: int = 1, code: str = "rejected"
    ) -> None:
        """Count events that made no sense, also as what they are told as.

        None is a message of which nobody knows whose it was: every symbol's records count it.
        """
        states = self._states(name, symbol)
        rejected = n if symbol is None else n * max(len(states), 1)
        self.totals[name].rejected += rejected
        if code == "wrong_unit":
            self.totals[name].wrong_unit += rejected
        for tally in (tally for state in states for tally in state.tallies):
            tally.rejected += n

    def on_gap(self, name: str, symbol: str | None, notice: Notice) -> None:
        """Count a hole in what a source brought for a symbol (None: all), and tell of it."""
        states = self._states(name, symbol)
        self.totals[name].gaps += 1
        for state in states:
            for tally in state.tallies:
                tally.gaps += 1
        self._tell(states if symbol is not None else None, notice)

    def on_repaired(self, name: str, symbol: str, repaired: Repaired) -> None:
        """Learn that what a source missed was fetched; its events are told by `on_fetched` after.

        Windows of which more is known now are sent again where late events are let in.
        """
        states = self._states(name, symbol)
        for state in states:
            self._grid.revised |= state.repair(repaired, self._grid.sent, self._grid.pane_ns)
        self._tell(states, repaired.notice(name))

    def notify(self, notice: Notice, symbol: str | None = None) -> None:
        """Show a notice in the next records of every symbol, or of what its source calls so."""
        to_some = symbol is not None and notice.source is not None
        self._tell(self._states(notice.source or "", symbol) if to_some else None, notice)

    def _tell(self, states: Iterable[SymbolState] | None, notice: Notice) -> None:
        for symbol in (None,) if states is None else dict.fromkeys(s.symbol for s in states):
            self._stream.tell(symbol, notice)

    def add_source(self, source: SourcePlan, at_ns: int) -> None:
        """Let a source step in; what is older than `at_ns` - lateness - idle is late.

        Raises:
            ValueError: A source of that name is there.
        """
        self._add(source, at_ns)
        self._advance()

    def remove_source(self, name: str, at_ns: int) -> None:
        """Let a source leave: windows no longer wait for it, what it brought stays.

        Raises:
            KeyError: No source of that name is there.
        """
        source = self._sources.pop(name)
        source.left_ns = at_ns
        for state in source.states.values():
            state.coverage.turn(is_live=False, at_ns=at_ns)
        self._advance()

    @property
    def has_closed(self) -> bool:
        """Whether there is something to take."""
        return bool(self._closer.closed)

    def take(self) -> list[ClosedWindow]:
        """Return the windows that closed since the last call, in order."""
        taken, self._closer.closed = self._closer.closed, []
        return taken

    def finish(self, now_ns: int) -> None:
        """End the stream: send every window that has begun, once, as `partial`.

        Whatever comes after is late.
        """
        if self._is_finished:
            return
        self._is_finished = True
        self._closer.finish(now_ns)
        self._grid.done_ns = self._watermark_ns = NEVER
        self._grid.sent = set()  # nothing is sent again after the end

    def _add(self, plan: SourcePlan, at_ns: int) -> None:
        """Let a source in: a new one, or one that had left and still has something to tell."""
        source = next((x for x in self._stream.sources if x.plan.name == plan.name), None)
        if plan.name in self._sources or (source is not None and source.plan != plan):
            raise ValueError(f"this stream has a source {plan.name} already")
        if source is None:
            source = self._new_source(plan)
            self._stream.add(source)
        source.left_ns = NEVER
        source.watermark.saw_tick(at_ns)
        self._sources[plan.name] = source
        reach_ns = plan.lateness_ns + plan.idle_ns + _AHEAD_NS
        self._grid.max_open = max(self._grid.max_open, reach_ns // self._grid.pane_ns + 2)

    def _new_source(self, plan: SourcePlan) -> SourceState:
        source = SourceState(
            plan=plan,
            program=self._stream.program(plan.kind),
            grid=self._grid,
            watermark=SourceWatermark(
                lateness_ns=plan.lateness_ns, idle_ns=plan.idle_ns, gates=plan.gates
            ),
            totals=self.totals.setdefault(plan.name, Totals()),
            tell=self._stream.tell,
            progress=self._advance,
            aside=self._aside,
        )
        room = self._max_keys - sum(len(s.states) for s in self._stream.sources)
        if refused := give_states(source, self._stream, room=max(room, 0)):
            source.totals.refused_keys += refused
            detail = f"{plan.name}: no room for {refused} more symbols, which are not counted"
            self.notify(Notice(code="too_many_keys", source=plan.name, detail=detail))
        return source

    def _known(self, name: str) -> SourceState | None:
        """Return a source, None if it has left; KeyError if it never was here."""
        if name not in self.totals:
            raise KeyError(f"this stream has no source {name}")
        return self._sources.get(name)

    def _states(self, name: str, symbol: str | None) -> Sequence[SymbolState]:
        source = self._known(name)
        return source.states_of(symbol) if source else ()

    def _advance(self) -> None:
        """Close what the stream's watermark has passed."""
        if self._is_finished:
            return
        self._pass()
        self._closer.close_until(self._grid.floor(self._watermark_ns))
        end_ns = self._grid.done_ns + self._grid.pane_ns
        for source in self._sources.values():
            source.fire_from(source.watermark.fires_at(end_ns))

    def _pass(self) -> None:
        """Move the stream's watermark on."""
        for source in self._sources.values():
            source.watermark.saw_event(source.max_ts)
        # Who has failed is not waited for, as long as anybody else is there.
        waited_for = [s for s in self._sources.values() if not s.has_failed]
        passed = stream_watermark(waited_for or self._sources.values(), self._now_ns)
        self._watermark_ns = max(self._watermark_ns, passed)

    def _failed(self, field: str, error: Exception) -> None:
        """Count a field that couldn't be computed, and tell of it the first time."""
        self.field_errors[field] = self.field_errors.get(field, 0) + 1
        if self.field_errors[field] == 1:
            detail = f"{field} can't be computed and is null: {_said(error)}"
            self.notify(Notice(code="aggregator_error", detail=detail))


def _said(error: Exception) -> str:
    """Return what an author's error says, which is the author's code too."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 -- whatever it does, it is told as what it is
        text = "its text can't be had"
    return f"{type(error).__name__}: {text[:300]}"
