"""Checks that a plugin passes: subclass one of these in a test file, and name the spec.

    class TestAcme(ConnectorConformance):
        spec = "acme"
        cassette = [{"quotes": [...]}]

The tests are plain functions; nothing here needs a network, or an async test plugin.
"""  # fmt: skip

from __future__ import annotations

import asyncio
import gc
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, ClassVar, NoReturn
from unittest.mock import patch

import attrs

from bond_core.clock import NS, Clock, ManualClock, settle
from bond_core.errors import Retryable
from bond_core.model.event import Event
from bond_core.plugin.catalog import Catalog
from bond_core.plugin.discovery import find_plugins
from bond_core.plugin.factories import load_class
from bond_core.plugin.specs import AggregatorSpec, ConnectorSpec, SinkSpec, Spec
from bond_core.runtime.feeds import Feeds, Origin
from bond_core.runtime.simulators import Simulators
from bond_core.settings import SettingsError, json_schema, structure
from bond_core.testing.cassette import Cassette
from bond_core.testing.scripted_connector import RecordingListener
from bond_core.windows.engine import WindowEngine
from bond_core.windows.plan import SourcePlan, StreamPlan

WITHIN_S = 5.0
"""How long a connector may take to say anything. Real seconds: it may run in a thread."""


class Conformance:
    """What holds for every plugin.

    Attributes:
        spec: The spec's name.
        config: Settings that work.
        env: Environment variables that the settings name.
        bad_configs: By what is wrong with them, settings that must be refused.
    """

    spec: ClassVar[str]
    config: ClassVar[Mapping[str, Any]] = {}
    env: ClassVar[Mapping[str, str]] = {}
    bad_configs: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def test_every_setting_is_described(self) -> None:
        """Its settings' schema is closed, and says what each of them is."""
        schema: Any = json_schema(self.installed().config)
        silent = [name for name, s in schema["properties"].items() if not s.get("description")]

        assert schema["additionalProperties"] is False
        assert not silent, f"setting(doc=...) is missing for {silent}"

    def test_bad_settings_are_refused(self) -> None:
        """Each of `bad_configs` is refused, with the place of what is wrong."""
        cls = self.installed().config
        with self.environment():
            for what, config in self.bad_configs.items():
                try:
                    structure(cls, config)
                except SettingsError as error:
                    assert error.problems[0].pointer is not None, what
                else:
                    raise AssertionError(f"taken although bad: {what}")

    def test_registering_loads_no_work(self) -> None:
        """The registration module imports neither the class behind `factory` nor its SDK."""
        spec = self.installed()
        work = spec.factory.partition(":")[0]
        code = "import sys; from bond_core.plugin.discovery import load_plugins; load_plugins()"
        done = subprocess.run(  # noqa: S603 -- our own words
            [sys.executable, "-c", f"{code}; print({work!r} in sys.modules)"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

        assert done.returncode == 0, done.stderr
        assert done.stdout.split()[-1] == "False", f"loading the plugin imports {work}"

    def installed(self) -> Spec:
        """Return the spec, as it is installed."""
        catalog = Catalog.installed()
        specs = {spec.name: spec for row in catalog.rows for spec in row.specs}
        told = {row.name: row.reason for row in catalog.rows if row.reason}
        names = [row.name for row in find_plugins()]
        assert self.spec in specs, f"{self.spec} isn't there; plugins: {names}, {told}"
        return specs[self.spec]

    @contextmanager
    def environment(self) -> Iterator[None]:
        """Set the environment variables of `env`."""
        with patch.dict(os.environ, self.env):
            yield


class ConnectorConformance(Conformance):
    """What holds for a connector.

    Attributes:
        cassette: What the source says, one answer or message after the other.
        sdks: By name, what stands in for a vendor's library.
        symbols: What is listened to.
    """

    cassette: ClassVar[Sequence[Any]] = ()
    sdks: ClassVar[Mapping[str, Any]] = {}
    symbols: ClassVar[Sequence[str]] = ("BTC/USDT",)

    def test_its_events_make_sense(self) -> None:
        """It says something, nothing of it is refused, and its channels are live."""
        ear, _ = self.heard(lambda ear: len(ear.events) >= self._expected())

        assert ear.events, f"nothing was heard; states: {ear.statuses}"
        assert not ear.rejected, ear.rejected
        assert "live" in [status for status, _ in ear.statuses]

    def test_it_says_the_same_again(self) -> None:
        """The same answers give the same events: none has its time from this machine's clock."""
        spec = self.installed()
        assert isinstance(spec, ConnectorSpec)
        # What counts by the time it is heard is given that time by the runtime.
        heard: dict[str, Any] = {"ts": 0} if {c.time for c in spec.channels} == {"receive"} else {}

        def said(event: Event) -> list[Any]:
            return [event.kind, *attrs.astuple(attrs.evolve(event, recv_ts=0, **heard))]

        first, _ = self.heard(lambda ear: len(ear.events) >= self._expected())
        second, _ = self.heard(lambda ear: len(ear.events) >= self._expected())

        assert first.events, f"nothing was heard; states: {first.statuses}"
        assert [said(e) for e in first.events] == [said(e) for e in second.events]

    def test_it_ends_when_told_to(self) -> None:
        """Cancelled, it is gone within a second: no task, no thread and no connection is left."""
        before = set(threading.enumerate())
        _, cassette = self.heard(lambda ear: bool(ear.events))
        for thread in set(threading.enumerate()) - before:
            thread.join(1.0)
        left = [thread.name for thread in set(threading.enumerate()) - before]

        assert not left, f"threads are left: {left}"
        assert cassette.opened == cassette.closed, "a connection is left open"

    def test_it_comes_back_after_a_drop(self) -> None:
        """The connection breaks: it listens again, after a pause."""
        if self.sdks:
            return  # the library's own affair
        dropped = Retryable("dropped by the test")
        ear, _ = self.heard(
            lambda ear: ear.status == "live" and len(ear.statuses) > 2, (dropped, *self.cassette)
        )

        assert "reconnecting" in [status for status, _ in ear.statuses]

    def test_it_shows_no_secret(self, caplog: Any, capsys: Any) -> None:
        """What `env` holds is in no log line, event, reason or print."""
        caplog.set_level(0)
        ear, _ = self.heard(lambda ear: bool(ear.events))
        told = capsys.readouterr()
        said = f"{caplog.text}{told.out}{told.err}{ear.events}{ear.statuses}{ear.rejected}"

        for name, secret in self.env.items():
            assert secret not in said, f"{name} shows"

    def heard(
        self, enough: Callable[[RecordingListener], bool], cassette: Sequence[Any] | None = None
    ) -> tuple[RecordingListener, Cassette]:
        """Run the connector on what the source says until it is enough; return what was heard."""
        if not self.cassette and not self.sdks:
            _skip("no cassette: nothing is known of what its source says")
        spec = self.installed()
        assert isinstance(spec, ConnectorSpec)
        played = Cassette(self.cassette if cassette is None else cassette, self.sdks)
        with self.environment():
            config: Any = structure(spec.config, self.config)
            ear = asyncio.run(self._listen(spec, config, played, enough))
        gc.collect()  # a coroutine that was never awaited says so now
        return ear, played

    async def _listen(
        self, spec: ConnectorSpec, config: Any, played: Cassette,
        enough: Callable[[RecordingListener], bool],
    ) -> RecordingListener:  # fmt: skip
        clock, ear = ManualClock(), RecordingListener()
        async with self._feeds(played, clock) as feeds:
            origin = Origin(spec=spec, config=config, name=spec.name)
            for channel in spec.channels:
                for symbol in ("",) if channel.scope == "stream" else self.symbols:
                    await feeds.subscribe(origin, channel.name, symbol, ear)
            deadline_s = asyncio.get_running_loop().time() + WITHIN_S
            while not enough(ear) and asyncio.get_running_loop().time() < deadline_s:
                if ear.rejected or (ear.statuses and ear.status == "failed"):
                    break
                await settle()
                await asyncio.sleep(0.001)
                await clock.advance(0.25)
        return ear

    @asynccontextmanager
    async def _feeds(self, played: Cassette, clock: Clock) -> Any:
        def ways_out(spec: ConnectorSpec, **_: Any) -> Cassette:  # noqa: ARG001 -- see WaysOut
            return played

        chance = random.Random(1)  # noqa: S311 -- jitter
        async with (
            Simulators(clock=clock) as simulators,
            Feeds(clock=clock, chance=chance, simulators=simulators, ways_out=ways_out) as feeds,
        ):
            yield feeds

    def _expected(self) -> int:
        return 2 if len(self.cassette) > 1 else 1


class AggregatorConformance(Conformance):
    """What holds for an aggregator.

    Attributes:
        events: Some of its kind, of one symbol, in order, within a few seconds.
    """

    events: ClassVar[Sequence[Event]] = ()

    def test_it_has_a_plan_for_each_field(self) -> None:
        """Its plans compile, and none is missing."""
        spec = self._aggregator()
        assert set(spec.fields) <= self._plans().keys()
        self._values(self.events, (60,))

    def test_a_window_without_events_is_no_error(self) -> None:
        """Nothing happened: the fields say something, or that they are unknown."""
        self._values((), (60,))

    def test_split_or_whole_it_computes_the_same(self) -> None:
        """A window merged from seconds has the values of one that saw all events itself."""
        whole, merged = self._values(self.events, (60,)), self._values(self.events, (1, 60))

        assert whole.keys() == merged.keys()
        for field, value in whole.items():
            assert _is_close(value, merged[field]), (field, value, merged[field])

    def test_it_says_something(self) -> None:
        """Of `events` at least one field is known."""
        if not self.events:
            _skip("no events to compute of")
        assert any(value is not None for value in self._values(self.events, (60,)).values())

    def _aggregator(self) -> AggregatorSpec:
        spec = self.installed()
        assert isinstance(spec, AggregatorSpec)
        return spec

    def _plans(self) -> Mapping[str, Any]:
        spec = self._aggregator()
        make = load_class(spec.factory)
        with self.environment():
            made = make(config=structure(spec.config, self.config)) if self.config else make()
        plans: Mapping[str, Any] = made.plan()
        return plans

    def _values(self, events: Sequence[Event], seconds: Sequence[int]) -> dict[str, Any]:
        spec, plans = self._aggregator(), self._plans()
        start_ns = (events[0].ts if events else 0) // (60 * NS) * 60 * NS
        symbol = events[0].symbol if events else "BTC/USDT"
        source = SourcePlan(
            name="source", kind=spec.kind, lateness_ns=0, idle_ns=0, venue="v",
            routes={symbol: (symbol,)},
        )  # fmt: skip
        plan = StreamPlan(
            symbols=(symbol,), timeframes_ns=tuple(s * NS for s in seconds), sources=(source,),
            fields={field: (spec.kind, plans[field]) for field in spec.fields if "{" not in field},
        )  # fmt: skip
        engine = WindowEngine(plan, start_ns=start_ns)
        engine.on_events("source", events)
        engine.finish(start_ns + 60 * NS)
        records = [record for window in engine.take() for record in window.records]
        assert not engine.field_errors, f"its code raised for {engine.field_errors}"
        return dict(records[-1].values)


class SinkConformance(Conformance):
    """What holds for a sink. Write `make_config` and `read_back`.

    Attributes:
        outlet: The context that it is handed, where it needs one.
    """

    outlet: Any = None

    def make_config(self, tmp_path: Path) -> Mapping[str, Any]:
        """Return settings with which it writes below a folder of the test's own."""
        _skip("no make_config: nothing is known of where it writes")

    def read_back(self, tmp_path: Path) -> Sequence[Any]:
        """Return the records that were written, in order."""
        _skip("no read_back: nothing is known of what it wrote")

    def test_it_writes_every_record(self, tmp_path: Path) -> None:
        """Batch by batch, in order."""
        records = [{"id": f"1-{n}", "symbol": "BTC/USDT", "price_avg": 1.5} for n in range(5)]
        self._run(tmp_path, records[:2], records[2:])

        found = self.read_back(tmp_path)
        assert [record["id"] for record in found] == [record["id"] for record in records]

    def test_it_adds_to_what_is_there(self, tmp_path: Path) -> None:
        """Started again, it loses nothing that it wrote before."""
        self._run(tmp_path, [{"id": "1-0"}])
        self._run(tmp_path, [{"id": "2-0"}])

        assert [record["id"] for record in self.read_back(tmp_path)] == ["1-0", "2-0"]

    def test_it_may_be_closed_at_any_time(self, tmp_path: Path) -> None:
        """Before it is opened, and twice."""

        async def go() -> None:
            sink = self._made(tmp_path)
            await sink.close()
            await sink.open(self.outlet)
            await sink.close()
            await sink.close()

        asyncio.run(go())

    def _run(self, tmp_path: Path, *batches: Sequence[Mapping[str, Any]]) -> None:
        async def go() -> None:
            sink = self._made(tmp_path)
            await sink.open(self.outlet)
            for batch in batches:
                await sink.write(batch, self.outlet)
            await sink.close()

        asyncio.run(go())

    def _made(self, tmp_path: Path) -> Any:
        spec = self.installed()
        assert isinstance(spec, SinkSpec)
        with self.environment():
            return load_class(spec.factory)(
                config=structure(spec.config, self.make_config(tmp_path))
            )


def _skip(why: str) -> NoReturn:
    import pytest  # noqa: PLC0415 -- only where tests run

    pytest.skip(why)


def _is_close(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return abs(a - b) <= 1e-9 * max(1.0, abs(a), abs(b))
    return bool(a == b)
