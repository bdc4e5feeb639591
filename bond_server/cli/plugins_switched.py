"""`bond plugins enable|disable`: note which plugins are used here."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from bond_core.errors import RequestError
from bond_server.cli.plugins_shown import require_installed
from bond_server.plugin_choice import choice_of, switch


def enable_(args: argparse.Namespace) -> int:
    """Use it again; one that isn't installed any more may be taken off the list too."""
    _refuse_where_listed()
    path = switch(os.environ, args.name, is_on=True)
    _say(args.name, "enabled", path)
    return 0


def disable_(args: argparse.Namespace) -> int:
    """Leave it out."""
    _refuse_where_listed()
    require_installed(args.name)
    if args.name == "builtin":
        raise RequestError("what is built in can't be left out", code="builtin_plugin")
    path = switch(os.environ, args.name, is_on=False)
    _say(args.name, "disabled", path)
    return 0


def _refuse_where_listed() -> None:
    """Say that it would do nothing: where BOND_PLUGINS lists plugins, that alone counts."""
    if choice_of(os.environ).only is not None:
        raise RequestError(
            "BOND_PLUGINS is set, and lists all that are used: change it there, or unset it",
            code="plugins_listed",
        )


def _say(name: str, what: str, path: Path) -> None:
    print(f"{name} is {what} (noted in {path})")
    print("A server that runs heeds it at its next start, or at POST /v1/plugins/rescan.")
