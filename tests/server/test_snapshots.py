"""Snapshots in files: whole at any moment, their owner's alone, gone with their stream."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from pathlib import Path

import pytest

from bond_core.clock import NS
from bond_core.log.offset import START
from bond_core.runtime.binding import Defaults
from bond_core.settings import SettingsError
from bond_server.local import Bond
from bond_server.settings import read_settings
from bond_server.snapshots import SnapshotFiles, snapshots_of

LINES = [b'{"format":1}', b'["a","\\u2028"]']


def files(folder: Path) -> list[str]:
    """Return the names of a folder's files."""
    return sorted(path.name for path in folder.iterdir())


def test_what_is_saved_is_loaded(tmp_path):
    """The newest, line by line; nothing where there is none; nobody else may read it."""

    async def go():
        kept = SnapshotFiles(tmp_path / "deep" / "snapshots", 5.0)
        assert await kept.load("s") == ()
        await kept.save("s", LINES)
        await kept.save("s", LINES[:1])
        await kept.save("t", LINES)
        assert await SnapshotFiles(kept.folder, 5.0).load("s") == LINES[:1]
        assert await kept.load("t") == LINES
        assert (kept.folder / "s.jsonl").stat().st_mode & 0o777 == 0o600
        await kept.forget("s")
        await kept.forget("never")
        assert files(kept.folder) == ["t.jsonl"]

    asyncio.run(go())


def test_what_nobody_came_back_for_is_removed(tmp_path):
    """A day later, at the next start; what is younger stays."""
    for name, age_s in (("old.jsonl", 90_000), ("draft.1234", 90_000), ("new.jsonl", 80_000)):
        (tmp_path / name).write_bytes(b"{}")
        at = time.time() - age_s
        os.utime(tmp_path / name, (at, at))

    asyncio.run(SnapshotFiles(tmp_path, 5.0).load("s"))

    assert files(tmp_path) == ["new.jsonl"]


def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    """The one before is whole, and no draft is left behind."""

    async def go():
        kept = SnapshotFiles(tmp_path, 5.0)
        await kept.save("s", LINES)

        def full(file):
            raise OSError("disk full")

        monkeypatch.setattr("bond_server.snapshots.os.fsync", full)
        with pytest.raises(OSError, match="disk full"):
            await kept.save("s", [b"newer"])
        assert await kept.load("s") == LINES
        assert files(tmp_path) == ["s.jsonl"]

    asyncio.run(go())


def test_a_write_that_was_left_behind_does_not_come_back(tmp_path, monkeypatch):
    """Who waited for it is gone, and so is the stream: the file must not be there again."""
    is_slow, go_on = threading.Event(), threading.Event()

    async def go():
        kept = SnapshotFiles(tmp_path, 5.0)
        write = kept._write

        def slowly(*args):
            is_slow.set()
            go_on.wait(20)
            write(*args)

        monkeypatch.setattr(SnapshotFiles, "_write", lambda self, *args: slowly(*args))
        saving = asyncio.create_task(kept.save("s", LINES))
        await asyncio.to_thread(is_slow.wait, 20)
        saving.cancel()
        await asyncio.gather(saving, return_exceptions=True)
        await kept.forget("s")
        go_on.set()

    asyncio.run(go())  # waits for its threads
    assert files(tmp_path) == []


@pytest.mark.parametrize(("text", "every_s"), [("", 5.0), ("2.5", 2.5), ("0", None)])
def test_the_setting_says_how_often(tmp_path, text, every_s):
    """Every five seconds, unless said; never with 0."""
    environ = {"BOND_DATA_DIR": str(tmp_path), "BOND_SNAPSHOT_SECONDS": text}

    found = snapshots_of(read_settings(environ))

    assert (found and found.every_s) == every_s
    assert found is None or found.folder == tmp_path / "snapshots"


def test_longer_than_a_restart_makes_good_is_refused(tmp_path):
    """Half a minute at most."""
    with pytest.raises(SettingsError, match="BOND_SNAPSHOT_SECONDS must be a number from 0 to 30"):
        read_settings({"BOND_DATA_DIR": str(tmp_path), "BOND_SNAPSHOT_SECONDS": "31"})


def test_a_stream_goes_on_after_its_bond_was_left(tmp_path):
    """The same request gives the same stream, which knows of before; deleted, it is forgotten."""
    spec = {
        "sources": [{"type": "ccxt", "exchanges": ["binance"]}],
        "symbols": ["BTC/USDT"], "interval_sec": 1, "timeframes": ["1s", "1d"],
    }  # fmt: skip

    async def heard(bond):
        stream, is_new = await bond.create(bond.compile({"spec": spec}))
        assert is_new
        cursor = bond.cursor(stream.stream_id, START)
        async with asyncio.timeout(30):
            record = json.loads((await cursor.next()).entries[0].data)
            while not stream.pipeline.engine.totals["binance"].counted:
                await cursor.next()
        cursor.close()
        return stream, record

    async def go():
        options = {"defaults": Defaults(simulate=True), "seed": 1}
        async with Bond(checkpoints=SnapshotFiles(tmp_path, 5.0), **options) as bond:
            first, record = await heard(bond)
            before = first.pipeline.engine.totals["binance"].counted
            assert "gap" not in {notice["code"] for notice in record["notices"]}
        assert files(tmp_path) == [f"{first.stream_id}.jsonl"]
        async with Bond(checkpoints=SnapshotFiles(tmp_path, 5.0), **options) as bond:
            second, record = await heard(bond)
            assert second.stream_id == first.stream_id
            assert second.pipeline.engine.totals["binance"].counted >= before > 0
            assert record["partial"]
            assert any("did not run for" in notice["detail"] for notice in record["notices"])
            await bond.delete(second.stream_id)
            assert files(tmp_path) == []
            third, _ = await heard(bond)
            assert third.pipeline.started_ns // NS == third.row.created_ns // NS
            await bond.complete(third)
            assert files(tmp_path) == []

    asyncio.run(go())
