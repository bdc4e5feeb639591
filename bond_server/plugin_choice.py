"""Which of the installed plugins are used here: what the environment lists, or all but some.

`BOND_PLUGINS` names those to use and no others. Without it all are used but those that
`bond plugins disable` has noted in `plugins.json`, in the data directory.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from bond_core.plugin.discovery import Choice, Plugins
from bond_server.environment import Dotenv, default_data_dir

if TYPE_CHECKING:
    from bond_server.auth.kept import KeptFile


@attrs.define
class Kept:
    """What the file holds."""

    disabled: list[str] = attrs.field(factory=list)


def choice_of(environ: Mapping[str, str]) -> Choice:
    """Return which plugins are wanted now.

    Raises:
        SetupError: The file can't be read.
    """
    listed = environ.get("BOND_PLUGINS", "").split(",")
    names = frozenset(name.strip() for name in listed if name.strip())
    if names:
        return Choice(only=names)
    if not _path(environ).exists():  # the usual case, at each start: it loads nothing more
        return Choice()
    return Choice(without=frozenset(_kept_in(environ).read().disabled))


def plugins_of(environ: Mapping[str, str], dotenv: Dotenv | None = None) -> Plugins:
    """Return the plugins that the environment wants; it is asked again at each rescan.

    Args:
        environ: The environment.
        dotenv: A file that is brought into it first, each time.
    """

    def choose() -> Choice:
        if dotenv is not None:
            dotenv.read_again()
        return choice_of(environ)

    return Plugins(choose)


def switch(environ: Mapping[str, str], name: str, *, is_on: bool) -> Path:
    """Note whether a plugin is to be used; return the file.

    Raises:
        SetupError: It can't be written.
    """
    file = _kept_in(environ)
    with file.change() as kept:
        kept.disabled = sorted({*kept.disabled, name} - ({name} if is_on else set()))
    return file.path


def _kept_in(environ: Mapping[str, str]) -> KeptFile[Kept]:
    from bond_server.auth.kept import KeptFile  # noqa: PLC0415 -- see choice_of

    return KeptFile(_path(environ), Kept)


def _path(environ: Mapping[str, str]) -> Path:
    folder = environ.get("BOND_DATA_DIR", "").strip()
    return Path(folder or default_data_dir(environ)) / "plugins.json"
