"""What is written down of a running stream, so that it can go on after a restart.

    head     whose it is, and when it stood so
    feeds    one line each: the ids heard last, so that nothing counts twice, and the cursor
    engine   `bond_core.windows.checkpoint`

Where it is kept is the caller's: `Checkpoints` is all that a pipeline knows of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import attrs
import msgspec

from bond_core.windows.checkpoint.dump import dumped
from bond_core.windows.checkpoint.load import SnapshotError, loaded
from bond_core.windows.engine import ClosedWindow, WindowEngine
from bond_core.windows.plan import StreamPlan

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


class _Head(msgspec.Struct, forbid_unknown_fields=True):
    """Whose snapshot it is."""

    format: int
    stream_id: str
    at_ns: int
    feeds: int


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
        engine: Its windows, ready to go on.
    """

    at_ns: int
    heard: Mapping[tuple[str, str], Heard]
    engine: WindowEngine


_encode = msgspec.json.Encoder().encode
_heads = msgspec.json.Decoder(_Head)
_heards = msgspec.json.Decoder(Heard)


def written(
    stream_id: str, at_ns: int, heard: Sequence[Heard], engine: WindowEngine,
    waiting: Iterable[ClosedWindow] = (),
) -> Iterator[bytes]:  # fmt: skip
    """Yield the lines of a snapshot; until the last one, nothing may be told to the engine.

    Args:
        stream_id: Whose it is.
        at_ns: The time, by the clock.
        heard: What its feeds had heard by then.
        engine: Its windows.
        waiting: Those that the engine gave away, and that are in no log yet.
    """
    yield _encode(_Head(FORMAT, stream_id, at_ns, len(heard)))
    for each in heard:
        yield _encode(each)
    yield from dumped(engine, waiting=waiting)


def read(lines: Sequence[bytes], stream_id: str, plan: StreamPlan) -> Snapshot:
    """Return a stream's snapshot.

    Raises:
        SnapshotError: It is another's, of another version, or damaged.
    """
    try:
        head = _heads.decode(lines[0])
        heard = [_heards.decode(line) for line in lines[1 : head.feeds + 1]]
    except (msgspec.MsgspecError, IndexError) as error:
        raise SnapshotError(f"the snapshot is damaged: {error}") from error
    if (head.format, head.stream_id) != (FORMAT, stream_id):
        raise SnapshotError(
            f"the snapshot is of stream {head.stream_id} in format {head.format}, "
            f"the stream is {stream_id}, and this Bond reads {FORMAT}"
        )
    engine = loaded(plan, lines[head.feeds + 1 :])
    return Snapshot(head.at_ns, {(each.source, each.symbol): each for each in heard}, engine)
