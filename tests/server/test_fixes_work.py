"""Every fix that stands in the sources or the catalogue is an input that works."""

from __future__ import annotations

import ast
import json
import re
import shlex
import tomllib
from pathlib import Path

import attrs
import pytest

import bond_server
from bond_core.errors import BondError
from bond_core.plugin.catalog import Catalog
from bond_core.runtime.binding import Defaults
from bond_core.spec.given import SourceInput
from bond_server.cli import COMMANDS, parser_of
from bond_server.compiling import compile_request
from bond_server.error_catalogue.catalogue import CATALOGUE
from bond_server.error_catalogue.fixes import kind_of
from bond_server.language.vocabulary import vocabulary_of
from bond_server.mending import EXAMPLE

ROOT = Path(bond_server.__file__).resolve().parents[1]
SOURCES = [
    path
    for pattern in ("bond_core/**/*.py", "bond_server/**/*.py", "plugins/*/bond_*/**/*.py")
    for path in ROOT.glob(pattern)
    if "testing" not in path.parts
]
TEXT = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)


# A whole fix that is made of what another module defines.
IMPORTED = {
    'f\'{{"natural_language": "{EXAMPLE}"}}\'': EXAMPLE,
    "f'POST {prefix}/token'": "/stream",  # the prefix of bond-ibkr's part
}
# A request's body that is no request for a stream.
OTHER_BODIES = ("bond_server/routes/tokens.py",)


def _constants(tree):
    return {
        target.id: node.value.value
        for node in tree.body if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and isinstance(node.value, ast.Constant)
    }  # fmt: skip


def written(node, constants):
    """Return an expression's text, a word in the place of each thing not known; None if unknown."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return constants.get(node.id)
    if isinstance(node, ast.JoinedStr):
        parts = [
            part.value if isinstance(part, ast.Constant) else written(part.value, constants)
            for part in node.values
        ]
        return "".join(str(IMPORTED.get(ast.unparse(node), "1") if p is None else p) for p in parts)
    return None


def literal_fixes():
    """Return each fix that is written out in the sources, by where it stands."""
    found = {}
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        constants = _constants(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg == "fix":
                branches = [node.value]
                if isinstance(node.value, ast.IfExp):
                    branches = [node.value.body, node.value.orelse]
                for n, branch in enumerate(branches):
                    fix = written(branch, constants)
                    if isinstance(fix, str):
                        found[f"{path.relative_to(ROOT)}:{branch.lineno}.{n}"] = fix
    return found


FIXES = literal_fixes() | {entry.code: entry.fix for entry in CATALOGUE.values() if entry.fix}


@pytest.fixture(name="compiles", scope="module")
def _compiles():
    catalog = Catalog.installed()
    vocabulary = vocabulary_of(catalog)
    defaults = Defaults(simulate=True)
    return lambda request: compile_request(request, catalog, vocabulary, defaults)


def check_command(fix):
    """Raise unless a shell line names commands and arguments that there are."""
    words = shlex.split(fix.replace("…", "x"))
    while re.match(r"[A-Z_]+=", words[0]):
        assert f'"{words[0].partition("=")[0]}"' in TEXT, fix
        words = words[1:]
    if words[0] == "bond":
        if words[1] in ("--help", "--version"):
            return
        assert words[1] in COMMANDS, fix
        parser_of(words[1]).parse_args(words[2:])
    elif words[0] == "pip":
        check_packages(words[2:])
    elif words[0] == "export":
        for name in (word.partition("=")[0] for word in words[1:]):
            assert f'"{name}"' in TEXT or re.search(rf"\b{name}\b", TEXT.replace(fix, "")), fix
    else:
        assert words[0] in ("curl", "mv", "wscat", "nats"), fix


def check_packages(words):
    """Raise unless `pip install` names folders, files and extras of this project."""
    projects = {}
    for path in [ROOT / "pyproject.toml", *ROOT.glob("plugins/*/pyproject.toml")]:
        project = tomllib.loads(path.read_text())["project"]
        projects[project["name"]] = set(project.get("optional-dependencies", ()))
    for word in words:
        name, _, extras = word.rstrip("]").partition("[")
        if word in ("-e", "-r", "--upgrade"):
            continue
        if word.startswith((".", "plugins/")) or word.endswith(".txt"):
            assert (ROOT / name).exists(), word
            name = "bond-streams" if name == "." else Path(name).name
        if not word.endswith(".txt"):
            assert name in projects, word
            assert set(filter(None, extras.split(","))) <= projects[name], word


def check_request(fix, routes):
    """Raise unless the server has this address and method."""
    method, path = fix.split(" ")
    plain = re.sub(r"\{\w+\}", "{}", re.sub(r"/1(?=/|$)", "/{}", path))
    assert (method, plain) in routes, fix


@pytest.fixture(name="routes", scope="module")
def _routes():
    from bond_server.app import handlers_of

    # The routes of plugins' parts are made at a start; tests of bond-ibkr call this one.
    found = {("GET", "/schema"), ("POST", "/stream/token")}
    for handler in handlers_of("all"):
        for path in handler.paths:
            plain = re.sub(r"\{\w+(:\w+)?\}", "{}", path)
            found |= {(method, plain) for method in getattr(handler, "http_methods", ())}
    return found


@pytest.mark.parametrize(("where", "fix"), FIXES.items(), ids=FIXES)
def test_a_fix_works(where, fix, compiles, routes):
    """
    A sentence or spec compiles, a command parses, an address is one, a setting is one that is read.
    """
    match kind_of(fix):
        case "sentence":
            compiles({"natural_language": fix})
        case "command":
            check_command(fix)
        case "request":
            check_request(fix, routes)
        case "setting":
            name = fix.partition("=")[0]
            assert f'"{name}"' in TEXT, fix
        case "json":
            if not where.startswith(OTHER_BODIES):
                check_json(fix, compiles)
        case kind:
            assert kind in ("later", "header", "query", "address")


def check_json(fix, compiles):
    """Raise unless a request or spec compiles, or a part of a source has keys of one."""
    if fix.startswith('"'):
        names = {field.name for field in attrs.fields(SourceInput)}
        assert set(json.loads(f"{{{fix}}}")) <= names
        return
    given = json.loads(fix)
    if given:
        compiles(given if {"spec", "natural_language"} & set(given) else {"spec": given})


def test_what_is_no_input_is_found():
    """
    Advice in the place of a fix would be shown as a command; the test above must notice.
    """
    catalog = Catalog.installed()

    assert kind_of("use another venue") == "sentence"
    with pytest.raises(BondError):
        compile_request(
            {"natural_language": "use another venue"}, catalog, vocabulary_of(catalog), Defaults()
        )
