"""Who may import whom; the rules themselves stand in pyproject.toml, and why in decision 0006."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PLUGINS = sorted(found.parent for found in ROOT.glob("plugins/*/pyproject.toml"))
# The checkout itself, even where an older copy is installed.
SOURCES = os.pathsep.join(map(str, [ROOT, *PLUGINS, ROOT / "sdk" / "python"]))

HEAVY = (
    "aiohttp", "ccxt", "feedparser", "grpc", "httpx", "litestar", "massive", "redis", "rich",
    "tweepy", "uvicorn", "websockets",
)  # fmt: skip
OURS = ("bond_core", "bond_server")


def package(plugin: Path) -> str:
    """Return the name of the package in a plugin's folder: `bond_ccxt` in `bond-ccxt`."""
    return plugin.name.replace("-", "_")


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a new interpreter on the checkout's sources, and return what it printed."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": SOURCES, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def loaded_by(module: str, suspects: tuple[str, ...]) -> set[str]:
    """Return which of the suspects a new interpreter has loaded after importing the module."""
    done = run_python("-c", f"import sys, {module}; print(*sys.modules)")
    assert done.returncode == 0, done.stderr
    return set(suspects) & set(done.stdout.split())


def test_imports_run_downhill():
    """
    Every import contract of pyproject.toml holds; the text of a failure names file and line.
    """
    linted = run_python(
        "-c",
        "import sys; from importlinter.cli import lint_imports as lint; "
        "sys.exit(lint(no_cache=True, no_logo=True))",
    )

    assert linted.returncode == 0, linted.stdout + linted.stderr


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda plugin: plugin.name)
def test_every_plugin_is_under_the_rules(plugin):
    """
    A plugin's package is a root package of the import rules, and stands in the layer of houses.
    """
    name = package(plugin)
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    houses = next(contract for contract in rules["contracts"] if contract["id"] == "houses")
    light = next(contract for contract in rules["contracts"] if contract["id"] == "light-plugins")

    assert name in rules["root_packages"]
    assert name in houses["layers"][0].split(" | ")
    assert f"{name}.plugin" in light["source_modules"]


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda plugin: plugin.name)
def test_one_command_installs_every_plugin(plugin):
    """
    requirements.txt, which README gives for real use, leaves no plugin out.
    """
    assert f"./plugins/{plugin.name}" in (ROOT / "requirements.txt").read_text().splitlines()


LIGHT = ["bond_core", "bond_core.plugin", "bond_server.language", "bond_server.cli"]


@pytest.mark.parametrize("module", [*LIGHT, *(f"{package(plugin)}.plugin" for plugin in PLUGINS)])
def test_what_starts_often_loads_nothing_heavy(module):
    """
    Writing or listing plugins, compiling a sentence and printing help load no web framework, no
    venue library, no database client.
    """
    assert loaded_by(module, HEAVY) == set()


def test_the_sdk_loads_nothing_of_ours():
    """
    The SDK works where neither core nor server is installed.
    """
    assert loaded_by("ekko", OURS) == set()
