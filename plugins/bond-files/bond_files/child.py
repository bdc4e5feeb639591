"""Have a journal made into Parquet by a process of its own.

It takes seconds of work and a hundred megabytes of library: neither belongs into the process
that serves streams.
"""

from __future__ import annotations

import errno
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

WITHIN_S = 300.0
"""How long one file may take. Real seconds."""


def to_parquet(journal: Path, whole: Path) -> None:
    """Write the records of a journal as a Parquet file, in one step, and remove the journal.

    Raises:
        OSError: It could not be written; the journal is as it was.
    """
    new = whole.with_name(f"{whole.name}.new")
    try:
        done = subprocess.run(  # noqa: S603 -- this interpreter, our own module
            [sys.executable, "-m", "bond_files.parquet", str(journal), str(new)],
            capture_output=True, text=True, check=False, timeout=WITHIN_S,
        )  # fmt: skip
        if done.returncode != 0:
            said = done.stderr.strip().splitlines()
            raise OSError(errno.EIO, said[-1] if said else f"exit status {done.returncode}")
        new.rename(whole)
    except subprocess.TimeoutExpired:
        raise OSError(errno.ETIMEDOUT, f"it took longer than {WITHIN_S:g} s") from None
    finally:
        with suppress(FileNotFoundError):
            new.unlink()
    journal.unlink()
