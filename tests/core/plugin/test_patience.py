"""Plugins that are slow to register, and what is loaded a second time."""

from __future__ import annotations

import sys
import threading

import pytest

from bond_core.plugin.discovery import Choice, Plugins
from bond_core.plugin.patience import Attempt, Patience, TooSlowError
from tests.core.plugin.zoo import GOOD, install

WAITS = "import zoo_gate\nzoo_gate.entered.set()\nzoo_gate.opened.wait(20)\n"


@pytest.fixture(name="site")
def _site(tmp_path, monkeypatch):
    """A folder whose packages are installed; what was imported of it is forgotten after."""
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("zoo_")]:
        del sys.modules[name]


@pytest.fixture(name="gate")
def _gate(monkeypatch):
    """What a plugin waits for; opened in the end, whatever happens."""
    module = type(sys)("zoo_gate")
    module.entered, module.opened = threading.Event(), threading.Event()
    monkeypatch.setitem(sys.modules, "zoo_gate", module)
    yield module
    module.opened.set()


def by_name(rows):
    """Return the rows of the test's own plugins by name."""
    return {row.name: row for row in rows if row.name not in ("ccxt", "sim")}


def test_one_that_is_slow_is_taken_in_once_it_has_finished(site, gate):
    """It holds up nobody, and runs once; a rescan sees that it is through."""
    install(site, "bond-slow", {"aslow": "zoo_slow"}, {})
    (site / "zoo_slow.py").write_text(WAITS + _dedented(GOOD).replace("healthy", "slow"))
    install(site, "bond-good", {"good": "zoo_good"}, {"zoo_good": GOOD})
    plugins = Plugins(Choice, patience_s=0.3)

    first = by_name(plugins.load())
    entered = gate.entered.is_set()
    gate.entered.clear()
    gate.opened.set()
    plugins._slow["aslow"].wait(5)
    second = by_name(plugins.load())

    assert entered
    assert first["aslow"].state == "failed"
    assert "has not finished registering in time" in first["aslow"].reason
    assert first["good"].state == first["builtin"].state == "loaded"
    assert second["aslow"].state == "loaded"
    assert not gate.entered.is_set()


def _dedented(text):
    import textwrap

    return textwrap.dedent(text)


def test_what_is_loaded_is_not_loaded_again(site):
    """Its specs stay the same objects, its module runs once, also when it was disabled between."""
    count = "import zoo_count\nzoo_count.n += 1\n"
    (site / "zoo_count.py").write_text("n = 0\n")
    install(site, "bond-good", {"good": "zoo_good"}, {})
    (site / "zoo_good.py").write_text(count + _dedented(GOOD))
    choices = [Choice(), Choice(without=frozenset({"good"})), Choice()]
    plugins = Plugins(lambda: choices.pop(0))

    rows = [by_name(plugins.load())["good"] for _ in range(3)]

    assert [row.state for row in rows] == ["loaded", "disabled", "loaded"]
    assert rows[0].specs[0] is rows[2].specs[0]
    assert sys.modules["zoo_count"].n == 1


def test_one_that_failed_is_tried_again(site):
    """What it lacked was installed meanwhile: no restart is needed."""
    install(site, "bond-good", {"good": "zoo_good"}, {})
    (site / "zoo_good.py").write_text("import zoo_sdk\n" + _dedented(GOOD))
    plugins = Plugins()

    failed = by_name(plugins.load())["good"]
    (site / "zoo_sdk.py").write_text("")
    loaded = by_name(plugins.load())["good"]

    assert (failed.state, loaded.state) == ("failed", "loaded")
    assert "zoo_sdk" in failed.reason


def test_one_that_failed_and_was_upgraded_may_need_a_restart(site):
    """Its old module is loaded, and Python would hand that out again."""
    install(site, "bond-bad", {"bad": "zoo_bad"}, {"zoo_bad": "def bond_sinks(): pass"})
    plugins = Plugins()

    failed = by_name(plugins.load())["bad"]
    install(site, "bond-bad", {"bad": "zoo_bad"}, {"zoo_bad": GOOD}, version="2.0")
    upgraded = by_name(plugins.load())["bad"]

    assert "isn't marked with @hookimpl" in failed.reason
    assert upgraded.state == "failed"
    assert "bond-bad 2.0 is installed, 1.2 was tried: restart Bond" in upgraded.reason


def test_one_that_was_removed_is_gone(site):
    """It can't be asked for any more."""
    install(site, "bond-good", {"good": "zoo_good"}, {"zoo_good": GOOD})
    plugins = Plugins()

    before = by_name(plugins.load())
    for file in (site / "bond_good-1.2.dist-info").iterdir():
        file.unlink()
    (site / "bond_good-1.2.dist-info").rmdir()

    assert "good" in before
    assert "good" not in by_name(plugins.load())


def test_patience_ends_sooner_once_one_has_hung():
    """Ten that hang cost little more than one."""
    forever = threading.Event()
    patience = Patience(0.2)
    try:
        for n in range(10):
            with pytest.raises(TooSlowError):
                patience.wait(Attempt(forever.wait, name=f"hangs {n}"))
        assert patience.wait(Attempt(lambda: 7, name="works")) == 7
    finally:
        forever.set()


def test_what_an_attempt_raises_is_handed_on():
    """sys.exit and Ctrl-C too: in a thread they would end nothing, and be told to nobody."""
    for error in (ValueError("x"), SystemExit(2), KeyboardInterrupt()):

        def work(error=error):
            raise error

        with pytest.raises(type(error)) as caught:
            Patience().wait(Attempt(work, name="raises"))
        assert caught.value is error
