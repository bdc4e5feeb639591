"""`bond lint`: is this spec right? What is wrong is shown in its line, with the column.

    spec.json:3:5: unknown key 'intervall'  did you mean interval_sec?
      "intervall": 5,
      ^^^^^^^^^^^

The form `FILE:LINE:COLUMN:` is the one that editors follow.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from bond_core.errors import BondError, Problem, RequestError, SetupError
from bond_core.plugin.catalog import Catalog
from bond_core.runtime.binding import Defaults
from bond_server.assumed import defaults_of
from bond_server.cli.colours import error_for
from bond_server.compiling import compile_request
from bond_server.json_places import Place, Places, line_and_column, read_with_places
from bond_server.language.problem_text import printable
from bond_server.language.vocabulary import Vocabulary, vocabulary_of
from bond_server.plugin_choice import plugins_of

NAME = "lint"
HELP = "say whether a spec is right, and where it is not"
EXAMPLES = """\
examples:
  bond lint stream.json
  bond lint specs/*.json
  curl -s https://example.com/stream.json | bond lint -
  bond lint stream.json --json | jq '.[].line'

A file holds a spec, or what POST /v1/streams takes. Keys need not be there: `bond plan` says
which are missing. Exit status 0 if all are right."""

_MOST = 64 * 1024
_WIDEST = 100


@attrs.frozen(kw_only=True)
class Finding:
    """One thing that is wrong in a file."""

    file: str
    line: int
    column: int
    width: int
    code: str
    detail: str
    did_you_mean: tuple[str, ...] = ()


@attrs.frozen
class _Here:
    """What specs are checked against."""

    catalog: Catalog
    vocabulary: Vocabulary
    defaults: Defaults

    def compile(self, request: Mapping[str, Any]) -> None:
        """Raise BondError where a request makes no sense; a key that is missing is no mistake."""
        try:
            compile_request(request, self.catalog, self.vocabulary, self.defaults)
        except SetupError as error:
            if error.code != "missing_key":
                raise
            pretended = attrs.evolve(self.defaults, simulate=True)
            try:
                compile_request(request, self.catalog, self.vocabulary, pretended)
            except RequestError as with_keys:
                # Nothing simulates it: as far as can be told without its key it is right.
                if with_keys.code != "not_simulated":
                    raise


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what to read."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="a JSON file; - is stdin")
    parser.add_argument("--json", action="store_true", help="print findings as JSON")


def run(args: argparse.Namespace) -> int:
    """Print what is wrong, and where."""
    catalog = Catalog.loaded(plugins_of(os.environ))
    defaults = defaults_of(os.environ, simulate=False)
    here = _Here(catalog, vocabulary_of(catalog), defaults)
    found: list[Finding] = []
    for name in args.files:
        text, unreadable = _text_of(name)
        findings = unreadable or list(_findings(name, text, here))
        found += findings
        if not args.json:
            for finding in findings:
                print(error_for(sys.stdout, "\n".join(_lines(finding, text))))
            if not findings:
                print(f"{name}: right")
    if args.json:
        print(json.dumps([attrs.asdict(finding) for finding in found], indent=2))
    return 1 if found else 0


def _text_of(name: str) -> tuple[str, list[Finding]]:
    """Return a file's text, or why there is none."""
    try:
        data = sys.stdin.buffer.read(_MOST + 1) if name == "-" else _start_of(Path(name))
        if len(data) > _MOST:
            return "", [_finding(name, "", Place(start=0, end=0), "too_long", "over 64 KiB")]
        return data.decode("utf-8-sig"), []
    except OSError as error:
        why = error.strerror or type(error).__name__
    except UnicodeDecodeError:
        why = "it is no UTF-8 text"
    return "", [_finding(name, "", Place(start=0, end=0), "bad_file", f"can't be read: {why}")]


def _start_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MOST + 1)


def _findings(name: str, text: str, here: _Here) -> Iterator[Finding]:
    try:
        value, places = read_with_places(text)
    except json.JSONDecodeError as error:
        place = Place(start=error.pos, end=error.pos + 1)
        yield _finding(name, text, place, "not_json", f"this is not JSON: {error.msg}")
        return
    except RecursionError:
        place = Place(start=0, end=1)
        yield _finding(name, text, place, "not_json", "this is nested too deeply")
        return
    for pointer, place in places.twice.items():
        key = pointer.rpartition("/")[2]
        detail = f"the key {key!r} stands here again: only the last counts"
        yield _finding(name, text, place, "invalid_spec", detail)
    if not isinstance(value, Mapping):
        place = places.values[""]
        yield _finding(name, text, place, "invalid_spec", "a spec is a JSON object")
        return
    is_request = "spec" in value or "natural_language" in value
    try:
        here.compile(value if is_request else {"spec": value})
    except BondError as error:
        problems = error.problems or (Problem(detail=error.detail),)
        for problem in problems:
            pointer = problem.pointer or ""
            if not is_request:
                pointer = pointer.removeprefix("/spec")
            place = _place(text, attrs.evolve(problem, pointer=pointer), value, places)
            yield attrs.evolve(
                _finding(name, text, place, error.code, problem.detail),
                did_you_mean=problem.did_you_mean,
            )


def _place(text: str, problem: Problem, value: Mapping[str, Any], places: Places) -> Place:
    """Return where a problem shows: the key at fault, the words of a sentence, or a value."""
    pointer = problem.pointer or ("/natural_language" if problem.span else "")
    is_key = problem.text is not None and pointer.rpartition("/")[2] == problem.text
    if is_key and pointer in places.keys:
        return places.keys[pointer]
    if problem.text is not None and pointer in places.values:
        # Of a list it is the item that is meant.
        n = 0
        while (item := f"{pointer}/{n}") in places.values:
            if text[places.values[item].start : places.values[item].end] == f'"{problem.text}"':
                return places.values[item]
            n += 1
    place = places.nearest(pointer)
    if problem.span is not None and isinstance(value.get("natural_language"), str):
        # In the text of the file, unless it is written with escapes: then all of it is shown.
        words, start = value["natural_language"], place.start + 1
        if text[start : place.end - 1] == words:
            first, last = problem.span
            return Place(start=start + first, end=start + max(last, first + 1))
    return place


def _finding(name: str, text: str, place: Place, code: str, detail: str) -> Finding:
    line, column = line_and_column(text, place.start)
    rest = text[place.start : place.end].partition("\n")[0]
    return Finding(
        file="<stdin>" if name == "-" else name, line=line, column=column,
        width=max(1, len(rest)), code=code, detail=detail,
    )  # fmt: skip


def _lines(finding: Finding, text: str) -> Iterator[str]:
    meant = " or ".join(finding.did_you_mean[:3])
    hint = f"  did you mean {meant}?" if meant else ""
    where = f"{finding.file}:{finding.line}:{finding.column}"
    yield printable(f"{where}: error[{finding.code}]: {finding.detail}{hint}")
    lines = text.split("\n")
    if not text or len(lines[finding.line - 1]) > _WIDEST:
        return
    shown = lines[finding.line - 1].rstrip("\r")
    yield f"  {printable(shown)}"
    yield f"  {' ' * (finding.column - 1)}{'^' * finding.width}"
