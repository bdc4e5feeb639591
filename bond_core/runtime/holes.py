"""Know what one feed didn't hear, and between which events.

Something is missing where ids that rise by one don't, where the source says so, and while the
feed was not live. Until it is settled, what comes after all (out of order, or fetched) fills it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence

import attrs

from bond_core.model.event import Event

MOST = 256
"""So many places are told apart; more are taken together with the newest."""

_FAR = 1_000_000
"""Numbers so far behind the newest are a new count, not late events."""


@attrs.frozen
class Edge:
    """An event at the edge of what is missing.

    Attributes:
        seq: Its number; 0 where the feed's aren't without a hole.
    """

    ts_ns: int
    id: str | None = None
    seq: int = 0


@attrs.define(eq=False)
class Missing:
    """One place where events are, or may be, missing.

    Attributes:
        after: The last event heard before it.
        until: The first one heard after it; None while there is none.
        from_ns: From when on it wasn't heard, ns: by our clock where the feed was away.
        to_ns: Until when, likewise.
        is_told: Whether records tell of it.
        known: How many between the two were heard since, where ids rise by one.
    """

    after: Edge
    until: Edge | None
    from_ns: int
    to_ns: int
    is_told: bool = False
    known: int = 0

    @property
    def left(self) -> int | None:
        """How many events are missing; None where that can't be known."""
        if self.until is None or not self.until.seq or not self.after.seq:
            return None
        return self.until.seq - self.after.seq - 1 - self.known


class Holes:
    """What is missing of one feed.

    Args:
        by_one: Whether its events are numbered without a hole (`Channel.ids_by_one`).
        began_ns: Since when it is listened to, ns.
        stirred: Called when there is something to settle.

    Attributes:
        found: What is not settled yet, in order.
    """

    def __init__(self, *, by_one: bool, began_ns: int, stirred: Callable[[], None]) -> None:
        self.found: list[Missing] = []
        self._by_one = by_one
        self._stirred = stirred
        self._newest: Event | None = None
        self._began = Edge(began_ns)
        self._expected = 0
        self._is_waiting = False  # for the first event after what is missing
        self._before: Edge | None = None  # the last event before the feed was lost
        self._first: Edge | None = None  # the first one since

    def heard(self, events: Sequence[Event]) -> None:
        """Take note of new events; called for each batch that the feed hears."""
        if self._before is not None and self._first is None:
            self._first = self._edge(events[0])
        if self._is_waiting:
            self._end_open(events[0])
        if not self._by_one:
            self._newest = events[-1]
            return
        for event in events:
            if event.seq == self._expected:
                self._expected += 1
                self._newest = event
            else:
                self._leapt(event)

    def lost(self) -> None:
        """The feed is no longer live."""
        if self._before is None:
            self._before, self._first = self._last(), None

    def gap(self, from_ns: int, to_ns: int) -> bool:
        """Note that something may be missing between two times, and that records tell of it.

        Returns whether that is so: not where ids prove the contrary.
        """
        is_missing = self._note(from_ns, to_ns)
        if self.found:
            self._stirred()
        return is_missing

    def _note(self, from_ns: int, to_ns: int) -> bool:
        was_here = self._before is None
        before, first = self._before or self._last(), self._first
        self._before = self._first = None
        if was_here and from_ns < to_ns and from_ns < before.ts_ns:
            # The source speaks of an earlier time.
            before, first = Edge(from_ns), Edge(to_ns) if to_ns <= before.ts_ns else None
        elif self._by_one and before.seq and first is not None:
            for missing in self.found:
                if missing.after.seq == before.seq:
                    missing.is_told = True
                    missing.from_ns = min(missing.from_ns, from_ns)
                    missing.to_ns = max(missing.to_ns, to_ns)
                    return True
            return False  # the first one since bore the very next number, or came late
        if self._is_waiting and first is None:  # two words for one hole
            waiting = self.found[-1]
            waiting.after = min(waiting.after, before, key=_ts)
            waiting.from_ns, waiting.to_ns = (
                min(waiting.from_ns, from_ns),
                max(waiting.to_ns, to_ns),
            )
            return True
        self._add(Missing(before, first, min(from_ns, before.ts_ns), to_ns, is_told=True))
        return True

    def forgive(self) -> None:
        """The feed is live, and nobody is told that it wasn't."""
        self._before = self._first = None
        if self.found:
            self._stirred()

    def filled(self, taken: Sequence[Missing], events: Sequence[Event]) -> int:
        """Settle places with what was fetched for them: new events, in order of time.

        Returns how many are still missing, where they are numbered; 0 otherwise.
        """
        is_open = any(missing.until is None for missing in taken)
        for missing in [each for each in taken if each.until is None]:
            self._settle(missing)
        before = len(self.found)
        if self._by_one:
            for event in events:
                if event.seq == self._expected:
                    self._expected += 1
                    self._newest = event
                elif is_open or event.seq < self._expected:
                    self._leapt(event)
        left = 0
        for missing in (*taken, *self.found[before:]):
            left += missing.left or 0
            self._settle(missing)
        return left

    def give_up(self, taken: Sequence[Missing]) -> None:
        """Settle places of which nothing more can be had."""
        if any(missing.until is None for missing in taken):
            self._expected = 0  # whatever comes next begins a new count
        for missing in taken:
            self._settle(missing)

    def _settle(self, missing: Missing) -> None:
        if missing in self.found:
            self.found.remove(missing)
        self._is_waiting = any(each.until is None for each in self.found)

    def _last(self) -> Edge:
        return self._began if self._newest is None else self._edge(self._newest)

    def _end_open(self, event: Event) -> None:
        if self._by_one and self._expected and event.seq != self._expected:
            return  # `_leapt` sees to it, or it is a late one
        for missing in self.found:
            if missing.until is None:
                missing.until = self._edge(event)
        self._is_waiting = False

    def _leapt(self, event: Event) -> None:
        """Take in an event that doesn't bear the next number."""
        seq = event.seq
        if type(seq) is not int or seq <= 0:  # nothing has looked at it yet
            return
        if not self._expected or seq < self._expected - _FAR:
            self._expected, self._newest = seq + 1, event
        elif seq > self._expected:
            if self._is_waiting:
                for missing in self.found:
                    missing.until = missing.until or self._edge(event)
                self._is_waiting = False
            else:
                after, until = self._last(), self._edge(event)
                self._add(Missing(after, until, after.ts_ns, until.ts_ns))
            self._expected, self._newest = seq + 1, event
        else:
            self._fill(seq)

    def _fill(self, seq: int) -> None:
        at = bisect_left(self.found, seq, key=_after_seq) - 1
        if at < 0:
            return
        missing = self.found[at]
        if missing.until is not None and missing.left and seq < missing.until.seq:
            missing.known += 1
            if missing.left == 0 and not missing.is_told:
                del self.found[at]  # out of order, no more

    def _add(self, missing: Missing) -> None:
        if len(self.found) < MOST:
            self.found.append(missing)
        else:
            last = self.found[-1]
            if last.until is not None and missing.after.seq:
                last.known += missing.after.seq - last.until.seq + 1
            last.until, last.to_ns = missing.until, missing.to_ns
        self._is_waiting = self._is_waiting or missing.until is None
        self._stirred()

    def _edge(self, event: Event) -> Edge:
        return Edge(event.ts, event.id, event.seq if self._by_one else 0)


def _ts(edge: Edge) -> int:
    return edge.ts_ns


def _after_seq(missing: Missing) -> int:
    return missing.after.seq
