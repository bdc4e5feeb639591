"""`bond plugins test`: the conformance kit against an installed plugin, with no checkout of it.

A package may bring how it is tested in `conformance.py`, beside its registration module; for
one that doesn't, the kit gets by with what its specs say.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from bond_core.errors import NotInstalledError, PluginError
from bond_core.plugin.discovery import PluginRow
from bond_core.plugin.records import what_is
from bond_server.cli.plugins_shown import loaded_row

_BASES = {
    "connector": "ConnectorConformance",
    "aggregator": "AggregatorConformance",
    "sink": "SinkConformance",
}


def test_(args: argparse.Namespace) -> int:
    """Run the kit in a process of its own; the status is pytest's: 0 where all passed."""
    row = loaded_row(args.name)
    if row.state != "loaded":
        raise PluginError(f"plugin {row.name} is {row.state}: {row.reason}")
    if find_spec("pytest") is None:
        raise NotInstalledError(
            "the conformance kit runs on pytest, which isn't installed",
            fix='pip install "bond-streams[authors]"',
        )
    with tempfile.TemporaryDirectory() as folder:
        file, settings = Path(folder, "test_conformance.py"), Path(folder, "pytest.ini")
        file.write_text(_tests_of(row), encoding="utf-8")
        settings.write_text("[pytest]\n", encoding="utf-8")  # whatever is set where we stand
        command = [
            sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", str(settings),
            "--rootdir", folder, "--import-mode=importlib", "-rs",
            "-v" if args.verbose else "-q", str(file),
        ]  # fmt: skip
        return subprocess.run(command, check=False).returncode  # noqa: S603 -- our own words


def _tests_of(row: PluginRow) -> str:
    """Return a test module: the package's own, or one made of its specs."""
    package = row.module.partition(":")[0].rpartition(".")[0]
    if package and find_spec(f"{package}.conformance") is not None:
        return f"from {package}.conformance import *\n"
    if not row.specs:
        raise PluginError(f"plugin {row.name} registers nothing that could be tested")
    lines = [f"from bond_core.testing import {', '.join(sorted(_BASES.values()))}"]
    for n, spec in enumerate(row.specs):
        lines.append(f"class Test{n}({_BASES[what_is(spec)]}):\n    spec = {spec.name!r}")
    return "\n\n\n".join(lines) + "\n"
