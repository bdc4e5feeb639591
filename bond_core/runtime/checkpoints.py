"""What is written down of a running stream, so that it can go on after a restart.

    head     whose it is, and when it stood so
    feeds    one line each: the ids heard last, so that nothing counts twice, and the cursor
    waiting  the windows that the engine gave away, and that are in no log yet
    beside   what other parts of the stream remember, item by item
    engine   `bond_core.windows.checkpoint`; nothing of a raw stream, which has no windows

Where it is kept is the caller's: `Checkpoints` is all that a pipeline knows of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import attrs
import msgspec

from bond_core.windows.checkpoint.dump import closed_line, dumped
from bond_core.windows.checkpoint.lines import ClosedLine
from bond_core.windows.checkpoint.load import SnapshotError, closed_window, loaded
from bond_core.windows.checkpoint.plain import UnkeptError, is_mark, pack, unpack
from bond_core.windows.engine import ClosedWindow, WindowEngine
from bond_core.windows.plan import StreamPlan
from bond_core.windows.program import BROKEN

FORMAT = 1

MAX_AGE_S = 60.0
"""An older snapshot is of no use: its windows are long over, and the stream begins anew."""


class Checkpoints(Protocol):
    """Keeps the newest snapshot of each stream.

    Attributes:
        every_s: How often a running stream is to be written down, in seconds.
    """

    @property
    def every_s(self) -> float:
        """See the class."""
        ...

    async def load(self, stream_id: str) -> Sequence[bytes]:
        """Return a stream's snapshot, no lines if there is none; OSError if it can't be read."""
        ...

    async def save(self, stream_id: str, lines: Sequence[bytes]) -> None:
        """Put a snapshot in the place of the one before, whole or not at all.

        Raises:
            OSError: It can't be kept; the one before still is.
        """
        ...

    async def forget(self, stream_id: str) -> None:
        """Keep a stream's snapshot no longer."""
        ...


class Remembering(Protocol):
    """A part of a running stream, beside its engine, that goes on where it stood.

    It changes only in the stream's turn, as the engine does.
    """

    def remembered(self) -> Iterable[tuple[Any, Any]]:
        """Return what it knows, item by item: a key and plain data, few values each."""
        ...

    def recall(self, key: Any, known: Any) -> None:
        """Take an item up again; any error says that it can't, and that is told."""
        ...


class _Head(msgspec.Struct, forbid_unknown_fields=True):
    """Whose snapshot it is, and how many lines of each sort follow."""

    format: int
    stream_id: str
    at_ns: int
    feeds: int
    waiting: int
    beside: int


class _Item(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """What a part remembers of one thing."""

    part: str
    key: Any  # packed
    known: Any  # packed


class Heard(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """What one feed of a stream had heard.

    Attributes:
        source: By which name the stream has it.
        symbol: What was asked for.
        cursor: The id after which to go on; None if nothing with an id was heard.
        ids: The newest ones.
    """

    source: str
    symbol: str
    cursor: str | None
    ids: list[str]


@attrs.frozen
class Snapshot:
    """A stream as it was.

    Attributes:
        at_ns: When, by the clock.
        heard: By source and symbol.
        waiting: Windows to be published before any other.
        beside: By part and key what was remembered; None where that couldn't be written.
        engine: Its windows, ready to go on; None of a raw stream.
    """

    at_ns: int
    heard: Mapping[tuple[str, str], Heard]
    waiting: Sequence[ClosedWindow]
    beside: Sequence[tuple[str, Any, Any]]
    engine: WindowEngine | None


_encode = msgspec.json.Encoder().encode
_heads = msgspec.json.Decoder(_Head)
_heards = msgspec.json.Decoder(Heard)
_closed = msgspec.json.Decoder(ClosedLine)
_items = msgspec.json.Decoder(_Item)


def written(
    stream_id: str, at_ns: int, heard: Sequence[Heard], engine: WindowEngine | None,
    waiting: Sequence[ClosedWindow] = (), beside: Mapping[str, Remembering] | None = None,
) -> Iterator[bytes]:  # fmt: skip
    """Yield the lines of a snapshot; until the last one, nothing may be told to the engine.

    Args:
        stream_id: Whose it is.
        at_ns: The time, by the clock.
        heard: What its feeds had heard by then.
        engine: Its windows, if it has such.
        waiting: Those that the engine gave away, and that are in no log yet.
        beside: By name, other parts that are to go on.
    """
    items = [(name, *item) for name, part in (beside or {}).items() for item in part.remembered()]
    yield _encode(_Head(FORMAT, stream_id, at_ns, len(heard), len(waiting), len(items)))
    for each in heard:
        yield _encode(each)
    for window in waiting:
        yield _encode(closed_line(window))
    for item in items:
        yield _encode(_item(*item))
    if engine is not None:
        yield from dumped(engine)


def _item(part: str, key: Any, known: Any) -> _Item:
    try:
        return _Item(part, pack(key), pack(known))
    except UnkeptError:
        return _Item(part, pack(str(key)), pack(BROKEN))


def read(lines: Sequence[bytes], stream_id: str, plan: StreamPlan | None) -> Snapshot:
    """Return a stream's snapshot; `plan` is of its windows, None if it has none.

    Raises:
        SnapshotError: It is another's, of another version, or damaged.
    """
    try:
        head = _heads.decode(lines[0])
        at = head.feeds + 1, head.feeds + 1 + head.waiting
        end = at[1] + head.beside
        heard = [_heards.decode(line) for line in lines[1 : at[0]]]
        waiting = [closed_window(_closed.decode(line)) for line in lines[at[0] : at[1]]]
        items = [_items.decode(line) for line in lines[at[1] : end]]
        beside = [(each.part, unpack(each.key), _known(each.known)) for each in items]
    except (msgspec.MsgspecError, LookupError, TypeError, ValueError) as error:
        raise SnapshotError(f"the snapshot is damaged: {error}") from error
    if (head.format, head.stream_id) != (FORMAT, stream_id):
        raise SnapshotError(
            f"the snapshot is of stream {head.stream_id} in format {head.format}, "
            f"the stream is {stream_id}, and this Bond reads {FORMAT}"
        )
    engine = None if plan is None else loaded(plan, lines[end:])
    by_feed = {(each.source, each.symbol): each for each in heard}
    return Snapshot(head.at_ns, by_feed, waiting, beside, engine)


def _known(packed: Any) -> Any:
    known = unpack(packed)
    return None if is_mark(known) else known
