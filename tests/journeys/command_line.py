"""Run `bond` as its users do: the installed command, in a process of its own, and not for ever."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

TIMEOUT_S = 120.0

_INSTALLED = shutil.which("bond", path=str(Path(sys.executable).parent))
BOND = (
    (_INSTALLED,)
    if _INSTALLED
    else (sys.executable, "-c", "import sys; from bond_server.cli import main; sys.exit(main())")
)


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment, without what would change how output looks."""
    kept = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith(("BOND_", "EKKO_", "DEEPSEEK_", "COLUMNS"))
    }
    return {**kept, "PYTHONUNBUFFERED": "1", **(more or {})}


def bond(
    *words: str, env: Mapping[str, str] | None = None, cwd: Path | None = None,
    timeout_s: float = TIMEOUT_S,
) -> subprocess.CompletedProcess[str]:  # fmt: skip
    """Run a command to its end, and return what it printed."""
    return subprocess.run(
        [*BOND, *words],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        cwd=cwd,
        env=environment(env),
        timeout=timeout_s,
        stdin=subprocess.DEVNULL,
    )


def start(
    *words: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdout: int = subprocess.PIPE,
) -> subprocess.Popen[str]:
    """Start a command that runs until it is told to end; use as a context manager, and end it."""
    return subprocess.Popen(
        [*BOND, *words],
        stdout=stdout,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
        cwd=cwd,
        env=environment(env),
        preexec_fn=_heed_ctrl_c if sys.platform != "win32" else None,  # noqa: PLW1509
    )


def _heed_ctrl_c() -> None:
    """Undo what a shell does to the jobs that it starts in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def serving(folder: Path, **settings: str) -> Iterator[str]:
    """Run a server that simulates, and give its address; it keeps what it keeps in `folder`."""
    env = {"BOND_SIMULATE": "1", "BOND_DATA_DIR": str(folder), **settings}
    with start("serve", "--port", "0", "--log-level", "error", env=env, cwd=folder) as server:
        try:
            address = None
            while address is None:
                line = server.stdout.readline()
                assert line, server.stderr.read()
                address = re.search(r"http://127\.0\.0\.1:\d+", line)
            yield address[0]
            server.send_signal(signal.SIGINT)
            server.wait(timeout=30)
        finally:
            server.kill()
