"""`bond plugins new`: write a plugin's package to begin with."""

from __future__ import annotations

import argparse
from pathlib import Path

from bond_core.errors import RequestError
from bond_core.plugin.discovery import find_plugins
from bond_server.scaffold.package import check_name, files_of, write


def new_(args: argparse.Namespace) -> int:
    """Write it, and say what to do next."""
    name = check_name(args.name)
    if name in {row.name for row in find_plugins()}:
        raise RequestError(f"a plugin called {name!r} is installed already", code="bad_name")
    folder = Path(args.into or f"bond-{name}")
    made = files_of(name, args.kind)
    write(folder, made)
    print(f"{folder}/")
    for path in sorted(made):
        print(f"  {path}")
    print(
        f"\nnext:\n  pip install -e {folder}\n  pytest {folder}\n  bond plugins info {name}\n"
        f"how it goes on: docs/tutorials/{args.kind}.md"
    )
    return 0
