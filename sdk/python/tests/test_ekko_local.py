from __future__ import annotations

import asyncio
import subprocess
import sys
import types
from contextlib import asynccontextmanager

import pytest

from ekko import Event, LocalModeError, listen, listen_sync


class LocalBond:
    """Stands where `bond_server.local` stands: what it does to its tasks shows here."""

    def __init__(self, records, error=None):
        self.records = records
        self.error = error
        self.asked = None
        self.entered_in = self.left_in = None

    @asynccontextmanager
    async def stream(self, text_or_spec, **options):
        self.asked = (text_or_spec, options)
        self.entered_in = asyncio.current_task()
        try:
            async with asyncio.TaskGroup() as group:
                running = group.create_task(asyncio.Event().wait())
                try:
                    yield self.read()
                finally:
                    running.cancel()
        finally:
            self.left_in = asyncio.current_task()

    async def read(self):
        for record in self.records:
            yield record
        if self.error is not None:
            raise self.error


@pytest.fixture(name="install")
def _install(monkeypatch):
    def install(*args, **kwargs):
        local = LocalBond(*args, **kwargs)
        module = types.ModuleType("bond_server.local")
        module.stream = local.stream
        monkeypatch.setitem(sys.modules, "bond_server", types.ModuleType("bond_server"))
        monkeypatch.setitem(sys.modules, "bond_server.local", module)
        return local

    return install


@pytest.mark.parametrize("how", [{"local": True}, {"api_url": "local"}])
def test_local_mode_runs_the_stream_here(install, kit, how):
    """Asked for either way, records come from this process, as events."""
    local = install([kit.a_record(1000), kit.a_record(2000)])

    async def run():
        return [event async for event in listen("BTC price", simulate=True, **how)]

    events = asyncio.run(run())

    assert [type(event) for event in events] == [Event, Event]
    assert [event.id for event in events] == ["1000-0", "2000-0"]
    assert local.asked == ("BTC price", {"simulate": True})


def test_local_mode_may_be_the_environment_s_choice(install, kit, monkeypatch):
    """EKKO_API_URL=local makes a program run without a server, unchanged."""
    install([kit.a_record(1000)])
    monkeypatch.setenv("EKKO_API_URL", "local")

    assert [event.id for event in listen_sync("BTC price")] == ["1000-0"]


def test_a_local_stream_is_left_by_the_task_that_entered_it(install, kit):
    """Its task group survives a caller that breaks out of its loop."""
    local = install([kit.a_record(n) for n in range(1, 100)])

    async def run():
        events = listen("BTC price", local=True)
        await asyncio.create_task(anext(events))
        await asyncio.create_task(anext(events))
        await asyncio.create_task(events.aclose())

    asyncio.run(run())

    assert local.left_in is local.entered_in


def test_a_local_stream_is_read_no_faster_than_its_records_are_taken(install, kit):
    """One record waits for the reader, and one is at the door."""
    read = []

    def records():
        for n in range(1, 100):
            read.append(n)
            yield kit.a_record(n)

    install(records())

    async def run():
        events = listen("BTC price", local=True)
        await anext(events)
        for _ in range(50):
            await asyncio.sleep(0)
        await events.aclose()

    asyncio.run(run())

    assert len(read) <= 3


def test_an_error_of_a_local_stream_comes_out(install, kit):
    """After the records that came before it."""
    install([kit.a_record(1000)], error=ValueError("no such venue"))
    ids = []

    async def run():
        async for event in listen("BTC price", local=True):
            ids.append(event.id)  # noqa: PERF401 - what came before the error counts

    with pytest.raises((ValueError, ExceptionGroup)):
        asyncio.run(run())
    assert ids == ["1000-0"]


def test_what_is_missing_for_local_mode_is_named(monkeypatch):
    """Without Bond's server package, the error says how to get it."""
    monkeypatch.setitem(sys.modules, "bond_server", None)
    # An import finds what another test has loaded before it looks at the package.
    monkeypatch.delitem(sys.modules, "bond_server.local", raising=False)

    with pytest.raises(LocalModeError, match=r"pip install -e '\.\[server\]'"):
        list(listen_sync("BTC price", local=True))


def test_what_needs_a_server_is_refused_in_local_mode(install):
    """There is nothing to replay from in a stream that begins now."""
    install([])

    with pytest.raises(ValueError, match="from_, slow can't be used in local mode"):
        list(listen_sync("BTC price", local=True, from_="now-60s", slow="conflate"))


def test_importing_the_sdk_imports_nothing_of_bond_s():
    """A program that uses a server carries no server around."""
    script = "import sys, ekko; print([m for m in sys.modules if m.startswith('bond_')])"

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True
    )

    assert done.stdout.strip() == "[]"
