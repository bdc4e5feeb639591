"""Entries of one stream in memory, as many as its retention says."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable

from bond_core.log.event_log import Entry, Retention
from bond_core.log.offset import START, Offset

_GONE = Entry(START, START, b"")


class Ring:
    """Keeps the newest entries in order.

    What is kept: entries of the last `seconds` before the newest, or of the last `windows`
    windows, whichever is more, and at most `max_bytes`, but for the newest window, which is
    kept however large. A window's entries leave together.
    """

    def __init__(self, retention: Retention) -> None:
        self._retention = retention
        self._keep_ms = round(retention.seconds * 1000)
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
        ends = self._ends
        for entry in entries:
            offset, _, data = entry
            self._entries.append(entry)
            self._bytes += len(data)
            if not ends or ends[-1] != offset.ms:
                ends.append(offset.ms)
            self.top = offset
        if ends and (ends[0] < ends[-1] - self._keep_ms or self._bytes > self._retention.max_bytes):
            self._trim()

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
        keep = self._retention
        since_ms = self._ends[-1] - self._keep_ms
        while len(self._ends) > 1 and (
            (self._ends[0] < since_ms and len(self._ends) > keep.windows)
            or self._bytes > keep.max_bytes
        ):
            self._drop_window(self._ends.popleft())
        if self._first * 2 > len(self._entries):
            del self._entries[: self._first]
            self._first = 0

    def _drop_window(self, end_ms: int) -> None:
        while self._entries[self._first].offset.ms == end_ms:
            self._bytes -= len(self._entries[self._first].data)
            self._entries[self._first] = _GONE  # its bytes are free now, not when the list is cut
            self._first += 1


def _offset(entry: Entry) -> Offset:
    return entry.offset
