"""`bond plugins`: listing imports none; a broken one is a row with a reason, never a crash."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from bond_core.plugin.hookspecs import GROUP
from tests.journeys.command_line import bond, environment

COMMANDS = ["demo", "listen", "explain", "plugins"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples(command):
    """
    Each command's help says what it does and shows how it is used.
    """
    done = bond(command, "--help")

    assert done.returncode == 0
    assert f"usage: bond {command}" in done.stdout
    assert f"examples:\n  bond {command}" in done.stdout


def test_listing_imports_no_plugin():
    """
    After `bond plugins list` no plugin's package, and nothing that one needs, is loaded.
    """
    program = (
        "import sys; from bond_server.cli import main; main(['plugins', 'list', '--json']); "
        "print(*sys.modules, file=sys.stderr)"
    )
    listed = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env=environment(),
    )

    rows = json.loads(listed.stdout)
    modules = set(listed.stderr.split())
    assert {"builtin", "ccxt", "sim"} <= {row["name"] for row in rows}
    assert {row["state"] for row in rows} == {"found"}
    assert not {row["module"] for row in rows} & modules
    assert not {"bond_ccxt", "bond_sim", "ccxt", "litestar", "rich", "aiohttp"} & modules


def test_info_shows_what_a_plugin_brings():
    """
    Info loads that plugin and prints its sources, fields, venues and settings' schema.
    """
    text, as_json = bond("plugins", "info", "ccxt"), bond("plugins", "info", "ccxt", "--json")

    assert text.returncode == as_json.returncode == 0
    assert "venues    binance okx" in text.stdout
    assert "setting   timeout_s: number, from 1, to 60" in text.stdout
    provided = {spec["name"]: spec for spec in json.loads(as_json.stdout)["provides"]}
    assert provided.keys() == {"ccxt", "ccxt.liquidations", "ccxt.ticker"}
    assert provided["ccxt"]["config"]["required"] == ["venue"]


def test_an_unknown_plugin_has_a_suggestion():
    """
    A name that isn't installed is refused with the one that may have been meant.
    """
    done = bond("plugins", "info", "cctx")

    assert done.returncode == 1
    assert "error[unknown_plugin]" in done.stderr
    assert "try: bond plugins info ccxt" in done.stderr


def test_the_doctor_finds_everything_well():
    """
    Where all plugins load, each has a line and the status is 0, whatever keys are not set.
    """
    done = bond("plugins", "doctor")

    assert done.returncode == 0, done.stdout
    installed = {point.name for point in entry_points(group=GROUP)}
    assert {"ccxt", "sim"} <= installed
    rows = [line.split()[:2] for line in done.stdout.splitlines()]
    assert sorted(row for row in rows if row[0] != "warn") == sorted(
        ["ok", name] for name in {*installed, "builtin"}
    )


BROKEN = {
    "raises": "raise RuntimeError('out of order')",
    "exits": "import sys; sys.exit('not today')",
    "lacks": "import a_vendor_sdk_that_nobody_has",
}


@pytest.fixture
def broken(tmp_path):
    """Return a folder with installed packages, each with a plugin that can't be loaded."""
    for name, source in BROKEN.items():
        (tmp_path / f"plugin_{name}.py").write_text(f"{source}\n")
        info = tmp_path / f"bond_{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: bond-{name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[bond.v1]\n{name} = plugin_{name}\n")
    return tmp_path


def test_the_doctor_names_what_is_broken_and_why(broken):
    """
    A plugin that raises, exits or lacks its SDK is a row with the reason; the others are well.
    """
    done = bond("plugins", "doctor", env={"PYTHONPATH": str(broken)})

    assert done.returncode == 1
    lines = {line.split()[1]: line for line in done.stdout.splitlines()}
    assert all(lines[name].startswith("FAIL") for name in BROKEN)
    assert "out of order" in lines["raises"]
    assert "sys.exit" in lines["exits"]
    assert "a_vendor_sdk_that_nobody_has" in lines["lacks"]
    assert lines["ccxt"].startswith("ok")
    assert done.stderr == ""


def test_a_broken_plugin_is_listed_and_asked_about(broken):
    """
    Listing does not load it; info says why it can't be loaded, with status 1.
    """
    listed = bond("plugins", "list", env={"PYTHONPATH": str(broken)})
    asked = bond("plugins", "info", "raises", env={"PYTHONPATH": str(broken)})

    assert listed.returncode == 0
    assert "bond-raises" in listed.stdout
    assert asked.returncode == 1
    assert "failed: RuntimeError: out of order" in asked.stdout


def test_only_the_chosen_ones_are_loaded(broken):
    """
    BOND_PLUGINS leaves out what it does not name; that is off, and no failure.
    """
    env = {"PYTHONPATH": str(broken), "BOND_PLUGINS": "ccxt"}
    done = bond("plugins", "doctor", env=env)

    assert done.returncode == 0, done.stdout
    states = {line.split()[1]: line.split()[0] for line in done.stdout.splitlines()}
    assert states["ccxt"] == "ok"
    assert states["raises"] == states["sim"] == "off"
