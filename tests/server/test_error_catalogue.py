"""The catalogue of errors: whole, true, and the same wherever an error is shown."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from pathlib import Path

import pytest

import bond_core
import bond_server
from bond_core.errors import BondError, LimitError, RequestError, Retryable
from bond_server.delivery import endings
from bond_server.delivery.endings import Ending, is_retryable
from bond_server.error_catalogue.catalogue import CATALOGUE, GROUPS
from bond_server.error_catalogue.page import page, sdk_exception
from bond_server.problems import problem_body, status_of
from ekko.errors import api_error

ROOT = Path(bond_server.__file__).resolve().parents[1]
SOURCES = [
    *ROOT.glob("bond_core/**/*.py"),
    *ROOT.glob("bond_server/**/*.py"),
    *ROOT.glob("plugins/*/bond_*/**/*.py"),
]
# Where a code is handed on, it was made elsewhere; the last is a word of another server's.
PASSED_ON = ("code", "error.code", "str(said.get('code', f'http_{status}'))")
WORDS = ("refuse", "plain_error", "Trouble", "MisfitError")


def all_errors():
    """Return every class of error in core and server."""
    for package in (bond_core, bond_server):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.endswith("__main__"):
                importlib.import_module(found.name)
    classes, left = [], [BondError]
    while left:
        cls = left.pop()
        classes.append(cls)
        left += cls.__subclasses__()
    return [c for c in classes if c.__module__.startswith("bond_")]


def literals(node, constants):
    """Return the texts that an expression may be; raise where that can't be seen."""
    if isinstance(node, ast.Constant):
        return {node.value} if isinstance(node.value, str) else set()
    if isinstance(node, ast.IfExp):
        return literals(node.body, constants) | literals(node.orelse, constants)
    text = ast.unparse(node)
    if text in PASSED_ON or text == "codes.pop()":
        return set()
    if isinstance(node, ast.Name) and node.id in constants:
        return literals(constants[node.id], constants)
    if text == "_CODE_OF_STATUS.get(status, 'bad_request')":
        return {each.value for each in constants["_CODE_OF_STATUS"].values} | {"bad_request"}
    raise AssertionError(f"what code is {text}?")


def raised():
    """Return each code that stands in the sources, with where."""
    makers = {cls.__name__ for cls in all_errors()} | set(WORDS)
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES}
    constants = {
        target.id: node.value
        for tree in trees.values() for node in tree.body if isinstance(node, ast.Assign)
        for target in node.targets if isinstance(target, ast.Name)
    }  # fmt: skip
    found = {cls.default_code: cls.__name__ for cls in all_errors()}
    for path, tree in trees.items():
        is_language = "language" in path.parts
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name not in makers or (name in WORDS[:3] and not is_language):
                continue
            given = [each.value for each in node.keywords if each.arg == "code"]
            if name in WORDS[:3] and node.args:
                given.append(node.args[0])
            for code in given:
                for text in literals(code, constants):
                    found[text] = f"{path.relative_to(ROOT)}:{node.lineno}"
    return found


RAISED = raised()
CLOSES = [each for each in vars(endings).values() if isinstance(each, Ending)]
WITH_FIX = [entry for entry in CATALOGUE.values() if entry.fix is not None]
# `error` is the base class, never raised; a word of main() is no BondError.
NO_CLASS = {"unknown_command"}


def test_every_code_is_raised_somewhere_and_known():
    """
    What the sources raise is in the catalogue, and nothing stands there that nobody raises.
    """
    ended = {close.reason for close in CLOSES}

    assert {code: at for code, at in RAISED.items() if code not in CATALOGUE} == {}
    assert set(CATALOGUE) - set(RAISED) - ended - NO_CLASS == set()


def test_a_code_stands_in_one_group():
    """
    No code is described twice.
    """
    assert len(CATALOGUE) == sum(len(entries) for entries in GROUPS.values())


@pytest.mark.parametrize("close", CLOSES, ids=lambda close: close.reason)
def test_a_close_says_what_the_catalogue_says(close):
    """
    The reason of a WebSocket close is a code; its number, and whether to come back, agree.
    """
    entry = CATALOGUE[close.reason]

    assert entry.close == close.code
    assert entry.again == is_retryable(close)


@pytest.mark.parametrize("cls", all_errors(), ids=lambda cls: cls.__name__)
def test_a_class_is_as_retryable_as_its_code(cls):
    """
    Whoever reads the page and whoever reads the answer are told the same.
    """
    assert CATALOGUE[cls.default_code].again == cls.retryable or cls is BondError


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=lambda entry: entry.code)
def test_an_answer_says_what_the_catalogue_says(entry):
    """
    Its status, its fix and its page; and the SDK raises the exception that the page names.
    """
    if entry.status is None:
        return
    error = BondError("It went wrong", code=entry.code)
    body = problem_body(error, status_of(error), "req_1")

    assert body["status"] == entry.status
    assert body["retryable"] == entry.again
    assert body["docs"] == f"/v1/errors/{entry.code}"
    assert entry.fix is None or body["fix"] == entry.fix
    raised = api_error(entry.status, body)
    assert type(raised).__name__ == sdk_exception(entry.status)
    assert (raised.code, raised.docs) == (entry.code, body["docs"])


def test_a_code_of_a_third_party_has_no_page_and_still_an_answer():
    """
    A plugin may name its errors; their class says what they are.
    """
    body = problem_body(RequestError("no", code="acme_closed"), 422, "req_1")

    assert body["docs"] is None
    assert status_of(RequestError("no", code="acme_closed")) == 422
    assert status_of(Retryable("no")) == 503
    assert status_of(LimitError("no", limit=1, used=1)) == 429


def test_the_page_is_the_catalogue():
    """
    docs/errors.md is made from it: `python -m bond_server.error_catalogue.page > docs/errors.md`.
    """
    assert (ROOT / "docs/errors.md").read_text(encoding="utf-8") == page()
