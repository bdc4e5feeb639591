"""What a sink in somebody's spec may use of the machine that runs it: variables, files, folders.

Whoever may create a stream may write any settings for its sinks. A secret by `{"$env": NAME}`
goes where the spec says, and a path is written to, so a server that strangers use must say which
variables, which secret files and which folder they may name. Bond's own variables are never named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import attrs

from bond_core.errors import Fatal

_OWN = ("BOND_*", "REDIS_URL")


@attrs.frozen(kw_only=True)
class SinkPolicy:
    """What the settings of a sink may name.

    Attributes:
        variables: Environment variables, such as `HOOK_*`.
        secret_folders: Where secret files may lie; None is anywhere.
        folder: Where sinks may write files: relative paths begin there, and none leads out of
            it. None is anywhere.
        writes: Whether sinks may write files at all.
    """

    variables: tuple[str, ...] = ("*",)
    secret_folders: tuple[Path, ...] | None = None
    folder: Path | None = None
    writes: bool = True

    def refused(self, config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Yield the secrets that may not be named: a pointer into `config`, and why."""
        for pointer, kind, name in _secrets(config, ""):
            if kind == "$env" and not self._may_read(name):
                yield pointer, f"the variable {name} is not one that sinks may use here"
            if kind == "$file" and not self._is_within(name):
                yield pointer, "that file is not where sinks' secrets are kept here"

    def path(self, text: str) -> Path:
        """Return where a path leads that a spec gave.

        Raises:
            Fatal: It may not be written to.
        """
        if not self.writes:
            raise Fatal(
                "this server lets no sink write files: BOND_SINK_DIR names a folder for them",
                fix="BOND_SINK_DIR=records",
                code="forbidden_path",
            )
        if "\0" in text:
            raise Fatal("that is no path", code="forbidden_path")
        if self.folder is None:
            return Path(text).absolute()
        folder = self.folder.resolve()
        found = (folder / text).resolve()
        if not found.is_relative_to(folder):
            raise Fatal("that path leads out of the folder for sinks", code="forbidden_path")
        return found

    def _may_read(self, name: str) -> bool:
        is_own = any(fnmatchcase(name, pattern) for pattern in _OWN)
        return not is_own and any(fnmatchcase(name, pattern) for pattern in self.variables)

    def _is_within(self, text: str) -> bool:
        if self.secret_folders is None:
            return True
        if "\0" in text:
            return False
        found = Path(text).resolve()
        return any(found.is_relative_to(folder.resolve()) for folder in self.secret_folders)


def _secrets(value: Any, pointer: str) -> Iterator[tuple[str, str, str]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key in ("$env", "$file") and isinstance(item, str):
                yield pointer, key, item
            else:
                token = str(key).replace("~", "~0").replace("/", "~1")  # RFC 6901, 3
                yield from _secrets(item, f"{pointer}/{token}")
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _secrets(item, f"{pointer}/{i}")
