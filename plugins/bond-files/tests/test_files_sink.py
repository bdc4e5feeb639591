"""Files are whole or not there, hold every record, and begin anew by size and time."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest

from bond_core.clock import ManualClock
from bond_core.errors import Fatal
from bond_core.runtime.sink_policy import SinkPolicy
from bond_files.config import FilesConfig
from bond_files.sink import Files

WRITER = Path(__file__).with_name("writer.py")


def records(*numbers, **more):
    """Return records with these ids."""
    return [{"id": f"{n}-0", "price_avg": 1.5, **more} for n in numbers]


def ids_in(folder, *, parts=False):
    """Return the ids in all whole files, in the files' order; and in those being written."""
    found = []
    for path in sorted(Path(folder).iterdir()):
        if path.suffix == ".parquet":
            found += [record["id"] for record in rows_of(path)]
        elif path.suffix == ".jsonl" or (parts and path.suffix == ".part"):
            found += [json.loads(line)["id"] for line in path.read_text().splitlines()]
    return found


def rows_of(path):
    """Return the rows of a Parquet file."""
    import pyarrow.parquet as pq

    return pq.read_table(path).to_pylist()


def write(folder, context, *batches, **settings):
    """Write batches with a new sink, and close it."""

    async def go():
        sink = Files(FilesConfig(folder=str(folder), **settings))
        await sink.open(context)
        for batch in batches:
            await sink.write(batch, context)
        await sink.close()
        return sink

    return asyncio.run(go())


def test_records_are_lines_of_json(tmp_path, context):
    """Each is a line as clients see it, in a file named after the stream and its first record."""
    first, second = records(1, 2, sources={"okx": {"count": 3}}), records(3, price_avg=None)
    write(tmp_path / "new" / "folder", context(), first, second)

    (path,) = (tmp_path / "new" / "folder").iterdir()
    assert path.name == "8f2a1c9d4b3e7a10.files.1-0.jsonl"
    assert [json.loads(line) for line in path.read_text().splitlines()] == [*first, *second]


@pytest.mark.parametrize("format_", ["jsonl", "parquet"])
def test_files_rotate_by_size(tmp_path, context, format_):
    """A file is whole at so many bytes, and no record is in two."""
    batches = [records(n, pad="x" * 300) for n in range(6)]
    sink = write(tmp_path, context(), *batches, format=format_, rotate_bytes=600)

    assert len(list(tmp_path.iterdir())) == 3
    assert ids_in(tmp_path) == [f"{n}-0" for n in range(6)]
    assert sink.report() == {"folder": str(tmp_path), "files": 3}


def test_files_rotate_by_time(tmp_path, context):
    """A file is whole after so many seconds, at the next write."""
    clock = ManualClock()
    ctx = context(clock=clock)

    async def go():
        sink = Files(FilesConfig(folder=str(tmp_path), rotate_s=60.0))
        await sink.open(ctx)
        for n in range(4):
            await sink.write(records(n), ctx)
            await clock.advance(31.0)
        whole = sorted(p.name for p in tmp_path.glob("*.jsonl"))
        await sink.close()
        return whole

    assert len(asyncio.run(go())) == 1
    assert ids_in(tmp_path) == ["0-0", "1-0", "2-0", "3-0"]


def test_nothing_is_ever_written_over(tmp_path, context):
    """Records that come again, as after a crash, get a file of their own."""
    for _ in range(3):
        write(tmp_path, context(), records(1))

    assert sorted(p.name.partition("files.")[2] for p in tmp_path.iterdir()) == [
        "1-0.2.jsonl", "1-0.3.jsonl", "1-0.jsonl",
    ]  # fmt: skip


def test_whole_files_alone_have_a_whole_files_name(tmp_path, context):
    """While a file is written its name says so, and what was acknowledged is in it."""

    async def go():
        ctx = context()
        sink = Files(FilesConfig(folder=str(tmp_path)))
        await sink.open(ctx)
        await sink.write(records(1), ctx)
        seen = [p.suffix for p in tmp_path.iterdir()], ids_in(tmp_path, parts=True)
        await sink.close()
        return seen

    assert asyncio.run(go()) == ([".part"], ["1-0"])
    assert [p.suffix for p in tmp_path.iterdir()] == [".jsonl"]


def test_parquet_has_columns_of_one_type(tmp_path, context):
    """Whatever a file's records hold, a column has its type; what varies is JSON text."""
    import pyarrow.parquet as pq

    full = {
        "id": "1-0", "rev": 0, "partial": False, "ts": "2025-10-21T13:30:05Z",
        "window_start": "2025-10-21T13:30:04.123456789Z", "price_avg": 1.5, "trades": 3,
        "best_bid_venue": "okx", "volume_share": {"okx": 0.5}, "sources": {"okx": {"count": 3}},
        "notices": [],
    }  # fmt: skip
    empty = {"id": "2-0", "price_avg": None, "trades": None, "best_bid_venue": None}
    gap = {"id": "2-0~9-0", "gap": {"after": "2-0", "until": "9-0", "reason": "slow"}}
    write(tmp_path, context(), [full, empty, gap], format="parquet")

    (path,) = tmp_path.iterdir()
    types = {f.name: str(f.type) for f in pq.read_schema(path)}
    assert types == {
        "id": "string", "rev": "int64", "partial": "bool", "ts": "timestamp[ns, tz=UTC]",
        "window_start": "timestamp[ns, tz=UTC]", "price_avg": "double", "trades": "double",
        "best_bid_venue": "string", "volume_share": "string", "sources": "string",
        "notices": "string", "gap": "string",
    }  # fmt: skip
    table = pq.read_table(path)
    assert table["window_start"].cast("int64")[0].as_py() == 1_761_053_404_123_456_789
    assert table["price_avg"].to_pylist() == [1.5, None, None]
    assert json.loads(table["volume_share"][0].as_py()) == {"okx": 0.5}
    assert json.loads(table["gap"][2].as_py())["reason"] == "slow"


def test_parquet_without_its_library_says_what_to_install(tmp_path, context):
    """The library is an extra, and is asked for before anything is written."""
    with (
        patch("importlib.util.find_spec", return_value=None),
        pytest.raises(Fatal) as caught,
    ):
        write(tmp_path, context(), format="parquet")

    assert caught.value.fix == "pip install 'bond-files[parquet]'"


def test_parquet_that_cannot_be_made_keeps_the_journal(tmp_path, context):
    """The records are safe meanwhile, it is said, and the next write tries again."""
    ctx, fault = context(), OSError(errno.ENOSPC, "No space left on device")

    async def go():
        sink = Files(FilesConfig(folder=str(tmp_path), format="parquet", rotate_bytes=10))
        await sink.open(ctx)
        with patch("bond_files.child.to_parquet", side_effect=fault):
            await sink.write(records(1), ctx)
        said, kept = sink.report(), ids_in(tmp_path, parts=True)
        await sink.write(records(2), ctx)
        healed = sink.report()
        await sink.close()
        return said, kept, healed

    said, kept, healed = asyncio.run(go())

    assert said["unfinished"] == "No space left on device"
    assert kept == ["1-0"]
    assert "unfinished" not in healed
    assert ids_in(tmp_path) == ["1-0", "2-0"]


@pytest.mark.parametrize("format_", ["jsonl", "parquet"])
def test_what_a_crash_left_is_made_whole(tmp_path, context, format_):
    """The torn end of a journal goes, for nobody was told that it was safe; the rest stays."""
    stem = "8f2a1c9d4b3e7a10.files."
    whole = b'{"id":"1-0"}\n{"id":"2-0"}\n'
    (tmp_path / f"{stem}1-0.part").write_bytes(whole + b'{"id":"3-0","pri')
    (tmp_path / f"{stem}4-0.part").write_bytes(b'{"id":"4')
    (tmp_path / f"{stem}5-0.part").write_bytes(b"")
    (tmp_path / "another.files.6-0.part").write_bytes(b'{"id":"6-0"}\n')

    write(tmp_path, context(), format=format_)

    assert ids_in(tmp_path) == ["1-0", "2-0"]
    assert sorted(p.suffix for p in tmp_path.iterdir()) == sorted([f".{format_}", ".part"])
    assert (tmp_path / "another.files.6-0.part").exists()


def test_what_another_process_writes_is_left_alone(tmp_path, context):
    """A journal that is being written is no leftover."""

    async def go():
        first, second = (Files(FilesConfig(folder=str(tmp_path))) for _ in range(2))
        ctx = context()
        await first.open(ctx)
        await first.write(records(1), ctx)
        await second.open(ctx)
        await second.write(records(1), ctx)
        await first.write(records(2), ctx)
        for sink in (first, second):
            await sink.close()

    asyncio.run(go())

    assert sorted(ids_in(tmp_path)) == ["1-0", "1-0", "2-0"]


@pytest.mark.parametrize("format_", ["jsonl", "parquet"])
def test_killed_in_the_middle_of_writing(tmp_path, context, format_):
    """After SIGKILL whole files are whole, and after a restart all acknowledged is there."""
    safe, kills = -1, 0
    # At least thrice, and once more where the last kill fell between two files.
    while kills < 3 or (kills < 20 and not list(tmp_path.glob("*.part"))):
        kills += 1
        command = [sys.executable, str(WRITER), str(tmp_path), format_, str(safe + 1)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writing:
            for n, line in enumerate(writing.stdout):
                safe = int(line.split()[1])
                if n == (25 if format_ == "jsonl" else 9):
                    writing.send_signal(signal.SIGKILL)
                    break
            # What it said before it died counts, too.
            safe = max([safe, *(int(line.split()[1]) for line in writing.stdout)])
        ids_in(tmp_path)  # every whole file can be read

    assert list(tmp_path.glob("*.part")), "it was killed between two files"
    write(tmp_path, context(), format=format_)

    found = ids_in(tmp_path)
    assert set(found) >= {f"{n}-0" for n in range(safe + 1)}
    assert not [p for p in tmp_path.iterdir() if p.suffix != f".{format_}"]


def test_a_file_that_may_not_grow_is_told_and_loses_nothing(tmp_path, context):
    """Where no file may be as large as a batch, each write raises; later it goes on."""
    command = [sys.executable, str(WRITER), str(tmp_path), "jsonl", "0", "1000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writing:
        said = [writing.stdout.readline() for _ in range(3)]
        free = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(writing.pid, resource.RLIMIT_FSIZE, free)
        for line in writing.stdout:
            if line.startswith("safe 20"):
                writing.terminate()
                break

    assert said == [f"refused {errno.EFBIG}\n"] * 3
    write(tmp_path, context())
    assert ids_in(tmp_path)[:21] == [f"{n}-0" for n in range(21)]


@pytest.fixture
def small_disk(tmp_path):
    """Return a folder on a disk of 128 kB; skip where none can be had."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["/bin/mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no disk can be mounted here: that takes rights of the machine's owner")
    yield folder
    subprocess.run(["/bin/umount", str(folder)], check=True)


def test_a_full_disk_is_told_and_loses_nothing(small_disk, context):
    """What doesn't fit raises and leaves no part of itself; with room again it goes on."""
    ctx = context()
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 116 * 1024)

    async def go():
        sink = Files(FilesConfig(folder=str(small_disk / "out")))
        await sink.open(ctx)
        n, refused = 0, []
        while n < 40:
            batch = records(*range(n, n + 5), pad="x" * 400)
            try:
                await sink.write(batch, ctx)
            except OSError as error:
                refused.append(error.errno)
                if len(refused) == 3:
                    filler.unlink()
                continue
            n += 5
        await sink.close()
        return refused

    assert asyncio.run(go()) == [errno.ENOSPC] * 3
    assert ids_in(small_disk / "out") == [f"{n}-0" for n in range(40)]


def test_a_path_that_leads_out_is_refused(tmp_path, context):
    """On a server that keeps sinks to a folder, no spec writes anywhere else."""
    ctx = context(policy=SinkPolicy(folder=tmp_path / "kept"))

    write("inside", ctx, records(1))
    assert ids_in(tmp_path / "kept" / "inside") == ["1-0"]
    with pytest.raises(Fatal, match="leads out"):
        write("../out", ctx)
