"""`bond errors`: what an error's code means, and what mends it."""

from __future__ import annotations

import argparse
import difflib
import json
from collections.abc import Iterable

import attrs

from bond_core.errors import Problem, RequestError
from bond_server.error_catalogue.catalogue import CATALOGUE
from bond_server.error_catalogue.entry import Entry
from bond_server.error_catalogue.page import described

NAME = "errors"
HELP = "say what an error's code means, and what mends it"
EXAMPLES = """\
examples:
  bond errors unknown_exchange
  bond errors                    lists all
  bond errors --json | jq '.[] | select(.close)'"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare which."""
    parser.add_argument("code", nargs="?", metavar="CODE", help="as it stands in error[CODE]")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print one, or all. RequestError: there is none of this code."""
    entries = [CATALOGUE[code] for code in sorted(CATALOGUE)]
    if args.code is not None:
        entries = [_known(args.code)]
    if args.json:
        print(json.dumps([attrs.asdict(entry) for entry in entries], indent=2))
    elif args.code is None:
        _print_list(entries)
    else:
        _print_one(entries[0])
    return 0


def _known(code: str) -> Entry:
    if code not in CATALOGUE:
        near = tuple(difflib.get_close_matches(code, CATALOGUE, n=3))
        detail = f"there is no error {code[:40]!r}"
        raise RequestError(
            detail,
            code="unknown_error",
            problems=[Problem(detail=detail, text=code[:40], did_you_mean=near)],
            fix=f"bond errors {near[0]}" if near else "bond errors",
        )
    return CATALOGUE[code]


def _print_list(entries: Iterable[Entry]) -> None:
    width = max(map(len, CATALOGUE))
    for entry in entries:
        print(f"{entry.code:<{width}}  {entry.cause}")


def _print_one(entry: Entry) -> None:
    print(f"{entry.code}: {described(entry)}\n  {entry.cause}\n  {entry.remedy}")
    if entry.fix is not None:
        print(f"  such as: {entry.fix}")
