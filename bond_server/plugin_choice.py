"""Which of the installed plugins are used here: what the environment lists, or all but some.

`BOND_PLUGINS` names those to use and no others. Without it all are used but those that
`bond plugins disable` has noted in `plugins.json`, in the data directory.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import attrs

from bond_core.plugin.discovery import Choice, Plugins
from bond_server.auth.kept import KeptFile
from bond_server.settings import default_data_dir


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
    return Choice(without=frozenset(kept_in(environ).read().disabled))


def plugins_of(environ: Mapping[str, str]) -> Plugins:
    """Return the plugins that the environment wants; it is asked again at each rescan."""
    return Plugins(lambda: choice_of(environ))


def switch(environ: Mapping[str, str], name: str, *, is_on: bool) -> Path:
    """Note whether a plugin is to be used; return the file.

    Raises:
        SetupError: It can't be written.
    """
    file = kept_in(environ)
    with file.change() as kept:
        kept.disabled = sorted({*kept.disabled, name} - ({name} if is_on else set()))
    return file.path


def kept_in(environ: Mapping[str, str]) -> KeptFile[Kept]:
    """Return the file in which it is noted."""
    folder = environ.get("BOND_DATA_DIR", "").strip()
    return KeptFile(Path(folder or default_data_dir(environ)) / "plugins.json", Kept)
