"""What loaded plugins offer, by name, and who keeps a name that two claim."""

from __future__ import annotations

import sys

import attrs
import pytest

from bond_core.errors import PluginError
from bond_core.plugin import AggregatorSpec, Channel, ConnectorSpec, Secret, SinkSpec, setting
from bond_core.plugin.catalog import Catalog, describe
from bond_core.plugin.discovery import PluginRow
from bond_core.plugin.factories import load_class


@attrs.frozen
class Config:
    """Settings of a connector under test."""

    api_key: Secret = setting(doc="Key")


def a_connector(name="acme", **changes):
    """Return a connector's spec, but for `changes`."""
    channel = Channel(name="trades", kind="trade", fields=("vwap", "trades"), words={"a": "b"})
    plain = {"factory": "m:C", "summary": "s", "channels": (channel,), "venues": ("x",)}
    return ConnectorSpec(name=name, **{**plain, **changes})


def an_aggregator(name, *fields, kind="trade"):
    """Return an aggregator's spec."""
    return AggregatorSpec(name=name, kind=kind, fields=fields, factory="m:A", summary="s")


def catalog(*rows):
    """Return the catalogue of plugins that registered these specs each."""
    return Catalog(
        PluginRow(
            name=f"p{i}", distribution="d", version="1", module="m", state="loaded", specs=specs
        )
        for i, specs in enumerate(rows)
    )


def test_things_are_found_by_name_and_alias():
    """A connector by its names, an aggregator by field and kind; what isn't there is None."""
    acme = a_connector(aliases=("ac", "x.acme"))
    vwap = an_aggregator("p.vwap", "vwap")
    found = catalog((acme,), (vwap, SinkSpec(name="file", factory="m:S", summary="s")))

    assert found.connector("acme") is found.connector("x.acme") is acme
    assert found.source_types() == ("ac", "acme", "x.acme")
    assert found.connectors == (acme,)
    assert found.aggregator("vwap", "trade") is vwap
    assert found.aggregator("vwap", "quote") is found.connector("nope") is None
    assert found.aggregators == (vwap,)
    assert [sink.name for sink in found.sinks] == ["file"]


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        (a_connector(), a_connector(), "the source type 'acme' is taken by acme"),
        (a_connector(), a_connector("b", aliases=("acme",)), "'acme' is taken by acme"),
        (a_connector(aliases=("b",)), a_connector("b"), "'b' is taken by acme"),
        (
            an_aggregator("x", "vwap"),
            an_aggregator("y", "vwap"),
            "the field 'vwap' of kind trade is taken by x; put a name of your own before it",
        ),
        (an_aggregator("x", "a"), an_aggregator("x", "b"), "the aggregator 'x' is taken by x"),
        (
            SinkSpec(name="f", factory="m:S", summary="s"),
            SinkSpec(name="f", factory="m:S", summary="t"),
            "the sink 'f' is taken by f",
        ),
    ],
)
def test_a_name_has_one_owner(first, second, reason):
    """The first plugin keeps it, the other's row says so; within one plugin neither has it."""
    apart, together = catalog((first,), (second,)), catalog((first, second))

    assert [row.state for row in apart.rows] == ["loaded", "conflict"]
    assert reason in apart.rows[1].reason
    assert [row.state for row in together.rows] == ["conflict"]
    assert together.rows[0].specs == ()
    assert together.source_types() == ()


def test_one_field_may_come_from_two_kinds():
    """A price from trades and one from quotes don't collide."""
    found = catalog((an_aggregator("x", "price"),), (an_aggregator("y", "price", kind="quote"),))

    assert [row.state for row in found.rows] == ["loaded", "loaded"]


def test_a_spec_is_described_with_its_schema():
    """What `/v1/sources` shows: names, channels, and the settings' schema without any secret."""
    body = describe(
        a_connector(config=Config, needs={"ACME_KEY": "your key"}, hosts=("a.example",))
    )

    assert body["config"]["required"] == ["api_key"]
    assert body["fields"] == ["vwap", "trades"]
    assert body["channels"][0]["name"] == "trades"
    assert body["needs"] == {"ACME_KEY": "your key"}
    assert body["hosts"] == ["a.example"]
    assert describe(an_aggregator("x", "vwap"))["kind"] == "trade"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import no_such_sdk", "No module named 'no_such_sdk'"),
        ("", "has no attribute 'Acme'"),
        ("import sys; sys.exit('bye')", "SystemExit: bye"),
        ("raise OSError('no libfoo.so')", "OSError: no libfoo.so"),
    ],
)
def test_a_class_that_cannot_be_loaded_is_its_plugins_fault(tmp_path, monkeypatch, text, reason):
    """Whatever happens while it is imported ends only what asked for it."""
    name = f"broken_{abs(hash(text))}"
    (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(PluginError) as caught:
        load_class(f"{name}:Acme")

    assert reason in str(caught.value)
    sys.modules.pop(name, None)
