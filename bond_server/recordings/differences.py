"""Count and show what messages give now that was not told when they were recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import attrs

from bond_core.model.event import Event
from bond_core.runtime.binding import BoundSource
from bond_core.runtime.tape.told import Call
from bond_core.wire.times import iso
from bond_server.recordings.alike import TIMES, Alike

MOST_SHOWN = 10
"""So many are shown; all are counted."""


@attrs.define
class Differences:
    """What is not as it was recorded.

    Attributes:
        compared: Events that are.
        changed: Events that are others now.
        new: Events that were not told then.
        missing: Events that were told then, and not now.
        counts: How often something else is told: what was refused, what was a repeat.
        shown: The first of them, a line each.
    """

    compared: int = 0
    changed: int = 0
    new: int = 0
    missing: int = 0
    counts: int = 0
    shown: list[str] = attrs.field(factory=list)

    @property
    def n(self) -> int:
        """How many there are."""
        return self.changed + self.new + self.missing + self.counts

    def said(self) -> str:
        """Return in a line how many there are; `shown` follows."""
        if not self.n:
            return f"{self.compared:,} events, all as recorded"
        found = {
            "others": self.changed, "new": self.new, "missing": self.missing,
            "counts that differ": self.counts,
        }  # fmt: skip
        parts = [f"{n:,} {word}" for word, n in found.items() if n]
        return f"{self.compared:,} events as recorded, {', '.join(parts)}; the first of these:"

    def add(self, source: BoundSource, then: Sequence[Call], now: Sequence[Call]) -> None:
        """Count and show how what a source tells now differs from what it told then."""
        name, is_same = source.plan.name, Alike().is_same_event
        were: dict[Any, list[Event]] = {}
        for event in _events(then):
            were.setdefault(_key(event), []).append(event)
        others: list[Event] = []
        for event in _events(now):
            its = were.get(_key(event), [])
            same = next((at for at, old in enumerate(its) if is_same(event, old)), None)
            if same is None:
                others.append(event)
            else:
                del its[same]
                self.compared += 1
        for event in others:
            its = were.get(_key(event), [])
            if its:
                self.changed += 1
                self._show(event, name, f"{_named(event)}: {_changes(event, its.pop(0))}")
            else:
                self.new += 1
                self._show(event, name, f"{_named(event)}: was not told")
        for event in (event for its in were.values() for event in its):
            self.missing += 1
            self._show(event, name, f"{_named(event)}: is not told any more")
        for detail in _counts_that_differ(then, now):
            self.counts += 1
            if len(self.shown) < MOST_SHOWN:
                self.shown.append(f"{name}: {detail}")

    def _show(self, event: Event, name: str, what: str) -> None:
        if len(self.shown) < MOST_SHOWN:
            self.shown.append(f"{iso(event.recv_ts)} {name}: {what}")


def _events(calls: Iterable[Call]) -> Iterator[Event]:
    for what, args in calls:
        if what == "on_events":
            yield from args[1]


def _key(event: Event) -> Any:
    """Return what an event is known by: its id, if it has one."""
    return event.symbol, event.kind, event.id


def _named(event: Event) -> str:
    what = f"{event.kind} {event.id}" if event.id is not None else event.kind
    return f"{what} of {event.symbol}" if event.symbol else what


def _changes(now: Event, then: Event) -> str:
    names = (field.name for field in attrs.fields(type(now)))
    found = [name for name in names if getattr(now, name) != getattr(then, name)]
    told = [name for name in found if name not in TIMES] or found
    return ", ".join(
        f"{n} is {_short(getattr(now, n))}, was {_short(getattr(then, n))}" for n in told
    )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _counts_that_differ(then: Iterable[Call], now: Iterable[Call]) -> Iterator[str]:
    words = {"on_rejected": "refused", "on_duplicates": "repeats", "on_clamped": "in the future"}
    for what, word in words.items():
        were, are = (sum(args[2] for w, args in calls if w == what) for calls in (then, now))
        if were != are:
            yield f"{are} {word}, were {were}"
