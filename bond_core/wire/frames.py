"""Frame a record once for all who get it: as a WebSocket frame, an envelope, an event.

text_frame   RFC 6455 §5.2: 81, the length in 1, 3 or 9 bytes, the payload; a server does not
             mask, so the same bytes serve every client
chunk        RFC 9112 §7.1: the length in hex, CRLF, the body, CRLF
envelope     {"t":"ev","id":"<id>","d":<record>}, of the subprotocol `bond.v1.json`
event        id: <id>, data: <record>, an empty line, of Server-Sent Events
"""

from __future__ import annotations

from collections.abc import Callable

from bond_core.log.event_log import Entry
from bond_core.log.offset import Offset

_FIN_TEXT = 0x81
_CACHED_BYTES = 1024 * 1024


def text_frame(payload: bytes) -> bytes:
    """Return a whole WebSocket text message in one frame, as a server sends it."""
    size = len(payload)
    if size < 126:
        return bytes((_FIN_TEXT, size)) + payload
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


def chunk(body: bytes) -> bytes:
    """Return a chunk of an HTTP/1.1 body; an empty one would end it, and is left out."""
    return b"%x\r\n%b\r\n" % (len(body), body) if body else b""


def envelope(entry: Entry) -> bytes:
    """Return the record in its envelope."""
    return b'{"t":"ev","id":"%b","d":%b}' % (str(entry.offset).encode(), entry.data)


def event(entry: Entry) -> bytes:
    """Return the record as an unnamed event."""
    return b"id: %b\ndata: %b\n\n" % (str(entry.offset).encode(), entry.data)


class FrameCache:
    """Frames beside their entries: what one reader had framed the next finds done.

    Keeps the newest, up to `max_bytes` of them. With each frame it keeps an entry, which its ring
    may have let go long ago: so whoever has the ring says what is to be forgotten.
    """

    def __init__(self, frame: Callable[[Entry], bytes], *, max_bytes: int = _CACHED_BYTES) -> None:
        self._frame = frame
        self._max_bytes = max_bytes
        # By identity, which is what readers of one ring share, and cheaper to hash than an
        # offset. The entry stands beside its frame so that its identity stays its own.
        self._frames: dict[int, tuple[Entry, bytes]] = {}
        self._bytes = 0

    def __call__(self, entry: Entry) -> bytes:
        """Return the entry's frame."""
        found = self._frames.get(id(entry))
        if found is not None:
            return found[1]
        frame = self._frame(entry)
        self._frames[id(entry)] = (entry, frame)
        self._bytes += len(frame)
        while self._bytes > self._max_bytes:
            oldest = next(iter(self._frames))
            self._bytes -= len(self._frames.pop(oldest)[1])
        return frame

    def forget(self, before: Offset) -> None:
        """Let go of what was framed first, as far as it is older than a position.

        What was framed late, for a reader that is behind, goes when all framed earlier has gone:
        so nothing stays for longer than twice as long as the ring keeps it.
        """
        frames = self._frames
        while frames:
            oldest = next(iter(frames))
            entry, frame = frames[oldest]
            if entry.offset >= before:
                return
            del frames[oldest]
            self._bytes -= len(frame)
