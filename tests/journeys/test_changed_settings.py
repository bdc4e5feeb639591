"""Settings of sources that change: their instances start anew, the server and the rest go on."""

from __future__ import annotations

import asyncio
import importlib

import pytest

from bond_core.settings import SettingsError
from bond_server.environment import Dotenv
from bond_server.local import Bond
from bond_server.plugin_choice import plugins_of
from tests.journeys.installed import lay_out, on_path

PACKAGE = {
    "pyproject.toml": """
[project]
name = "bond-keyed"
version = "1.0"
[project.entry-points."bond.v1"]
keyed = "bond_keyed.plugin"
""",
    "bond_keyed/__init__.py": "",
    "bond_keyed/plugin.py": """
from attrs import frozen
from bond_core.plugin import Channel, ConnectorSpec, NoConfig, Secret, hookimpl, setting

@frozen
class Config:
    key: Secret = setting(doc="A key", env="KEYED_KEY")

@hookimpl
def bond_connectors():
    channel = Channel(name="quotes", kind="quote", fields=("bid_avg",))
    for name, config in (("keyed", Config), ("keyless", NoConfig)):
        yield ConnectorSpec(name=name, factory="bond_keyed.work:Work", config=config,
                            summary="s", channels=(channel,))
""",
    "bond_keyed/work.py": """
import asyncio
from bond_core.plugin import Quote
made, ended = [], []

class Work:
    def __init__(self, config):
        self.key = getattr(config, "key", None) and config.key.reveal()
        made.append(self.key)

    async def run(self, ctx):
        try:
            while True:
                quote = Quote(symbol="BTC/USDT", ts=ctx.clock.now_ns(), bid=1.0, ask=2.0)
                ctx.live("quotes")
                ctx.emit("quotes", [quote])
                await asyncio.sleep(0.02)
        finally:
            ended.append(self.key)
""",
}


def a_spec(name):
    """Return a request for one of the package's sources."""
    return {"spec": {"sources": [{"type": name}], "symbols": ["BTC/USDT"], "interval_sec": 1}}


async def until(holds):
    """Return when it holds, or fail."""
    async with asyncio.timeout(15):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def test_a_renewed_key_starts_its_source_anew_and_no_other(tmp_path, monkeypatch):
    """
    The `.env` has another key: after a rescan the stream hears with that one, as the same stream.
    """
    site, environ = tmp_path / "site", {"BOND_DATA_DIR": str(tmp_path)}
    site.mkdir()
    lay_out(site, PACKAGE)
    (tmp_path / ".env").write_text("KEYED_KEY=first\n")
    monkeypatch.setenv("KEYED_KEY", "first")  # as `bond serve` reads it when it starts
    monkeypatch.setattr("bond_core.runtime.feeds.LINGER_S", 0.05)

    async def go():
        import os

        dotenv = Dotenv(os.environ, tmp_path)
        async with Bond(plugins=plugins_of(environ, dotenv)) as bond:
            keyed, _ = await bond.create(bond.compile(a_spec("keyed")))
            keyless, _ = await bond.create(bond.compile(a_spec("keyless")))
            work = importlib.import_module("bond_keyed.work")
            await until(lambda: len(work.made) == 2)
            await bond.rescan()
            unchanged = (list(work.made), list(work.ended))
            (tmp_path / ".env").write_text("KEYED_KEY=second\n")
            await bond.rescan()
            await until(lambda: work.ended)
            heard = keyed.pipeline.events_in
            await until(lambda: keyed.pipeline.events_in > heard + 3)
            again, is_new = await bond.create(bond.compile(a_spec("keyed")))
            states = (keyed.health()["keyed"]["status"], keyless.health()["keyless"]["status"])
            return unchanged, list(work.made), list(work.ended), again is keyed, is_new, states

    with on_path(site):
        unchanged, made, ended, is_same, is_new, states = asyncio.run(go())

    assert unchanged == (["first", None], [])
    assert made == ["first", None, "second"]
    assert ended == ["first"]
    assert (is_same, is_new) == (True, False)
    assert states == ("live", "live")


def test_a_source_that_can_not_be_renewed_goes_on(tmp_path, monkeypatch, caplog):
    """
    The key is gone from the environment: what runs runs on, and the log says so.
    """
    site = tmp_path / "site"
    site.mkdir()
    lay_out(site, PACKAGE)
    monkeypatch.setenv("KEYED_KEY", "first")

    async def go():
        async with Bond(plugins=plugins_of({"BOND_DATA_DIR": str(tmp_path)})) as bond:
            keyed, _ = await bond.create(bond.compile(a_spec("keyed")))
            monkeypatch.delenv("KEYED_KEY")
            await bond.rescan()
            heard = keyed.pipeline.events_in
            await until(lambda: keyed.pipeline.events_in > heard)

    with on_path(site):
        asyncio.run(go())

    assert "goes on as it is" in caplog.text


def test_a_dotenv_renews_and_takes_back_only_its_own(tmp_path):
    """
    What the process was started with stays, also where the file says something else.
    """
    file, environ = tmp_path / ".env", {"SET": "outside", "A": "1", "B": "2"}
    file.write_text("SET=inside\nA=1\nB=2\n")
    dotenv = Dotenv(environ, tmp_path)

    file.write_text("SET=other\nA=3\nC=4\n")
    dotenv.read_again()
    renewed = dict(environ)
    file.unlink()
    dotenv.read_again()

    assert renewed == {"SET": "outside", "A": "3", "C": "4"}
    assert environ == {"SET": "outside"}


def test_a_dotenv_that_can_not_be_read_is_told(tmp_path):
    """
    The environment stays as it is, and the rescan fails with the file's name.
    """
    (tmp_path / ".env").write_text("A=1\n")
    environ = {"A": "1"}
    dotenv = Dotenv(environ, tmp_path)
    (tmp_path / ".env").write_bytes(b"\xff\xfe\xff")

    with pytest.raises(SettingsError, match=r"\.env can't be read"):
        dotenv.read_again()
    assert environ == {"A": "1"}
