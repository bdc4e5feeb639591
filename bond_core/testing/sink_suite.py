"""Checks 40 to 44, which a sink passes: subclass this in a test file, and name the spec.

    class TestAcme(SinkConformance):
        spec = "acme"

        def make_config(self, tmp_path):
            return {"path": str(tmp_path / "records.jsonl")}

        def read_back(self, tmp_path):
            lines = (tmp_path / "records.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

Nothing here needs a network, or an async test plugin.
"""  # fmt: skip

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from bond_core.errors import Retryable
from bond_core.plugin.factories import load_class
from bond_core.plugin.sink import Reply
from bond_core.plugin.specs import SinkSpec
from bond_core.runtime.hiding import Hiding
from bond_core.settings import structure
from bond_core.testing.full_disk import FullDisk, full_disk
from bond_core.testing.leaks import around, overheard
from bond_core.testing.no_network import no_network
from bond_core.testing.outlet import Outlet
from bond_core.testing.plugin_suite import SpecConformance, skip

T = TypeVar("T")
Record = Mapping[str, Any]


class SinkConformance(SpecConformance):
    """What holds for a sink. Write `make_config` and `read_back`.

    Attributes:
        outlet: The context that it is handed; `outlet.sent` has what it sent through it.
    """

    outlet: Outlet

    def make_config(self, tmp_path: Path) -> Mapping[str, Any]:
        """Return settings with which it writes below a folder of the test's own."""
        skip("no make_config: nothing is known of where it writes")

    def read_back(self, tmp_path: Path) -> Sequence[Any]:
        """Return the records that were written, in order."""
        skip("no read_back: nothing is known of what it wrote")

    @contextmanager
    def broken(self, tmp_path: Path) -> Iterator[None]:
        """Make what it writes to unreachable for a while.

        Left as it is, the disk is full, and whatever is asked through its context fails.
        """
        self.outlet.error = Retryable("the target can't be reached: ConnectError")
        self._disk.is_full = True
        try:
            yield
        finally:
            self.outlet.error = None
            self._disk.is_full = False

    def test_it_writes_every_record(self) -> None:
        """Check 40: every record of every batch is written, in order; and where some are gone."""
        gap = {"after": "4-0", "until": "9-0", "reason": "kept no longer"}
        records = [*map(_record, range(5)), {"id": "4-0~9-0", "stream_id": "s", "gap": gap}]

        async def go(folder: Path) -> None:
            sink = await self._opened(folder)
            await sink.write(records[:2], self.outlet)
            await sink.write(records[2:5], self.outlet)
            raised = await _raised(sink.write(records[5:], self.outlet))
            assert raised is None, f"a gap record has none of a record's fields: {raised!r}"
            await sink.close()

        with self._folder() as folder:
            self._run(go(folder))
            assert self._ids(folder) == [record["id"] for record in records]

    def test_it_adds_to_what_is_there(self) -> None:
        """Check 40, too: started again, it loses nothing that it wrote before."""

        async def go(folder: Path, n: int) -> None:
            sink = await self._opened(folder)
            await sink.write([_record(n)], self.outlet)
            await sink.close()

        with self._folder() as folder:
            self._run(go(folder, 0))
            self._run(go(folder, 1))
            assert self._ids(folder) == ["0-0", "1-0"], "what was there before is gone"

    def test_it_may_be_closed_at_any_time(self) -> None:
        """Check 41: before it is opened, and twice."""

        async def go(folder: Path) -> None:
            sink = self._built(folder)
            early = await _raised(sink.close())
            assert early is None, f"closed before it was opened, it raises {early!r}"
            await sink.open(self.outlet)
            await sink.close()
            twice = await _raised(sink.close())
            assert twice is None, f"closed twice, it raises {twice!r}"

        with self._folder() as folder:
            self._run(go(folder))

    def test_a_write_that_fails_raises(self) -> None:
        """Check 42: what could not be written raises; written again, nothing of it is missing."""

        async def go(folder: Path) -> None:
            sink = await self._opened(folder)
            await sink.write([_record(0)], self.outlet)
            is_known = type(self).broken is not SinkConformance.broken
            if not (is_known or self._disk.tried or self.outlet.tried):
                await sink.close()
                skip("how its target is made unreachable isn't known: write `broken`")
            with self.broken(folder):
                raised = await _raised(sink.write([_record(1), _record(2)], self.outlet))
            assert raised is not None, "what it writes to can't be reached, and write returns"
            if self.outlet.tried:
                self.outlet.reply = Reply(status=503)
                raised = await _raised(sink.write([_record(1), _record(2)], self.outlet))
                self.outlet.reply = Reply(status=204)
                assert raised is not None, "what it writes to answers 503, and write returns"
            await sink.write([_record(1), _record(2)], self.outlet)
            await sink.close()

        with self._folder() as folder, full_disk(folder) as self._disk:
            self._run(go(folder))
            assert set(self._ids(folder)) == {"0-0", "1-0", "2-0"}, "of a repeated batch is lost"

    def test_what_it_acknowledged_is_there(self) -> None:
        """Check 43: once write has returned, a crash loses nothing; cut short, it can be repeated.

        What is acknowledged is not sent again.
        """
        self._sink_spec()
        if self._sink_spec().delivery == "best_effort":
            skip("best_effort: what is lost in a crash is lost")

        async def go(folder: Path) -> Any:
            sink = await self._opened(folder)
            await sink.write([_record(0)], self.outlet)
            cut_short = asyncio.create_task(sink.write([_record(1)], self.outlet))
            await asyncio.sleep(0)
            cut_short.cancel()
            with suppress(asyncio.CancelledError):
                await cut_short
            return sink  # neither closed nor forgotten: that would flush it

        async def again(folder: Path) -> None:
            sink = await self._opened(folder)
            await sink.write([_record(1)], self.outlet)
            await sink.close()

        with self._folder() as folder, asyncio.Runner() as runner:
            crashed = self._run(go(folder), runner.run)
            assert "0-0" in self._ids(folder), "write had returned, and the record isn't there"
            self._run(again(folder), runner.run)
            assert {"0-0", "1-0"} <= set(self._ids(folder)), "of a repeated batch is lost"
            with suppress(Exception):  # what it held is let go of, and no more is asked of it
                self._run(crashed.close(), runner.run)

    def test_two_of_it_do_not_mix_their_writes(self) -> None:
        """Check 44: two streams may carry to one target at once, and neither harms the other."""
        first = [_record(n, "a") for n in range(10)]
        second = [_record(n, "b") for n in range(10, 20)]

        async def carry(folder: Path, records: Sequence[Record], outlet: Outlet) -> None:
            sink = await self._opened(folder, outlet)
            for start in range(0, len(records), 2):
                await sink.write(records[start : start + 2], outlet)
                await asyncio.sleep(0)
            await sink.close()

        async def go(folder: Path) -> None:
            other = self.outlet.beside("0000000000000002")
            await asyncio.gather(carry(folder, first, self.outlet), carry(folder, second, other))

        with self._folder() as folder:
            self._run(go(folder))
            ids = self._ids(folder)
        for records in (first, second):
            mine = [record["id"] for record in records]
            assert [id for id in ids if id in mine] == mine, "beside another, records are lost"
        assert len(ids) == len(first) + len(second)

    def test_it_shows_no_secret(self) -> None:
        """Check 33: what `env` holds is in no log line, print, record or error, at any level."""
        self._sink_spec()
        if not self.env:
            skip("no env: it is given no secret that could show")

        async def go(folder: Path) -> str:
            sink = await self._opened(folder)
            await sink.write([_record(0)], self.outlet)
            with self.broken(folder):
                raised = await _raised(sink.write([_record(1)], self.outlet))
            await sink.close()
            return repr(raised)

        with self._folder() as folder, full_disk(folder) as self._disk, overheard() as heard:
            told = self._run(go(folder))
            told += f"{heard.text()}{self.read_back(folder)}"
        for name, secret in self.env.items():
            assert secret not in told, f"{name} shows: {around(told, secret)}"

    def settings(self) -> Mapping[str, Any]:
        """Return settings that work."""
        return self.make_config(Path(tempfile.gettempdir()) / "bond-sink")

    _disk: FullDisk

    def _sink_spec(self) -> SinkSpec:
        spec = self.installed()
        assert isinstance(spec, SinkSpec), f"{spec.name} is no sink"
        return spec

    @contextmanager
    def _folder(self) -> Iterator[Path]:
        self._sink_spec()
        self.outlet = Outlet()
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)

    def _ids(self, folder: Path) -> list[str]:
        return [record["id"] for record in self.read_back(folder)]

    def _built(self, folder: Path) -> Any:
        spec = self._sink_spec()
        config: Any = structure(spec.config, self.make_config(folder))
        self.outlet.log = Hiding(config).logger("bond.sink")
        return load_class(spec.factory)(config=config)

    async def _opened(self, folder: Path, outlet: Outlet | None = None) -> Any:
        sink = self._built(folder)
        await sink.open(outlet or self.outlet)
        return sink

    def _run(
        self, coroutine: Coroutine[Any, Any, T],
        run: Callable[[Coroutine[Any, Any, T]], T] = asyncio.run,
    ) -> T:  # fmt: skip
        with self.environment(), no_network(self.outlet.reached) as tried:
            came = run(coroutine)
        assert not tried, f"it went to the network by itself, and not through ctx: {tried[0]}"
        return came


async def _raised(writing: Any) -> Exception | None:
    try:
        await writing
    except Exception as error:  # noqa: BLE001 -- whatever a sink raises is fine
        return error
    return None


def _record(n: int, stream: str = "s") -> Record:
    """Return a record as clients see it, as far as sinks look at it."""
    return {
        "id": f"{n}-0", "stream_id": stream, "symbol": "BTC/USDT", "timeframe": "1s", "rev": 0,
        "price_avg": 1.5 + n, "volume_sum": None,
    }  # fmt: skip
