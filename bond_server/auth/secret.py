"""The secret that stream tokens are signed with: make one, judge one, keep one on disk."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from bond_core.errors import SetupError
from bond_core.settings import Secret

PUBLISHED_DEFAULT = "bond-dev-secret-change-in-production"
SHORTEST_BYTES = 32


def new_secret() -> str:
    """Return 256 random bits as 64 hex digits."""
    return secrets.token_hex(32)


def is_weak(text: str | None) -> bool:
    """Return whether tokens signed with `text` could be forged: missing, short or published."""
    return not text or len(os.fsencode(text)) < SHORTEST_BYTES or text == PUBLISHED_DEFAULT


def keep_secret(path: Path) -> Secret:
    """Return the secret kept in a file that only its owner may read; make it if there is none.

    Raises:
        SetupError: The file can't be written, or holds something else.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _create(path)
        path.chmod(0o600)
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(
            f"{path} can't be kept: {error}. Set BOND_SECRET, or BOND_DATA_DIR to a folder "
            "that can be written",
            fix="bond secret new",
        ) from error
    if is_weak(text):
        raise SetupError(f"{path} holds no secret. Delete it, and a new one is made")
    return Secret(text)


def _create(path: Path) -> None:
    """Write a new secret, whole or not at all; leave one that is there alone.

    Two servers may start at once: the one that links its file first wins, both use that.
    """
    if path.exists():
        return
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123 -- Path.open can't give the file its mode from the first moment
            file.write(new_secret() + "\n")
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links
            draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
