"""A connector's key comes from the server's environment, never from a request."""

from __future__ import annotations

import attrs

from bond_core.plugin import Channel, ConnectorSpec, Secret, setting
from bond_core.plugin.catalog import Catalog
from bond_core.plugin.discovery import PluginRow
from bond_core.runtime.binding import Defaults, bind
from bond_core.spec.read import read_spec


@attrs.frozen
class KeyedConfig:
    """Settings of a connector that needs a key."""

    key: Secret = setting(doc="Its key", env="KEYED_KEY")
    endpoint: str = setting(default="https://keyed.example", doc="Where", env="KEYED_ENDPOINT")


KEYED = ConnectorSpec(
    name="keyed",
    factory="unused:Unused",
    config=KeyedConfig,
    summary="Needs a key",
    channels=(Channel(name="trades", kind="trade", fields=("trades",)),),
    needs={"KEYED_KEY": "a key from keyed.example"},
    simulator="unused:Simulator",
)


def _config(**source):
    row = PluginRow(
        name="keyed", distribution="d", version="1", module="m", state="loaded", specs=(KEYED,)
    )
    spec = {"sources": [{"type": "keyed", **source}], "symbols": ["BTC/USDT"]}
    (bound,) = bind(read_spec(spec)[0], Catalog([row]), Defaults()).sources
    return bound.origin.config


def test_keys_come_from_the_servers_environment(monkeypatch):
    """A connector's key is never in a request: the environment fills the setting that names it."""
    monkeypatch.setenv("KEYED_KEY", "k-123")
    monkeypatch.setenv("KEYED_ENDPOINT", "https://eu.keyed.example")

    config = _config()

    assert config.key.reveal() == "k-123"
    assert config.endpoint == "https://eu.keyed.example"
    assert "k-123" not in repr(config)


def test_simulated_no_key_is_needed_or_used(monkeypatch):
    """A simulated source gets a stand-in, whatever the environment holds."""
    monkeypatch.setenv("KEYED_KEY", "k-123")

    assert _config(simulate=True).key.reveal() == "simulated"
