"""`bond plugins`: what is installed, what a plugin brings, and whether all of it loads."""

from __future__ import annotations

import argparse
import difflib
import json
import os
from collections.abc import Iterable, Sequence
from typing import Any

from bond_core.errors import Problem, RequestError
from bond_core.plugin.discovery import PluginRow, find_plugins, load_plugins

NAME = "plugins"
HELP = "what is installed, and how it fares"
EXAMPLES = """\
examples:
  bond plugins list            reads package metadata, imports no plugin
  bond plugins info ccxt       loads that one: what it brings, and how it is set up
  bond plugins doctor          loads them all; exit status 1 if one can't be used"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what may be asked of the plugins."""
    asked = parser.add_subparsers(dest="asked", required=True, metavar="list | info NAME | doctor")
    as_json = argparse.ArgumentParser(add_help=False)
    as_json.add_argument("--json", action="store_true", help="print JSON")
    asked.add_parser("list", parents=[as_json], help="list what is installed, loading nothing")
    info = asked.add_parser("info", parents=[as_json], help="say what one plugin brings")
    info.add_argument("name", metavar="NAME", help="as `bond plugins list` shows it")
    asked.add_parser("doctor", parents=[as_json], help="load them all and say how each fares")


def run(args: argparse.Namespace) -> int:
    """Answer what was asked."""
    answers = {"list": _list, "info": _info, "doctor": _doctor}
    return answers[args.asked](args)


def _list(args: argparse.Namespace) -> int:
    rows = find_plugins()
    if args.json:
        _print_json([_row_as_json(row) for row in rows])
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


def _info(args: argparse.Namespace) -> int:
    from bond_core.plugin.catalog import Catalog, describe  # noqa: PLC0415 -- `list` needs none

    _require_installed(args.name)
    rows = Catalog(load_plugins(only={args.name})).rows
    row = next(row for row in rows if row.name == args.name)
    about = [describe(spec) for spec in row.specs]
    if args.json:
        _print_json(_row_as_json(row) | {"provides": about})
    else:
        _print_info(row, about)
    return 0 if row.state == "loaded" else 1


def _doctor(args: argparse.Namespace) -> int:
    from bond_core.plugin.catalog import Catalog  # noqa: PLC0415 -- as above

    rows = Catalog(load_plugins(only=_chosen())).rows
    if args.json:
        _print_json([_row_as_json(row) | {"needs": _missing_keys(row)} for row in rows])
    else:
        width = max(len(row.name) for row in rows)
        for row in rows:
            print(f"{_MARKS[row.state]:<4}  {row.name:<{width}}  {_fares(row)}")
            for key, why in _missing_keys(row).items():
                print(f"warn  {row.name:<{width}}  {key} is not set: {why}")
    return 1 if any(row.state in ("failed", "conflict") for row in rows) else 0


_MARKS = {"loaded": "ok", "failed": "FAIL", "conflict": "FAIL", "disabled": "off", "found": "?"}


def _print_columns(head: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    """Print a table of text, as wide as what stands in it."""
    rows = [head, *lines]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def _chosen() -> list[str] | None:
    """Return the plugins that BOND_PLUGINS names; None where it is not set: all of them."""
    listed = os.environ.get("BOND_PLUGINS", "").split(",")
    return [name.strip() for name in listed if name.strip()] or None


def _require_installed(name: str) -> None:
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


def _missing_keys(row: PluginRow) -> dict[str, str]:
    """Return what the plugin's sources need from the environment and don't find there."""
    needs: dict[str, str] = {}
    for spec in row.specs:
        needs |= dict(getattr(spec, "needs", {}))
    return {key: why for key, why in needs.items() if not os.environ.get(key)}


def _fares(row: PluginRow) -> str:
    if row.state != "loaded":
        return f"{row.state}: {row.reason} ({row.distribution} {row.version})"
    names = ", ".join(spec.name for spec in row.specs) or "nothing by itself"
    return f"{row.distribution} {row.version}: {names}"


def _row_as_json(row: PluginRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "distribution": row.distribution,
        "version": row.version,
        "module": row.module,
        "state": row.state,
        "reason": row.reason,
        "provides": [spec.name for spec in row.specs],
    }


def _print_info(row: PluginRow, about: Sequence[dict[str, Any]]) -> None:
    print(f"{row.name}  {row.distribution} {row.version}  ({row.module})")
    if row.state != "loaded":
        print(f"  {row.state}: {row.reason}")
    elif not about:
        print("  registers nothing: another plugin uses it")
    for spec in about:
        print(f"\n{spec['name']}  {spec['summary']}  [{spec['stability']}]")
        for key in ("aliases", "kinds", "kind", "fields", "venues", "hosts"):
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
            print(f"  setting   {_setting(name, setting, spec['config']['required'])}")


def _setting(name: str, schema: dict[str, Any], required: Sequence[str]) -> str:
    """Say a setting on one line: `every_s  number, from 0.5, 5.0 unless said: Seconds …`."""
    what = str(schema.get("type", "a secret" if schema.get("writeOnly") else "any"))
    parts = [" or ".join(schema["enum"]) if "enum" in schema else what]
    if "minimum" in schema:
        parts.append(f"from {schema['minimum']:g}")
    if "maximum" in schema:
        parts.append(f"to {schema['maximum']:g}")
    if name in required:
        parts.append("required")
    elif "default" in schema:
        parts.append(f"{schema['default']!r} unless said")
    return f"{name}: {', '.join(parts)}. {schema.get('description', '')}".rstrip()


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2))
