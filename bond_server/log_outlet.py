"""Write log lines without ever waiting for whoever takes them.

A pipe whose reader has stopped takes nothing more, nor does a terminal that was told to hold. A
plain handler waits there, and with it the event loop and every client. Here a thread waits.
"""

from __future__ import annotations

import logging
import os
import threading
import time

_MOST_BYTES = 1 << 20
_FLUSH_WITHIN_S = 1.0
_AGAIN_S = 0.05

STDERR = 2


class Outlet(logging.Handler):
    """Formats where it is called, and has a thread write.

    Lines for which there is no room are dropped; how many is said behind the last one that was
    kept, as soon as lines are taken again.

    Args:
        fd: The descriptor to write to.
        most_bytes: How much may wait; as much again may be under way.
    """

    def __init__(self, fd: int = STDERR, most_bytes: int = _MOST_BYTES) -> None:
        super().__init__()
        self._fd = fd
        self._most_bytes = most_bytes
        self._lines: list[bytes] = []
        self._waiting_bytes = 0
        self._dropped = 0
        self._is_writing = False
        self._is_closed = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Have a line written, in its turn."""
        try:
            self._put(self._line(record))
        except Exception:  # noqa: BLE001 -- as every handler: whoever logs gets no error
            self.handleError(record)

    def flush(self) -> None:
        """Wait until everything is written, but only for a second: the reader may never come."""
        with self._changed:
            self._changed.wait_for(
                lambda: not (self._lines or self._is_writing), timeout=_FLUSH_WITHIN_S
            )

    def close(self) -> None:
        """Let the thread end behind what is still to be written."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        super().close()

    def _line(self, record: logging.LogRecord) -> bytes:
        return f"{self.format(record)}\n".encode(errors="backslashreplace")

    def _put(self, line: bytes) -> None:
        with self._changed:
            is_too_much = self._waiting_bytes + len(line) > self._most_bytes
            if self._lines and (self._dropped or is_too_much):
                self._dropped += 1
                return
            self._lines.append(line)
            self._waiting_bytes += len(line)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="write logs", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def _run(self) -> None:
        failed = 0
        while True:
            with self._changed:
                self._is_writing = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._lines or self._is_closed)
                if not self._lines:
                    self._thread = None
                    return
                lines, self._lines, self._waiting_bytes = self._lines, [], 0
                dropped, self._dropped = self._dropped, 0
                self._is_writing = True
            try:
                self._write(self._missing(failed) + b"".join(lines) + self._missing(dropped))
                failed = 0
            except OSError:  # the disk is full, or nobody is there: told if it ever works again
                failed += len(lines) + dropped

    def _missing(self, count: int) -> bytes:
        if not count:
            return b""
        said = {"name": "bond.server", "levelno": logging.WARNING, "levelname": "WARNING",
                "msg": "%d lines of this log are missing here: nobody took them",
                "args": (count,)}  # fmt: skip
        return self._line(logging.makeLogRecord(said))

    def _write(self, data: bytes) -> None:
        # Not `sys.stderr`: at its end the interpreter dies of one that a thread waits in.
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self._fd, left) :]
            except BlockingIOError:  # somebody who has it, too, made it so
                time.sleep(_AGAIN_S)
