"""Entries of one stream in memory, as many as its retention says."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable

from bond_core.log.event_log import Entry, Retention, new_entry
from bond_core.log.offset import START, Offset

_GONE = Entry(START, START, b"")


class Ring:
    """Keeps the newest entries in order.

    What is kept: entries of the last `seconds` before the newest, or of the last `windows`
    windows, whichever is more, and at most `max_bytes`, but for the newest window, which is
    kept however large. A window's entries leave together.
    """

    def __init__(self, retention: Retention) -> None:
        self._keep_ms = round(retention.seconds * 1000)
        self._windows = retention.windows
        self._max_bytes = retention.max_bytes
        self._entries: list[Entry] = []
        self._first = 0  # entries before it are trimmed; the list is cut now and then
        self._bytes = 0
        self._ends: deque[int] = deque()  # `ms` of the windows kept, rising
        self.top = START

    @property
    def oldest(self) -> Entry | None:
        """The oldest entry kept."""
        return self._entries[self._first] if self._first < len(self._entries) else None

    @property
    def newest(self) -> Entry | None:
        """The newest entry."""
        return self._entries[-1] if self._first < len(self._entries) else None

    @property
    def entries(self) -> int:
        """How many entries are kept."""
        return len(self._entries) - self._first

    @property
    def size_bytes(self) -> int:
        """How many bytes of records are kept."""
        return self._bytes

    def extend(self, entries: Iterable[Entry]) -> None:
        """Add entries that are newer than `top`, in order, and let the oldest go."""
        kept, ends, size, top = self._entries, self._ends, self._bytes, self.top
        for entry in entries:
            top, _, data = entry
            kept.append(entry)
            size += len(data)
            if not ends or ends[-1] != top[0]:
                ends.append(top[0])
        self.top, self._bytes = top, size
        if ends and (ends[0] < ends[-1] - self._keep_ms or size > self._max_bytes):
            self._trim()

    def write(self, items: Iterable[tuple[Offset, bytes]]) -> list[Entry]:
        """Add what is newer than `top`, each behind the one before; return it as entries."""
        ends, size, top = self._ends, self._bytes, self.top
        entries = []
        for offset, data in items:
            if offset > top:
                entries.append(new_entry((offset, top, data)))
                size += len(data)
                top = offset
                if not ends or ends[-1] != offset[0]:
                    ends.append(offset[0])
        self._entries += entries
        self.top, self._bytes = top, size
        if ends and (ends[0] < ends[-1] - self._keep_ms or size > self._max_bytes):
            self._trim()
        return entries

    def after(self, position: Offset, limit: int) -> tuple[Entry, ...]:
        """Return up to `limit` entries after a position."""
        entries = self._entries
        if position >= self.top or not limit or not entries:
            return ()
        if entries[-1].prev == position:  # what a live reader finds
            return (entries[-1],)
        at = bisect_right(entries, position, lo=self._first, key=_offset)
        return tuple(entries[at : at + limit])

    def _trim(self) -> None:
        entries, ends, first, size = self._entries, self._ends, self._first, self._bytes
        since_ms = ends[-1] - self._keep_ms
        while len(ends) > 1 and (
            size > self._max_bytes or (ends[0] < since_ms and len(ends) > self._windows)
        ):
            end_ms = ends.popleft()
            while entries[first][0][0] == end_ms:
                size -= len(entries[first][2])
                entries[first] = _GONE  # its bytes are free now, not when the list is cut
                first += 1
        if first * 2 > len(entries):
            del entries[:first]
            first = 0
        self._first, self._bytes = first, size


def _offset(entry: Entry) -> Offset:
    return entry.offset
