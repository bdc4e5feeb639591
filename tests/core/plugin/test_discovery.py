"""Discovery of plugins through real distributions, most of them broken in a way of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap

import pytest

from bond_core.errors import PluginError
from bond_core.plugin import AggregatorSpec, Channel, ConnectorSpec, SinkSpec, hookimpl
from bond_core.plugin.discovery import register

GOOD = """
    from bond_core.plugin import Channel, ConnectorSpec, hookimpl

    @hookimpl
    def bond_connectors():
        yield ConnectorSpec(
            name="acme", factory="no_such_sdk_of_acme:Acme", summary="Acme",
            channels=(Channel(name="trades", kind="trade", fields=("vwap",)),),
        )
"""
IMPORTS = "from bond_core.plugin import Channel, ConnectorSpec, hookimpl\n"

# By entry point: what its module says, and what its row then says.
PLUGINS = {
    "good": (GOOD, None),
    "optional": (GOOD.replace("()", "(api)", 1).replace('"acme"', '"acme2"'), None),
    "raises": ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
    "misnames": (IMPORTS + "@hookimpl\ndef bond_conectors(): yield", "unknown hook 'bond_conec"),
    "argument": (IMPORTS + "@hookimpl\ndef bond_sinks(apy): yield", "apy"),
    "lacks": ("import no_such_sdk_of_acme", "ModuleNotFoundError: No module named 'no_such_sdk"),
    "exits": ("import sys; sys.exit(3)", "called sys.exit(3) while loading"),
    "async": (IMPORTS + "@hookimpl\nasync def bond_connectors(): pass", "is async"),
    "asyncgen": (IMPORTS + "@hookimpl\nasync def bond_connectors(): yield", "is async"),
    "midway": (GOOD + "        raise KeyError('midway')", "KeyError: 'midway'"),
    "wrong": (IMPORTS + "@hookimpl\ndef bond_connectors(): yield 3", "ConnectorSpec, was int"),
    "returns": (GOOD.replace("yield", "return"), "must yield its specs, not return one"),
    "unmarked": (GOOD.replace("@hookimpl", ""), "isn't marked with @hookimpl"),
    "syntax": ("def", "SyntaxError"),
    "taken": (GOOD, "the source type 'acme' is taken by acme"),
}  # fmt: skip

SCRIPT = """
import json, sys
from bond_core.plugin.discovery import find_plugins
found = find_plugins()
imported = sorted(m for m in sys.modules if m.startswith(("plug_", "bond_ccxt")))
from bond_core.plugin.catalog import Catalog
catalog = Catalog.installed()
print(json.dumps({
    "found": [(row.name, row.state) for row in found],
    "imported": imported,
    "rows": {f"{row.name} {row.distribution}": [row.state, row.reason] for row in catalog.rows},
    "sdk": "no_such_sdk_of_acme" in sys.modules,
    "acme": catalog.connector("acme").summary,
    "aggregators": len(catalog.aggregators),
}))
"""


def distribution(folder, name, points, files):
    """Lay out an installed distribution as an installer would: modules, and metadata."""
    info = folder / f"{name.replace('-', '_')}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    lines = [f"{point} = {module}" for point, module in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[bond.v1]", *lines, ""]))
    for module, text in files.items():
        (folder / f"{module}.py").write_text(textwrap.dedent(text))


def run(folder, script):
    """Run a script in a new interpreter that has these distributions too."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Return what an interpreter with all these plugins says."""
    folder = tmp_path_factory.mktemp("site")
    for name, (text, _) in PLUGINS.items():
        distribution(folder, f"bond-{name}", {name: f"plug_{name}"}, {f"plug_{name}": text})
    for owner in ("one", "two"):
        distribution(folder, f"bond-twin-{owner}", {"twin": "plug_good"}, {})
    distribution(folder, "bond-impostor", {"builtin": "plug_raises"}, {})
    distribution(folder, "bond-nowhere", {"nowhere": "no_such_module:attr"}, {})
    return json.loads(run(folder, SCRIPT))


@pytest.mark.parametrize("name", PLUGINS)
def test_a_broken_plugin_is_a_row_with_a_reason(report, name):
    """However a plugin breaks, the host starts, and its row says what happened and where."""
    state, reason = report["rows"][f"{name} bond-{name}"]
    expected = PLUGINS[name][1]

    if expected is None:
        assert (state, reason) == ("loaded", None)
    else:
        assert state == ("conflict" if name == "taken" else "failed")
        assert expected in reason


@pytest.mark.parametrize("name", ["raises", "lacks", "exits", "midway"])
def test_a_reason_says_where(report, name):
    """What a plugin raised is told with its file and line."""
    assert f"plug_{name}.py:" in report["rows"][f"{name} bond-{name}"][1]


def test_two_that_claim_one_name_are_both_told(report):
    """Neither is loaded, whichever was installed first."""
    rows = [report["rows"][f"twin bond-twin-{owner}"] for owner in ("one", "two")]

    assert rows == [["conflict", "2 installed packages claim the name 'twin'"]] * 2


def test_what_is_built_in_cannot_be_pushed_aside(report):
    """A distribution that takes the name `builtin` is a conflict; Bond's own stays."""
    assert report["rows"]["builtin bond-impostor"][0] == "conflict"
    assert report["rows"]["builtin bond-streams"] == ["loaded", None]
    assert report["aggregators"] > 0


def test_an_entry_point_to_nowhere_fails_alone(report):
    """A module that isn't there is a reason like any other."""
    assert report["rows"]["nowhere bond-nowhere"][0] == "failed"


def test_finding_imports_no_plugin(report):
    """Finding reads metadata only."""
    assert report["imported"] == []
    assert ("good", "found") in map(tuple, report["found"])


def test_the_good_one_works_and_its_sdk_is_not_loaded(report):
    """Its connector is in the catalogue; what the connector needs is loaded when one starts."""
    assert report["acme"] == "Acme"
    assert report["sdk"] is False


def test_only_some_may_be_wanted(tmp_path):
    """`only` disables the rest, built in stays; one that isn't installed is refused by name."""
    distribution(tmp_path, "bond-good", {"good": "plug_good"}, {"plug_good": GOOD})
    distribution(tmp_path, "bond-bad", {"bad": "plug_bad"}, {"plug_bad": "1/0"})
    script = """
        import json, sys
        from bond_core.errors import PluginError
        from bond_core.plugin.discovery import load_plugins
        rows = {row.name: row.state for row in load_plugins(only={"good"})}
        said = []
        for options in ({"only": {"good", "god"}}, {"strict": True}):
            try:
                load_plugins(**options)
            except PluginError as error:
                said.append(str(error))
        print(json.dumps([rows, said, "plug_bad" in sys.modules]))
    """

    rows, said, _ = json.loads(run(tmp_path, textwrap.dedent(script)))

    assert (rows["good"], rows["bad"], rows["builtin"]) == ("loaded", "disabled", "loaded")
    assert said[0].startswith("BOND_PLUGINS names god, which isn't installed")
    assert said[1].startswith("plugin bad (bond-bad): ZeroDivisionError")


# What one plugin registers

CHANNEL = Channel(name="trades", kind="trade", fields=("vwap",))


class Hooks:
    """A plugin module that registers these specs."""

    def __init__(self, connectors=(), aggregators=(), sinks=()):
        self.specs = connectors, aggregators, sinks

    @hookimpl
    def bond_connectors(self):
        return self.specs[0]

    @hookimpl
    def bond_aggregators(self):
        return self.specs[1]

    @hookimpl
    def bond_sinks(self):
        return self.specs[2]


def a_connector(**changes):
    """Return a connector's spec that is right, but for `changes`."""
    plain = {"name": "a", "factory": "m:C", "summary": "s", "channels": (CHANNEL,)}
    return ConnectorSpec(**{**plain, **changes})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"factory": "m.C"}, "factory must read `package.module:Class`, was 'm.C'"),
        ({"factory": "m:"}, "factory must read"),
        ({"config": dict}, "config must be an attrs class"),
        ({"channels": ()}, "at least one channel"),
        ({"channels": ("trades",)}, "channels must be Channel, was str"),
        ({"channels": (CHANNEL, CHANNEL)}, "two of its channels have one name"),
        ({"hosts": ("a.example", "https://b.example")}, "was 'https://b.example'"),
        ({"hosts": ("*",)}, "hosts are written `api.acme.example` or `*.acme.example`"),
        (
            {"channels": (Channel(name="t", kind="trade", fields=("symbol",)),)},
            "the field 'symbol' is the record's own",
        ),
    ],
)
def test_a_spec_that_breaks_the_contract_is_refused(changes, reason):
    """What would fail later, in a stream, fails here, and says how."""
    with pytest.raises(PluginError, match="a: ") as caught:
        register(Hooks(connectors=[a_connector(**changes)]), name="x")

    assert reason in str(caught.value)


def test_all_three_kinds_register_in_order():
    """Connectors, aggregators and sinks, as the hooks yield them."""
    aggregator = AggregatorSpec(
        name="x.vwap", kind="trade", fields=("x",), factory="m:V", summary="s"
    )
    sink = SinkSpec(name="jsonl", factory="m:S", summary="s")

    specs = register(Hooks([a_connector()], [aggregator], [sink]), name="x")

    assert specs == (a_connector(), aggregator, sink)
