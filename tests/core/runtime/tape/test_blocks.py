"""Blocks of a tape: whole or not there, whatever happens to the file."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bond_core.runtime.tape.blocks import BlockReader, BlockWriter
from bond_core.testing.full_disk import full_disk

LINES = st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=6)
in_tmp = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)


def written(path: Path, blocks: list[bytes]) -> bytes:
    """Return the file of these blocks."""
    path.unlink(missing_ok=True)
    writer = BlockWriter(path)
    for lines in blocks:
        writer.write(lines)
    writer.close()
    return path.read_bytes()


def read(path: Path) -> tuple[list[bytes], str | None]:
    """Return the blocks of a file, and why it is torn."""
    reader = BlockReader(path)
    return list(reader), reader.torn


@in_tmp
@given(blocks=LINES)
def test_what_is_written_is_read_and_gzip_reads_it_too(tmp_path, blocks):
    """Any blocks come back as they were, in order, and `zcat` shows them one after the other."""
    data = written(tmp_path / "tape.gz", blocks)

    assert read(tmp_path / "tape.gz") == (blocks, None)
    assert gzip.decompress(data) == b"".join(blocks)


@in_tmp
@given(blocks=LINES, part=st.floats(0, 1, exclude_max=True))
def test_a_torn_file_gives_all_whole_blocks_and_says_that_it_is_torn(tmp_path, blocks, part):
    """Cut anywhere, a file gives the blocks before the cut, and says so unless none is missing."""
    path = tmp_path / "tape.gz"
    sizes = [len(written(path, blocks[: n + 1])) for n in range(len(blocks))]
    cut = int(sizes[-1] * part)
    path.write_bytes(written(path, blocks)[:cut])

    found, torn = read(path)

    whole = sum(size <= cut for size in sizes)
    assert found == blocks[:whole]
    assert (torn is None) == (cut in (0, *sizes))


@in_tmp
@given(blocks=LINES, part=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_a_damaged_file_never_gives_what_was_not_written(tmp_path, blocks, part, flip):
    """Whichever byte is another, what is read is what was written, up to the damage at most."""
    path = tmp_path / "tape.gz"
    data = bytearray(written(path, blocks))
    data[int(len(data) * part)] ^= flip
    path.write_bytes(data)

    found, torn = read(path)

    assert found == blocks[: len(found)]
    # Time, flags for speed and operating system in gzip's head are nobody's business.
    assert torn is not None or found == blocks


@in_tmp
@given(data=st.binary(max_size=400))
def test_any_file_can_be_read_without_a_crash(tmp_path, data):
    """What is no tape gives nothing, and says that it is none."""
    path = tmp_path / "tape.gz"
    path.write_bytes(data)

    found, torn = read(path)

    assert not found
    assert (torn is None) == (not data)


def test_a_block_that_is_missing_is_noticed(tmp_path):
    """A file from which a block was cut out ends before the hole."""
    path = tmp_path / "tape.gz"
    first, two = len(written(path, [b"a"])), len(written(path, [b"a", b"b"]))
    data = written(path, [b"a", b"b", b"c"])
    path.write_bytes(data[:first] + data[two:])

    assert read(path) == ([b"a"], "block 1 is missing: block 2 stands in its place")


def test_nothing_is_written_over(tmp_path):
    """A file that is there stays as it is."""
    path = tmp_path / "tape.gz"
    path.write_bytes(b"mine")

    with pytest.raises(FileExistsError):
        BlockWriter(path)

    assert path.read_bytes() == b"mine"


def test_on_a_full_disk_the_file_ends_with_its_last_whole_block(tmp_path):
    """What can't be written raises; what was written before can be read, and written on."""
    path = tmp_path / "tape.gz"
    with full_disk(tmp_path) as disk:
        writer = BlockWriter(path)
        writer.write(b"one")
        disk.is_full = True
        with pytest.raises(OSError, match="No space"):
            writer.write(b"two")
        found = read(path)
        disk.is_full = False
        writer.write(b"three")
        writer.close()

    assert found == ([b"one"], None)
    assert read(path) == ([b"one", b"three"], None)


def test_half_a_block_is_taken_back(tmp_path):
    """Where a disk takes a part of a block and then no more, the part goes."""
    path = tmp_path / "tape.gz"
    writer = BlockWriter(path)
    writer.write(b"one")
    plain = writer._file

    class Half:
        taken = 0

        def write(self, data):
            if not self.taken:
                self.taken = plain.write(data[:8])
                return self.taken
            raise OSError(28, "No space left on device")

        def __getattr__(self, name):
            return getattr(plain, name)

    writer._file = Half()
    with pytest.raises(OSError, match="No space"):
        writer.write(b"twotwotwo")
    plain.close()

    assert read(path) == ([b"one"], None)
