"""What an engine is told, in order: noted while it runs, written as JSON lines, and read again.

    {"names": ["binance", "okx"]}                      sources, by their number in this block
    {"events": {"trade": {columns}, "quote": {…}}}     all events of the block, by kind
    {"told": [1700000000050000000, [0, 3, 1], ["on_status", …], …]}
              the clock, ns        3, then 1 events of source 0's   anything else, and its arguments

The three lines together say what was told during a block. Events are told in batches, as they
came: `[source, n, …]` takes the next n of the source's kind. A tape is exact: an engine that is
told the same in the same order gives the same windows, byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import attrs
import msgspec

from bond_core.model.event import Event
from bond_core.model.record import Notice, Repaired
from bond_core.runtime.tape.columns import columns_of, events_of
from bond_core.windows.checkpoint.plain import pack, unpack
from bond_core.windows.engine import WindowEngine
from bond_core.windows.plan import SourcePlan

TOLD = (
    "on_status", "on_heartbeat", "on_duplicates", "on_rejected", "on_clamped", "on_gap",
    "on_repaired", "notify", "add_source", "remove_source", "finish",
)  # fmt: skip
"""What else than events and the clock an engine is told; each is a method of WindowEngine."""

_PLAIN = {cls.__name__: cls for cls in (Notice, Repaired, SourcePlan)}
_encode = msgspec.json.Encoder().encode

Noted = tuple[Callable[..., Any], tuple[Any, ...]]


class Call(NamedTuple):
    """Something that an engine is told.

    Attributes:
        what: The name of its method: `on_tick`, `on_events` or one of `TOLD`.
        args: What it is handed.
    """

    what: str
    args: tuple[Any, ...]


class Tape:
    """Notes what an engine is told, until somebody takes it away.

    Attributes:
        noted: What was told since, in order.
        events: How many events were among all that was ever taken.
    """

    def __init__(self) -> None:
        self.noted: list[Noted] = []
        self.events = 0

    def lines(self) -> bytes:
        """Take what was noted; return it as JSON lines, empty if there was nothing.

        Raises:
            UnkeptError: Something in it can't be written.
        """
        noted, self.noted = self.noted, []
        batches = _Batches()
        told: list[Any] = []
        for method, args in noted:
            name = method.__name__
            if name == "on_events":
                batches.add(told, *args)
            elif name in ("on_tick", "sees"):
                told.append(args[0])
            elif name in TOLD:
                told.append([name, *map(_written, args)])
        if not told:
            return b""
        self.events += batches.count
        lines = ({"names": list(batches.numbers)}, {"events": batches.columns()}, {"told": told})
        return b"".join(_encode(line) + b"\n" for line in lines)


class _Batches:
    """The events of a block, in order, and what says whose they are."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.count = 0
        self._events: dict[str, list[Event]] = {}
        self._kinds: dict[str, str] = {}  # by source, which has one kind

    def add(self, told: list[Any], name: str, events: Sequence[Event]) -> None:
        if not events:
            return
        kind = self._kinds.get(name)
        if kind is None:
            kind = self._kinds[name] = events[0].kind
            self.numbers[name] = len(self.numbers)
            self._events.setdefault(kind, [])
        self._events[kind].extend(events)
        self.count += len(events)
        number, last = self.numbers[name], told[-1] if told else None
        if last.__class__ is list and last[0] == number:
            last.append(len(events))
        else:
            told.append([number, len(events)])

    def columns(self) -> dict[str, Any]:
        return {kind: columns_of(kind, events) for kind, events in self._events.items()}


@attrs.define
class TapeReader:
    """Reads back what was told, block by block."""

    _names: Sequence[str] = ()
    _events: Mapping[str, list[Event]] = attrs.field(factory=dict)
    _kinds: dict[str, str] = attrs.field(factory=dict)

    def calls(self, line: Mapping[str, Any], kinds: Mapping[str, str]) -> Iterator[Call]:
        """Yield what a line tells.

        Args:
            line: One of a block's, decoded; those that tell nothing are left out.
            kinds: By source, the kind of its events.

        Raises:
            ValueError: It is none that `Tape.lines` writes.
        """
        if "names" in line:
            self._names = line["names"]
        elif "events" in line:
            self._events = {kind: events_of(kind, c) for kind, c in line["events"].items()}
        elif "told" in line:
            yield from self._told(line["told"], kinds)

    def _told(self, told: Sequence[Any], kinds: Mapping[str, str]) -> Iterator[Call]:
        places = dict.fromkeys(self._events, 0)
        for each in told:
            if each.__class__ is int:
                yield Call("on_tick", (each,))
            elif isinstance(each[0], int):
                name = self._names[each[0]]
                kind = kinds[name]
                events, at = self._events[kind], places[kind]
                for n in each[1:]:
                    yield Call("on_events", (name, events[at : at + n]))
                    at += n
                places[kind] = at
            elif each[0] in TOLD:
                yield Call(each[0], tuple(map(_read, each[1:])))
            else:
                raise ValueError(f"an engine is never told {each[0]!r}")


def tell(engine: WindowEngine, call: Call) -> None:
    """Tell an engine what another one was told."""
    getattr(engine, call.what)(*call.args)


def packed_plan(plan: SourcePlan) -> Any:
    """Return what stands for a source's plan in JSON."""
    return _written(plan)


def unpacked_plan(written: Any) -> SourcePlan:
    """Return the plan that was written.

    Raises:
        ValueError: It is none.
    """
    plan = _read(written)
    if not isinstance(plan, SourcePlan):
        raise ValueError("no source's plan is there")  # noqa: TRY004 -- a fault of the file
    return plan


def _written(value: Any) -> Any:
    name = type(value).__name__
    if _PLAIN.get(name) is type(value):
        fields = attrs.asdict(value, recurse=False)
        return {"is": name, **{key: pack(each) for key, each in fields.items()}}
    return pack(value)


def _read(value: Any) -> Any:
    if isinstance(value, Mapping) and "is" in value:
        fields = dict(value)
        cls = _PLAIN.get(fields.pop("is"))
        if cls is None:
            raise ValueError(f"there is no {value['is']!r} in a tape")
        known = {field.name for field in attrs.fields(cls)}
        return cls(**{key: unpack(each) for key, each in fields.items() if key in known})
    return unpack(value)
