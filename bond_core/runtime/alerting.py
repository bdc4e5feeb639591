"""Tell when a condition has come to hold, and when it is over: once each, and not too often.

    normal ──holds──▶ pending ──for so long──▶ alerting ──over──▶ normal
       ▲                 │ doesn't hold             told: `alert`     told: `alert_resolved`
       └─────────────────┘

Times are those of the windows, so a replay tells the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs

from bond_core.model.record import Notice, Record
from bond_core.spec.conditions.evaluate import Memory, condition_of
from bond_core.spec.conditions.parse import parse_condition
from bond_core.spec.conditions.tree import CROSSES, Binary, Call, Choice, Node, Unary
from bond_core.spec.duration import format_duration
from bond_core.spec.stream_spec import AlertSpec

_MS = 1_000_000


@attrs.define
class AlertState:
    """Where an alert stands for one symbol.

    Attributes:
        state: `pending` holds, but not for long enough yet.
        since_ns: Since when it holds, or is unknown: the end of the first such window.
        told_ns: When it was told last; None if it never was.
        held_back: How often it was not told, because it had just been.
        unknown_ns: Since when it is unknown; None while it is known.
        is_silent: Whether it was told that it is unknown.
    """

    when: Memory
    holds: Memory
    over: Memory
    state: Literal["normal", "pending", "alerting"] = "normal"
    since_ns: int = 0
    told_ns: int | None = None
    held_back: int = 0
    unknown_ns: int | None = None
    is_silent: bool = False


class Alert:
    """One alert of a stream, for each of its symbols by itself.

    Attributes:
        unknown: Records that could not tell whether it holds.
    """

    def __init__(self, spec: AlertSpec) -> None:
        tree = parse_condition(spec.when)
        self.spec = spec
        self.name = spec.name or spec.when
        self._when = condition_of(tree)
        # What crossed a level is there as long as it is beyond it.
        held = _held(tree)
        self._holds = None if held == tree else condition_of(held)
        self._over = condition_of(parse_condition(spec.recover)) if spec.recover else None
        self.unknown = 0
        self._states: dict[str, AlertState] = {}

    def look(self, record: Record) -> list[Notice]:
        """Take in a symbol's next record; return what is to be told with it."""
        if self.spec.symbol not in (None, record.symbol):
            return []
        state = self._state(record.symbol)
        triggers = holds = self._when.holds(self._when.look(record, state.when))
        if self._holds is not None:
            holds = self._holds.holds(self._holds.look(record, state.holds))
        over = self._is_over(record, state, holds=holds)
        if holds is None and triggers is None:
            return self._unknown(record, state)
        told = self._known_again(record, state)
        if state.state == "normal" and triggers:
            state.state, state.since_ns = "pending", record.window_end_ns
        elif state.state == "pending" and not holds:
            state.state = "normal"
        elif state.state == "alerting" and over:
            state.state = "normal"
            told.append(self._notice("alert_resolved", record, state, "is over"))
        if state.state == "pending" and self._has_lasted(record, state):
            state.state = "alerting"
            told += self._fire(record, state)
        return told

    def states(self) -> Mapping[str, AlertState]:
        """Return where it stands, by symbol."""
        return self._states

    def state_of(self, symbol: str) -> AlertState:
        """Return where it stands for a symbol, to be put back."""
        return self._state(symbol)

    def _state(self, symbol: str) -> AlertState:
        if symbol not in self._states:
            holds = self._holds.begin() if self._holds is not None else []
            over = self._over.begin() if self._over is not None else []
            self._states[symbol] = AlertState(when=self._when.begin(), holds=holds, over=over)
        return self._states[symbol]

    def _is_over(self, record: Record, state: AlertState, *, holds: bool | None) -> bool:
        if self._over is None:
            return holds is False
        return self._over.holds(self._over.look(record, state.over)) is True

    def _has_lasted(self, record: Record, state: AlertState) -> bool:
        return record.window_end_ns - state.since_ns >= self.spec.for_ms * _MS

    def _fire(self, record: Record, state: AlertState) -> list[Notice]:
        end_ns, cooldown_ns = record.window_end_ns, self.spec.cooldown_ms * _MS
        if state.told_ns is not None and end_ns - state.told_ns < cooldown_ns:
            state.held_back += 1
            return []
        state.told_ns = end_ns
        said = "holds"
        if self.spec.for_ms:
            said += f" for {format_duration(self.spec.for_ms)}"
        if state.held_back:
            said += f"; it was held back {state.held_back} times since it was told last"
            state.held_back = 0
        return [self._notice("alert", record, state, said)]

    def _unknown(self, record: Record, state: AlertState) -> list[Notice]:
        """Take in a record that can't answer: nothing has lasted, and nothing is over."""
        self.unknown += 1
        if state.state == "pending":
            state.state = "normal"
        if state.unknown_ns is None:
            state.unknown_ns = record.window_start_ns
        patience_ms = self.spec.no_data_ms
        lasts_ns = record.window_end_ns - state.unknown_ns
        if patience_ms is None or state.is_silent or lasts_ns < patience_ms * _MS:
            return []
        state.is_silent = True
        said = f"can't be known for {format_duration(lasts_ns // _MS)}"
        return [self._notice("alert_no_data", record, state, said, since_ns=state.unknown_ns)]

    def _known_again(self, record: Record, state: AlertState) -> list[Notice]:
        since_ns, was_silent = state.unknown_ns, state.is_silent
        state.unknown_ns, state.is_silent = None, False
        if not was_silent:
            return []
        return [self._notice("alert_data", record, state, "is known again", since_ns=since_ns)]

    def _notice(
        self, code: str, record: Record, state: AlertState, said: str, since_ns: int | None = None
    ) -> Notice:
        name = f"{self.spec.name}: " if self.spec.name else ""
        return Notice(
            code=code,
            detail=f"{name}{record.symbol}: {self.spec.when} {said}",
            from_ns=state.since_ns if since_ns is None else since_ns,
            to_ns=record.window_end_ns,
            alert=self.name,
        )


def _held(tree: Node) -> Node:
    """Return a condition with each crossing replaced by being beyond the level."""
    match tree:
        case Call(function=function, arguments=(value, level)) if function in CROSSES:
            return Binary(CROSSES[function], value, level)
        case Unary(op=op, of=of):
            return Unary(op, _held(of))
        case Binary(op=op, left=left, right=right):
            return Binary(op, _held(left), _held(right))
        case Choice(test=test, yes=yes, no=no):
            return Choice(_held(test), _held(yes), _held(no))
        case _:
            return tree
