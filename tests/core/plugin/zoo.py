"""Installed plugins that are broken, each in a way of its own, and one that works."""

from __future__ import annotations

import textwrap
from pathlib import Path

import attrs

GOOD = """
    from bond_core.plugin import Channel, ConnectorSpec, hookimpl

    @hookimpl
    def bond_connectors():
        yield ConnectorSpec(
            name="healthy", factory="no_such_module:Healthy", summary="Pulse of a patient",
            channels=(Channel(name="pulse", kind="trend", fields=("heartbeats_avg",),
                              words={"pulse": "pulse"}, by_base=True),),
        )
"""
_HOOK = "from bond_core.plugin import *\nfrom bond_core.plugin import hookimpl\n@hookimpl\n"
_SPEC = (
    "ConnectorSpec(name='z.x', factory='m:C', summary='s', "
    "channels=(Channel(name='c', kind='trade', fields=()),)"
)


_AGGREGATOR = (
    _HOOK + "def bond_aggregators(): yield AggregatorSpec(name='z.agg', kind='trade', "
    "fields=('z_field',), summary='s', factory='zoo_parts_{}:Fields')"
)


@attrs.frozen
class Animal:
    """A broken plugin: its module's text, its aggregator's, and what its row then says."""

    text: str | None
    reason: str
    state: str = "failed"
    part: str | None = None


ZOO = {
    "import-error": Animal("raise RuntimeError('no licence')", "RuntimeError: no licence"),
    "exits": Animal("import sys; sys.exit(3)", "sys.exit(3)"),
    "interrupts": Animal("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "syntax": Animal("def", "SyntaxError"),
    "wrong-signature": Animal(_HOOK + "def bond_connectors(a, b): yield", "a hook is wrong"),
    "unknown-hook": Animal(_HOOK + "def bond_conectors(): yield", "bond_conec"),
    "async-hook": Animal(_HOOK + "async def bond_connectors(): return []", "is async"),
    "missing-sdk": Animal("import no_such_sdk", "No module named 'no_such_sdk'"),
    "stale": Animal(None, "its files are gone and its metadata stayed"),
    "hangs": Animal("import time; time.sleep(10)", "has not finished registering"),
    "hangs-in-hook": Animal(
        _HOOK + "def bond_sinks():\n    __import__('time').sleep(10)\n    return []",
        "has not finished registering",
    ),
    "none": Animal(_HOOK + "def bond_connectors(): pass", "returned NoneType"),
    "number": Animal(_HOOK + "def bond_connectors(): return 7", "returned int"),
    "text": Animal(_HOOK + "def bond_connectors(): return 'specs'", "returned str"),
    "objects": Animal(_HOOK + "def bond_connectors(): yield object()", "was object"),
    "endless": Animal(
        _HOOK + f"def bond_connectors():\n    while True: yield {_SPEC})",
        "more than 200",
    ),
    "wrapper": Animal(
        "from bond_core.plugin import hookimpl\n@hookimpl(wrapper=True)\n"
        "def bond_connectors():\n    return (yield)",
        "is a wrapper",
    ),
    "mistyped": Animal(
        _HOOK + f"def bond_connectors(): yield {_SPEC}, aliases=(None,))",
        "aliases must be a tuple of str, was NoneType",
    ),
    "mistyped-words": Animal(
        _HOOK + "def bond_connectors(): yield ConnectorSpec(name='z.x', factory='m:C', "
        "summary='s', channels=(Channel(name='c', kind='trade', fields=(), words={1: 'a'}),))",
        "words must be a mapping of str to str",
    ),
    "nameless": Animal(
        _HOOK + f"def bond_connectors(): yield {_SPEC.replace('z.x', 'Not A Name')})",
        "a name is written like",
    ),
    "bad-config": Animal(
        "import attrs\nclass Odd: pass\n@attrs.frozen\nclass C:\n    odd: Odd\n"
        + _HOOK
        + f"def bond_connectors(): yield {_SPEC}, config=C)",
        "its config can't be described",
    ),
    "unknown-config": Animal(
        "import attrs\n@attrs.frozen\nclass C:\n    odd: 'Nowhere'\n"
        + _HOOK
        + f"def bond_connectors(): yield {_SPEC}, config=C)",
        "its config can't be described: name 'Nowhere' is not defined",
    ),
    "no-json": Animal(
        "import attrs\nfrom bond_core.plugin import setting\n@attrs.frozen\nclass C:\n"
        "    a: str = setting(doc='d', default='x', example=object())\n"
        + _HOOK
        + f"def bond_connectors(): yield {_SPEC}, config=C)",
        "it can't be written as JSON",
    ),
    "no-such-setting": Animal(
        "from bond_core.plugin import setting\nsetting(dok='d')", "keyword argument 'dok'"
    ),
    "part-hangs": Animal(
        _AGGREGATOR.format("hangs"), "has not finished registering",
        part="import time; time.sleep(10)",
    ),
    "plan-long": Animal(
        _AGGREGATOR.format("long"), "has not finished registering",
        part="class Fields:\n    def plan(self): __import__('time').sleep(10)",
    ),
    "part-exits": Animal(
        _AGGREGATOR.format("exits"), "can't be loaded: SystemExit: 4", part="raise SystemExit(4)"
    ),
    "part-missing": Animal(_AGGREGATOR.format("missing"), "No module named 'zoo_parts_missing'"),
    "plan-garbage": Animal(
        _AGGREGATOR.format("garbage"), "plan() must return a mapping, returned generator",
        part="class Fields:\n    def plan(self):\n        while True: yield 'z_field', 1",
    ),
    "plan-odd": Animal(
        _AGGREGATOR.format("odd"), "aggregator z.agg",
        part="class Fields:\n    def plan(self): return {'z_field': object()}",
    ),
    "plan-short": Animal(
        _AGGREGATOR.format("short"), "no plan for its field 'z_field'",
        part="class Fields:\n    def plan(self): return {}",
    ),
    "plan-interrupts": Animal(
        _AGGREGATOR.format("interrupts"), "KeyboardInterrupt",
        part="class Fields:\n    def plan(self): raise KeyboardInterrupt",
    ),
    "zz-duplicate": Animal(
        GOOD, "the source type 'healthy' is taken by healthy", state="conflict"
    ),
}  # fmt: skip


def install(
    folder: Path, name: str, points: dict[str, str], files: dict[str, str], version: str = "1.2"
) -> None:
    """Lay out an installed distribution as an installer would: modules, and metadata."""
    for old in folder.glob(f"{name.replace('-', '_')}-*.dist-info"):
        for file in old.iterdir():
            file.unlink()
        old.rmdir()
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = [f"{point} = {module}" for point, module in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[bond.v1]", *lines, ""]))
    for module, text in files.items():
        (folder / f"{module}.py").write_text(textwrap.dedent(text))


def install_zoo(folder: Path) -> None:
    """Install every animal, the healthy one, and a package whose metadata is no metadata."""
    install(folder, "bond-healthy", {"healthy": "zoo_healthy"}, {"zoo_healthy": GOOD})
    for name, animal in ZOO.items():
        module = f"zoo_{name.replace('-', '_')}"
        files = {} if animal.text is None else {module: animal.text}
        if animal.part is not None:
            files[f"zoo_parts_{name.rpartition('-')[2]}"] = animal.part
        install(folder, f"bond-{name}", {name: module}, files)
    for owner in ("one", "two"):
        install(folder, f"bond-twin-{owner}", {"twin": "zoo_healthy"}, {})
    garbled = folder / "bond_garbled-1.0.dist-info"
    garbled.mkdir()
    (garbled / "METADATA").write_text("Metadata-Version: 2.1\nName: bond-garbled\nVersion: 1.0\n")
    (garbled / "entry_points.txt").write_text("[bond.v1]\nthis is no entry point\n")
