"""What every command takes from its surroundings: a `.env` file, and where data are kept.

Imported by commands that need nothing else of the settings, so it imports next to nothing.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from bond_core.errors import Problem
from bond_core.settings import SettingsError

IN_FILES = (
    "BOND_SECRET", "BOND_SECRET_PREVIOUS", "BOND_API_KEYS", "REDIS_URL", "DEEPSEEK_API_KEY",
    "BOND_LLM_API_KEY",
)  # fmt: skip
"""What may stand in a file that `NAME_FILE` names: secrets, as containers and systemd hand them."""

_DOTENV_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*")


def wrong(name: str, text: str, must: str) -> Problem:
    """Return what is wrong with a variable that holds no secret: it is repeated."""
    return Problem(detail=f"must be {must}, was {text[:40]!r}", pointer=name, text=text[:40])


def default_data_dir(environ: Mapping[str, str]) -> Path:
    """Return where this platform keeps a user's program data."""
    home = Path.home()
    if sys.platform == "win32":
        return Path(environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "bond"
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "bond"
    return Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share") / "bond"


def read_dotenv(path: Path) -> dict[str, str]:
    """Return the variables of a `.env` file, none where there is no file.

    A line is `NAME=value`, `export NAME=value`, a comment or empty. Quotes around a value
    are dropped; nothing is expanded. Outside quotes ` #` starts a comment.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, IsADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} can't be read: {error}") from error
    found = {}
    for line in text.splitlines():
        match = _DOTENV_LINE.fullmatch(line)
        if match:
            found[match[1]] = _unquote(match[2])
    return found


def with_files(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment with what stands in files, without spaces and line ends around it.

    Raises:
        SettingsError: A file can't be read, or a variable is given both ways.
    """
    found = dict(environ)
    for name in IN_FILES:
        path = found.pop(f"{name}_FILE", "").strip()
        if not path:
            continue
        if found.get(name, "").strip():
            raise SettingsError(f"{name} and {name}_FILE are both set: leave one out")
        try:
            found[name] = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{name}_FILE: {path} can't be read: {error}") from error
    return found


class Dotenv:
    """A `.env` file that may change while the process runs.

    What came out of it is renewed, or taken back; what was set otherwise stays.
    """

    def __init__(self, environ: MutableMapping[str, str], folder: Path) -> None:
        self._environ = environ
        self._path = folder / ".env"
        found = read_dotenv(self._path)
        self._mine = {name for name, value in found.items() if environ.get(name) == value}

    def read_again(self) -> None:
        """Bring the environment up to what the file says now.

        Raises:
            SettingsError: It can't be read.
        """
        found = read_dotenv(self._path)
        for name in self._mine - found.keys():
            self._environ.pop(name, None)
        self._mine &= found.keys()
        for name, value in found.items():
            if name in self._mine or name not in self._environ:
                self._environ[name] = value
                self._mine.add(name)


def apply_dotenv(environ: MutableMapping[str, str], folder: Path) -> None:
    """Add what `folder/.env` says to an environment; what is set already stays."""
    for name, value in read_dotenv(folder / ".env").items():
        environ.setdefault(name, value)


def _unquote(value: str) -> str:
    if value[:1] in ("'", '"'):
        end = value.find(value[0], 1)
        if end > 0:
            return value[1:end]
    return re.split(r"\s#|^#", value, maxsplit=1)[0].rstrip()
