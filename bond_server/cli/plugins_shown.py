"""`bond plugins list|info|doctor|docs`: show what is installed, and how it fares."""

from __future__ import annotations

import argparse
import difflib
import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from bond_core.errors import PluginError, Problem, RequestError
from bond_core.plugin.discovery import Choice, PluginRow, Plugins, find_plugins
from bond_core.plugin.records import full_record_of, missing_keys, record_of
from bond_server.plugin_choice import choice_of

if TYPE_CHECKING:
    from bond_core.plugin.catalog import Catalog

_MARKS = {"loaded": "ok", "failed": "FAIL", "conflict": "FAIL", "disabled": "off", "found": "?"}


def list_(args: argparse.Namespace) -> int:
    """List what is installed; nothing is loaded."""
    choice = choice_of(os.environ)
    rows = [_with_choice(row, choice) for row in find_plugins()]
    if args.json:
        _print_json([record_of(row, os.environ) for row in rows])
        return 0
    _print_columns(
        ("plugin", "package", "version", "module"),
        [(row.name, row.distribution, row.version, row.module) for row in rows],
    )
    for row in rows:
        if row.reason:
            print(f"! {row.name}: {row.reason}")
    print("\nNone of them was loaded. What one brings: bond plugins info NAME")
    return 0


def info_(args: argparse.Namespace) -> int:
    """Load one plugin, and say what it brings."""
    row = loaded_row(args.name)
    if args.json:
        _print_json(full_record_of(row, os.environ))
    else:
        _print_info(row)
    return 0 if row.state == "loaded" else 1


def doctor_(args: argparse.Namespace) -> int:
    """Load all that are wanted, and say how each fares."""
    rows = _catalog(choice_of(os.environ)).rows
    if args.json:
        _print_json([record_of(row, os.environ) for row in rows])
    else:
        width = max(len(row.name) for row in rows)
        for row in rows:
            print(f"{_MARKS[row.state]:<4}  {row.name:<{width}}  {_fares(row)}")
            for key, why in missing_keys(row, os.environ).items():
                print(f"warn  {row.name:<{width}}  {key} is not set: {why}")
    return 1 if any(row.state in ("failed", "conflict") for row in rows) else 0


def docs_(args: argparse.Namespace) -> int:
    """Print a plugin's page."""
    from bond_core.plugin.page import page_of  # noqa: PLC0415 -- nothing else here needs it

    row = loaded_row(args.name)
    if row.state != "loaded":
        raise PluginError(f"plugin {row.name} is {row.state}: {row.reason}")
    sys.stdout.write(page_of(row, sentences=_sentences(row)))
    return 0


def _sentences(row: PluginRow) -> list[str]:
    """Return sentences that ask for what a plugin brings, among what is used here."""
    from bond_server.language.examples import examples_of  # noqa: PLC0415 -- as above
    from bond_server.language.vocabulary import vocabulary_of  # noqa: PLC0415 -- as above

    catalog = _catalog(Choice(only=choice_of(os.environ).only))
    return list(examples_of(row.specs, vocabulary_of(catalog)).values())


def loaded_row(name: str) -> PluginRow:
    """Load one plugin, whether it is enabled or not, and return its row.

    Raises:
        RequestError: `unknown_plugin`: it isn't installed.
    """
    require_installed(name)
    rows = _catalog(Choice(only=frozenset({name}))).rows
    return next(row for row in rows if row.name == name)


def require_installed(name: str) -> None:
    """Raise RequestError if there is no such plugin."""
    names = [row.name for row in find_plugins()]
    if name not in names:
        near = tuple(difflib.get_close_matches(name, names, n=1))
        detail = f"there is no plugin {name!r} here; installed: {', '.join(names)}"
        raise RequestError(
            detail,
            code="unknown_plugin",
            problems=[Problem(detail=detail, text=name, did_you_mean=near)],
            fix=f"bond plugins info {near[0]}" if near else "bond plugins list",
        )


def _catalog(choice: Choice) -> Catalog:
    from bond_core.plugin.catalog import Catalog  # noqa: PLC0415 -- `list` needs none

    return Catalog.loaded(Plugins(lambda: choice))


def _with_choice(row: PluginRow, choice: Choice) -> PluginRow:
    reason = choice.reason_against(row.name)
    if row.state != "found" or reason is None or row.name == "builtin":
        return row
    return attrs.evolve(row, state="disabled", reason=reason)


def _print_columns(head: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    """Print a table of text, as wide as what stands in it."""
    rows = [head, *lines]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def _fares(row: PluginRow) -> str:
    if row.state != "loaded":
        return f"{row.state}: {row.reason} ({row.distribution} {row.version})"
    names = ", ".join(spec.name for spec in row.specs) or "nothing by itself"
    return f"{row.distribution} {row.version}: {names}"


def _print_info(row: PluginRow) -> None:
    from bond_core.plugin.page import setting_line  # noqa: PLC0415 -- nothing else here needs it

    print(f"{row.name}  {row.distribution} {row.version}  ({row.module})")
    if row.state != "loaded":
        print(f"  {row.state}: {row.reason}")
    elif not row.specs:
        print("  registers nothing: another plugin uses it")
    for spec in full_record_of(row, os.environ)["provides"]:
        print(f"\n{spec['name']}  {spec['summary']}  [{spec['what']}, {spec['stability']}]")
        for key in ("aliases", "kinds", "kind", "fields", "words", "venues", "hosts", "delivery"):
            if spec.get(key):
                said = spec[key]
                print(f"  {key:<9} {said if isinstance(said, str) else ' '.join(said)}")
        for channel in spec.get("channels", ()):
            words = ", ".join(sorted(channel["words"])) or "no words of its own"
            print(f"  channel   {channel['name']}: {words}")
        if spec.get("polls_every_s"):
            print(f"  polls     every {spec['polls_every_s']:g} s")
        for key, why in spec.get("needs", {}).items():
            print(f"  needs     {key}: {why}" + ("" if os.environ.get(key) else " (not set)"))
        for name, setting in spec["config"]["properties"].items():
            print(f"  setting   {setting_line(name, setting, spec['config']['required'])}")


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2))
