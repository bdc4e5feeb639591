"""What an engine is told, in order: noted while it runs, written as JSON lines, and read again.

    {"events": [{"source": "binance", "kind": "trade", "n": [3, 1], "columns": {…}}, …]}
    {"told": [["on_tick", 1700000000050000000], 0, 1, ["on_status", …], 0, …]}

The two lines together say what was told during a block. A number is the next batch of the source
at that place in `events`, whose batches are `n` long; all else is the method of the engine, and
what it was handed. A tape is exact: an engine that is told the same in the same order gives the
same windows, byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate, chain, pairwise
from typing import Any

import attrs
import msgspec

from bond_core.model.event import Event
from bond_core.model.record import Notice, Repaired
from bond_core.runtime.tape.columns import Columns, columns_of, events_of, plain_columns_of
from bond_core.windows.checkpoint.plain import pack, unpack
from bond_core.windows.plan import SourcePlan

TOLD = (
    "on_tick", "on_status", "on_heartbeat", "on_duplicates", "on_rejected", "on_clamped", "on_gap",
    "on_repaired", "notify", "add_source", "remove_source", "finish", "take",
)  # fmt: skip
"""What else an engine is told, and that its steps were taken: its methods."""

BATCHES = ("on_events", "on_fetched")
"""How it is told events: as they are heard, or fetched for a hole."""

_PLAIN = {cls.__name__: cls for cls in (Notice, Repaired, SourcePlan)}
_encode = msgspec.json.Encoder().encode

Noted = tuple[Callable[..., Any], tuple[Any, ...]]


Call = tuple[str, tuple[Any, ...]]
"""Something an engine is told: the name of its method (`on_events`, `on_fetched` or one of
`TOLD`), and what it is handed. A plain tuple: one is made for every batch."""


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
        found: dict[tuple[str, str], tuple[int, list[Sequence[Event]]]] = {}
        told: list[Any] = []
        tell = told.append
        for method, args in noted:
            name = method.__name__
            if name in BATCHES:
                source, events = args
                its = found.get((name, source))
                if its is None:
                    its = found[name, source] = len(found), []
                tell(its[0])
                its[1].append(events)
            elif name in TOLD:
                tell([name, *map(_written, args)])
            elif name == "sees":  # the clock, as a stream that isn't due at once is shown it
                tell(["on_tick", args[0]])
        if not told:
            return b""
        batches = {key: its for key, (_, its) in found.items()}
        lines = [_events_line(batches), _encode({"told": told}), b""]
        self.events += sum(sum(map(len, its)) for its in batches.values())
        return b"\n".join(lines)


def _events_line(batches: Mapping[tuple[str, str], Sequence[Sequence[Event]]]) -> bytes:
    try:
        return _encode({"events": [_table(*each, columns_of) for each in batches.items()]})
    except (UnicodeEncodeError, OverflowError, TypeError):  # rare, and four times as slow
        return _encode({"events": [_table(*each, plain_columns_of) for each in batches.items()]})


def _table(
    told: tuple[str, str], batches: Sequence[Sequence[Event]],
    columns: Callable[[str, Sequence[Event]], Columns],
) -> dict[str, Any]:  # fmt: skip
    events = list(chain.from_iterable(batches))
    kind = events[0].kind if events else "trade"
    what, source = told
    return {
        "source": source,
        **({"is_fetched": True} if what == "on_fetched" else {}),
        "kind": kind,
        "n": list(map(len, batches)),
        "columns": columns(kind, events) if events else {},
    }


class TapeReader:
    """Reads back what was told, line by line."""

    def __init__(self) -> None:
        self._batches: list[Iterator[Call]] = []

    def calls(self, line: Mapping[str, Any]) -> list[Call]:
        """Return what a line tells; one that tells nothing gives nothing.

        Raises:
            ValueError: It is none that `Tape.lines` writes; or what decoding such a line raises:
                TypeError, KeyError, IndexError, AttributeError.
        """
        if "events" in line:
            self._batches = [iter(_batches_of(table)) for table in line["events"]]
        if "told" not in line:
            return []
        calls: list[Call] = []
        batches = self._batches
        for each in line["told"]:
            if each.__class__ is int:
                call = next(batches[each], None)
                if call is None:
                    raise ValueError("it tells more batches than there are")
                calls.append(call)
            elif each[0] in TOLD:
                calls.append((each[0], tuple(map(_read, each[1:]))))
            else:
                raise ValueError(f"an engine is never told {each[0]!r}")
        return calls


def _batches_of(table: Mapping[str, Any]) -> list[Call]:
    source, lengths, columns = table["source"], table["n"], table["columns"]
    events = events_of(table["kind"], columns) if columns else []
    ends = list(accumulate(lengths, initial=0))
    if ends[-1] != len(events):
        raise ValueError(f"the batches of {source} are not as long as its events")
    what = "on_fetched" if table.get("is_fetched") else "on_events"
    return [(what, (source, events[a:b])) for a, b in pairwise(ends)]


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
