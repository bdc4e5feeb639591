"""The conformance kit finds what it looks for: each check has a plugin that only it fails."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from bond_core.testing import AggregatorConformance, ConnectorConformance, SinkConformance
from tests.core.testing.mutants import MUTANTS
from tests.journeys.installed import lay_out, on_path
from tests.journeys.sources import path_of

TWIN = Path(__file__).parent / "bond_twin"
SUITES = ("TestPoll", "TestPush", "TestRaw", "TestLib", "TestFields", "TestFile", "TestHook")
PROJECT = """
[project]
name = "bond-twin"
version = "1"

[project.entry-points."bond.v1"]
twin = "bond_twin.plugin"
"""
# What a fault may need, at the end of the module: it is looked up when it is run.
MORE = """

import asyncio
import logging
import threading
import time

from bond_core.plugin import Fatal, Retryable

KEPT = []
"""


def twin():
    """Return the files of the plugin without a fault."""
    files = {f"bond_twin/{path.name}": path.read_text() for path in TWIN.glob("*.py")}
    return {**files, "pyproject.toml": PROJECT}


def with_fault(mutant):
    """Return the files of a mutant."""
    files, path = twin(), f"bond_twin/{mutant.file}"
    assert files[path].count(mutant.old) == 1, f"{mutant.old!r} is not there once"
    text = files[path].replace(mutant.old, mutant.new)
    return {**files, path: text if mutant.file in UNTOUCHED else text + MORE}


UNTOUCHED = ("plugin.py", "conformance.py")  # who registers shall load no more than before


def checks_of(suite):
    """Return the names of a suite's checks."""
    return [name for name in dir(suite) if name.startswith("test_")]


def outcomes(suite):
    """Run every check of a suite; return by name None, or the exception it ended with."""
    found = {}
    for name in checks_of(suite):
        try:
            getattr(suite(), name)()
        except (Exception, pytest.skip.Exception) as error:  # noqa: BLE001 -- a fault's
            found[name] = error
        else:
            found[name] = None
    return found


def failures(found):
    """Return the checks that failed, with what they say."""
    return {
        name: error
        for name, error in found.items()
        if error is not None and not isinstance(error, pytest.skip.Exception)
    }


@pytest.fixture(name="registered", scope="module")
def _registered(tmp_path_factory):
    """By suite, what came of the plugin without a fault: registering it, and each check."""
    site = tmp_path_factory.mktemp("twin")
    lay_out(site, twin())
    registered = {}
    with on_path(site):
        module = importlib.import_module("bond_twin.conformance")
        for name in SUITES:
            suite = getattr(module, name)
            found = outcomes(suite)
            assert not failures(found), (name, failures(found))
            registered[name] = (suite._made["registering"], found)
    return registered


@pytest.mark.filterwarnings("ignore")  # a fault may be one that Python warns of
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: f"{m.n}-{m.check}")
def test_a_fault_is_found_by_its_check(tmp_path, registered, mutant):
    """
    The check fails that looks for it, and no other does.
    """
    lay_out(tmp_path, with_fault(mutant))
    with on_path(tmp_path):
        module = importlib.import_module("bond_twin.conformance")
        suite = getattr(module, mutant.suite)
        if mutant.file not in UNTOUCHED:  # it registers as the one without a fault does
            suite._made = {"registering": registered[mutant.suite][0]}
        found = failures(outcomes(suite))

    assert mutant.check in found, f"not found; failed: {found}"
    assert isinstance(found[mutant.check], AssertionError), repr(found[mutant.check])
    assert set(found) == {mutant.check, *mutant.also}, found
    assert bool(mutant.also) == bool(mutant.why)


def test_every_check_has_a_fault():
    """
    1 to 44, and those beside them, and one that no other finds: what can't fail is no check.
    """
    killed = {mutant.check for mutant in MUTANTS if not mutant.also}
    checks = set()
    for suite in (ConnectorConformance, AggregatorConformance, SinkConformance):
        checks |= set(checks_of(suite))

    assert killed == checks
    assert {mutant.n for mutant in MUTANTS} - {None} == set(range(1, 45))


def test_every_check_is_run_on_the_plugin_without_a_fault(registered):
    """
    On one of its suites at least, and is not skipped there.
    """
    ran = defaultdict(set)
    for _, found in registered.values():
        for check, error in found.items():
            ran[check].add(error is None)

    assert all(True in passed for passed in ran.values()), ran


def test_it_is_plain_pytest(tmp_path):
    """
    Under pytest, with no plugin of it, the suites are collected, pass, and say why they skip.
    """
    lay_out(tmp_path, twin())
    done = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:asyncio", "-rs",
            "-q", "--import-mode=importlib", "-W", "error", tmp_path / "bond_twin/conformance.py",
        ],
        cwd=tmp_path, env=path_of(tmp_path), capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout
    assert "SKIPPED" in done.stdout
    assert "its spec doesn't say that it is resumable" in done.stdout
