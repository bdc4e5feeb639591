"""Write many appends as one call of the script, with little to do for each: they are records.

What the script is given is two texts, one of numbers and one of data, behind keys that are the
same each time and so are kept as they are sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bond_core.log.offset import Offset
from bond_server.redis_log.keys import StreamKeys
from bond_server.redis_log.resp import bulk

MOST_ITEMS = 1000
"""As many entries run in one script at most: Redis does nothing else meanwhile."""

Append = tuple[StreamKeys, Sequence[tuple[Offset, bytes]], int, Offset, asyncio.Future[int]]
"""See `EventLog.append`: whose, the items, the fence, what is lost; and who waits for the answer.
A plain tuple: anything with names takes longer to make than to send."""


class Packet(NamedTuple):
    """One call of the script, and who waits for each of its answers."""

    keys: Sequence[StreamKeys]
    args: tuple[str, str, bytes]
    done: Sequence[asyncio.Future[int]]

    def words(self, digest: str) -> tuple[str | bytes, ...]:
        """Return the call, word by word."""
        names = [name for keys in self.keys for name in keys.to_append]
        return "EVALSHA", digest, str(len(names)), *names, *self.args

    def packed(self, digest: str) -> bytes:
        """Return the call as it is sent."""
        names = len(self.keys) * len(self.keys[0].to_append)
        before = map(bulk, ("EVALSHA", digest, str(names)))
        packed = [keys.packed for keys in self.keys]
        args = [bulk(arg) for arg in self.args]
        return b"".join((b"*%d\r\n" % (3 + names + len(args)), *before, *packed, *args))


def packet(appends: Iterable[Append], publish: str) -> Packet:
    """Return the call for appends to streams of one slot."""
    of, lines, bodies, waiting = [], [], [], []
    for keys, items, fence, (lost_ms, lost_n), done in appends:
        line = f"{fence} {lost_ms}-{lost_n}"
        for (ms, n), data in items:
            line += f" {ms}-{n}:{len(data)}"
            bodies.append(data)
        lines.append(line)
        of.append(keys)
        waiting.append(done)
    return Packet(of, (publish, "\n".join(lines), b"".join(bodies)), waiting)


def grouped(appends: Sequence[Append], *, by_slot: bool) -> list[Sequence[Append]]:
    """Return what one script each may do: of one slot in a cluster, and no more than so much."""
    if not by_slot and sum([len(items) for _, items, _, _, _ in appends]) <= MOST_ITEMS:
        return [appends]
    groups: list[Sequence[Append]] = []
    newest: dict[int, tuple[list[Append], int]] = {}  # by slot: a group, and its items
    for each in appends:
        keys, items, _, _, _ = each
        slot = keys.partition if by_slot else 0
        group, size = newest.get(slot, ([], 0))
        if group and size + len(items) > MOST_ITEMS:
            group, size = [], 0
        if not group:
            groups.append(group)
        group.append(each)
        newest[slot] = group, size + len(items)
    return groups
