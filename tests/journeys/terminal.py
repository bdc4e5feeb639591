"""Run `bond` on a terminal of its own: a pseudo-terminal with a size, colours and Ctrl-C."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

import attrs

from tests.journeys.command_line import BOND, TIMEOUT_S, environment

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9[0-7])[;\dm]")


@attrs.define
class Terminal:
    """A command that runs on a terminal.

    Attributes:
        process: The command; its stderr goes to the terminal too.
        said: All it has written, escapes and all.
    """

    process: subprocess.Popen[bytes]
    _master: int
    said: str = ""

    def until(self, enough: Callable[[str], object]) -> str:
        """Read until `enough` says so of all that was written; return that."""
        end = time.monotonic() + TIMEOUT_S
        while not enough(self.said):
            assert time.monotonic() < end, self.said
            if not self._read(end - time.monotonic()):
                break
        assert enough(self.said), self.said
        return self.said

    def to_the_end(self) -> int:
        """Read until the command has ended; return its status."""
        end = time.monotonic() + TIMEOUT_S
        while self._read(end - time.monotonic()):
            assert time.monotonic() < end, self.said
        return self.process.wait(timeout=TIMEOUT_S)

    def lines(self) -> list[str]:
        """Return what a person sees, without colours."""
        return ESCAPE.sub("", self.said).replace("\r\n", "\n").split("\n")

    def press_ctrl_c(self) -> None:
        """Type it, as a person does."""
        os.write(self._master, b"\x03")

    def resize(self, columns: int) -> None:
        """Make the window so wide, and tell the command as a terminal does."""
        _set_size(self._master, columns)
        self.process.send_signal(signal.SIGWINCH)

    def _read(self, within_s: float) -> bool:
        """Read what there is; whether there may be more."""
        ready, _, _ = select.select([self._master], [], [], max(within_s, 0))
        data = b""
        if ready:
            with suppress(OSError):  # Linux says EIO once the other side is closed
                data = os.read(self._master, 65_536)
        self.said += data.decode("utf-8", "replace")
        return bool(data)


@contextmanager
def on_a_terminal(
    *words: str, columns: int = 80, env: Mapping[str, str] | None = None,
    stdout: int | None = None,
) -> Iterator[Terminal]:  # fmt: skip
    """Start a command on a terminal so wide; `stdout` may lead elsewhere."""
    master, slave = pty.openpty()
    _set_size(master, columns)
    try:
        process = subprocess.Popen(
            [*BOND, *words],
            stdin=slave,
            stdout=slave if stdout is None else stdout,
            stderr=slave,
            env=environment({"TERM": "xterm-256color", **(env or {})}),
            start_new_session=True,
            preexec_fn=lambda: _take(slave),  # noqa: PLW1509 -- nothing else runs in this process
        )
    finally:
        os.close(slave)
    try:
        yield Terminal(process, master)
    finally:
        process.kill()
        process.wait(timeout=TIMEOUT_S)
        os.close(master)


def _take(slave: int) -> None:
    """Make it the terminal that the process answers to, so that Ctrl-C reaches it."""
    import fcntl  # -- there is none on Windows
    import termios

    if sys.platform != "win32":
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _set_size(descriptor: int, columns: int) -> None:
    import fcntl  # -- as above
    import termios

    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
