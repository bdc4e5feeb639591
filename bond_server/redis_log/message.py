"""Read what Redis says of a stream's entries: a watcher's message, and a read's reply.

A message tells of one append: `<prev> <id>:<bytes> <id>:<bytes> …`, a line feed, and then the
entries' data without anything between. An empty message tells that the stream is gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bond_core.log.event_log import Entry, new_entry
from bond_core.log.offset import Offset, new_offset


def read_message(message: bytes) -> list[Entry]:
    """Return the entries of one append, in order; none if the stream is gone."""
    if not message:
        return []
    head, _, bodies = message.partition(b"\n")
    prev_text, *heads = head.split(b" ")
    prev, at, entries = offset_of(prev_text), 0, []
    for each in heads:
        text, _, size = each.partition(b":")
        offset, end = offset_of(text), at + int(size)
        entries.append(new_entry((offset, prev, bodies[at:end])))
        prev, at = offset, end
    return entries


def read_entries(found: Iterable[tuple[bytes, Sequence[bytes]]]) -> list[Entry]:
    """Return the entries of an XRANGE reply: `[id, [b"d", data, b"p", prev]]` each."""
    entries: list[Entry] = []
    last_text, last = b"", Offset(0, 0)
    for text, (_, data, _, prev_text) in found:
        prev = last if prev_text == last_text else offset_of(prev_text)
        last_text, last = text, offset_of(text)
        entries.append(new_entry((last, prev, data)))
    return entries


def offset_of(text: bytes) -> Offset:
    """Return the offset that Redis wrote."""
    ms, _, n = text.partition(b"-")
    return new_offset((int(ms), int(n)))
