"""What a sink is handed, when, and what happens when it fails, hangs or ends."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bond_core.clock import ManualClock
from bond_core.errors import Fatal, Retryable
from bond_core.log.event_log import Retention
from bond_core.log.memory import MemoryLog
from bond_core.log.offset import Offset
from bond_core.plugin.specs import Batching
from bond_core.runtime.places import FilePlaces, MemoryPlaces, Place
from tests.core.runtime.scripted_sinks import STREAM, Script, a_sink, running, until

SHORT = Retention(seconds=0.0, windows=3)


def test_records_come_in_order_and_once():
    """Each record is in one batch, in the log's order, and acknowledged records are counted."""

    async def go():
        script = Script()
        async with running(a_sink(script)) as run:
            await run.append(1000, 2000, 3000)
            await until(run.clock, lambda: len(script.ids) == 3)
            await run.append(4000)
            await until(run.clock, lambda: len(script.ids) == 4)
            health = run.health()
        return script, health

    script, health = asyncio.run(go())

    assert script.ids == ["1000-0", "2000-0", "3000-0", "4000-0"]
    assert (script.made, script.opened, script.closed) == (1, 1, 1)
    assert (health["status"], health["delivered"], health["batches"]) == ("live", 4, 2)
    assert (health["waiting"], health["lag_ms"], health["after"]) == (0, 0, "4000-0")


@pytest.mark.parametrize(
    ("batch", "size", "expected"),
    [
        (Batching(records=2, wait_s=9.0), 0, [2, 2, 1]),
        (Batching(records=9, size_bytes=1000, wait_s=9.0), 400, [2, 2, 1]),
        (Batching(records=9, size_bytes=10, wait_s=9.0), 400, [1] * 5),
        (Batching(records=9, wait_s=9.0), 0, [5]),
        (Batching(records=9, wait_s=0.0), 0, [5]),
    ],
    ids=["count", "bytes", "one larger than a batch", "time", "no waiting"],
)
def test_a_batch_is_bounded_by_count_bytes_and_time(batch, size, expected):
    """Whichever is reached first makes a batch; a record that is larger goes by itself."""

    async def go():
        script = Script()
        async with running(a_sink(script, batch=batch)) as run:
            await until(run.clock, lambda: run.health()["status"] == "live")
            await run.append(*range(1000, 6000, 1000), size=size)
            await until(run.clock, lambda: len(script.ids) == 5)
        return [len(b) for b in script.batches]

    assert asyncio.run(go()) == expected


def test_a_batch_that_is_not_full_waits_its_time():
    """A lone record goes when it has waited, and not before."""

    async def go():
        script = Script()
        async with running(a_sink(script, batch=Batching(records=9, wait_s=5.0))) as run:
            await until(run.clock, lambda: run.health()["status"] == "live")
            await run.append(1000)
            await run.clock.advance(4.9)
            before = list(script.ids)
            await run.clock.advance(0.2)
        return before, script.ids

    assert asyncio.run(go()) == ([], ["1000-0"])


@pytest.mark.parametrize(
    "fault", [Retryable("away"), OSError(28, "No space left on device"), TimeoutError()]
)
def test_what_raised_is_written_again(fault):
    """The same batch comes again after a pause; meanwhile it is told why."""

    async def go():
        script = Script(fault, fault)
        async with running(a_sink(script)) as run:
            await run.append(1000, 2000)
            await until(run.clock, lambda: run.health()["status"] == "retrying")
            reason = run.health()["reason"]
            await run.append(3000)
            await until(run.clock, lambda: len(script.ids) == 3)
            return script, reason, run.health()

    script, reason, health = asyncio.run(go())

    assert script.tried[0] == script.tried[1] == script.tried[2]
    assert script.ids == ["1000-0", "2000-0", "3000-0"]
    assert reason
    assert (health["status"], health["retried"], health["delivered"]) == ("live", 2, 3)
    assert "reason" not in health


def test_pauses_grow_and_obey_what_is_asked():
    """Pauses are capped and jittered, and never shorter than the other side asks for."""

    async def go():
        faults = [Retryable("x")] * 4 + [Retryable("x", retry_after_s=120.0)]
        script, times = Script(*faults), []
        clock = ManualClock()
        async with running(a_sink(script), clock=clock) as run:
            await run.append(1000)
            for n in range(1, 7):
                await until(clock, lambda n=n: len(script.tried) == n, step_s=0.05)
                times.append(clock.now_ns() / 1e9)
        return [b - a for a, b in pairwise(times)]

    pauses = asyncio.run(go())

    for n, pause_s in enumerate(pauses[:4]):
        assert 0.25 * 2**n <= pause_s <= 0.5 * 2**n + 0.2, pauses
    assert 120.0 <= pauses[4] < 121, pauses


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fatal("the key is refused", fix="set KEY"), "the key is refused Try: set KEY"),
        (KeyError("x"), "bug in the sink: KeyError: 'x'"),
        (SystemExit(3), "bug in the sink: RuntimeError: it called sys.exit(3)"),
        (asyncio.CancelledError(), "bug in the sink: RuntimeError: it ended with a Cancelled"),
    ],
)
@pytest.mark.parametrize("where", ["open", "write"])
def test_what_never_works_fails_with_a_reason(fault, reason, where):
    """It isn't tried again, and everything else goes on."""

    async def go():
        script = Script(fault) if where == "write" else Script(opening=[fault])
        other = Script()
        async with running(a_sink(script), a_sink(other, name="other")) as run:
            await run.append(1000)
            await until(run.clock, lambda: run.health()["status"] == "failed")
            await run.append(2000)
            await until(run.clock, lambda: len(other.ids) == 2)
            return script, run.health()

    script, health = asyncio.run(go())

    assert health["reason"].startswith(reason)
    assert health["delivered"] == 0
    assert len(script.tried) <= 1
    assert script.closed == 1


def test_a_failed_sink_begins_anew_when_its_stream_is_asked_for_again():
    """It goes on from its place, with the settings of now; those that work are left alone."""

    async def go():
        script, other, mended = Script(Fatal("no key")), Script(), Script()
        async with running(a_sink(script), a_sink(other, name="other")) as run:
            await run.append(1000)
            await until(run.clock, lambda: run.health()["status"] == "failed" and other.ids)
            async with asyncio.TaskGroup() as tasks:
                again = [a_sink(mended), a_sink(Script(), name="other")]
                run.deliveries.revive(again, tasks)
                await run.append(2000)
                await until(run.clock, lambda: len(mended.ids) == 2)
                run.tail.end()
            return mended.ids, other, run.health()

    ids, other, health = asyncio.run(go())

    assert ids == ["1000-0", "2000-0"]
    assert other.made == 1
    assert (health["delivered"], health["status"]) == (2, "closed")


def test_a_sink_that_hangs_slows_nobody():
    """The stream and its other sinks go on, and the one that hangs is tried again."""

    async def go():
        script, other = Script(), Script()
        script.hold.clear()
        slow = a_sink(script, write_within_s=30.0)
        async with running(slow, a_sink(other, name="other"), retention=SHORT) as run:
            await until(run.clock, lambda: script.opened and other.opened)
            for ms in range(1000, 60_000, 1000):
                await run.append(ms)
                await run.clock.advance(1.0)
            await until(run.clock, lambda: len(other.ids) == 59)
            stuck = run.health()
            script.hold.set()
            await until(run.clock, lambda: script.ids and script.ids[-1] == "59000-0")
            return script, other, stuck, run.health()

    script, other, stuck, health = asyncio.run(go())

    assert len(other.ids) == 59
    assert "gap" not in str(other.batches)
    assert stuck["delivered"] == 0
    assert stuck["waiting"] <= 4
    gaps = [r for batch in script.batches for r in batch if "gap" in r]
    assert len(gaps) == health["gaps"] == 1
    told = gaps[0]
    before = [r["id"] for r in script.batches[0]]
    assert told["gap"]["after"] == before[-1]
    assert told["gap"]["reason"] == "slow"
    after = script.ids[script.ids.index(told["id"]) + 1 :]
    assert told["gap"]["until"] == after[0]
    assert health["delivered"] == len(before) + len(after)


def test_a_write_that_ignores_cancelling_is_left_behind():
    """The next attempt has an object of its own, and the end waits for neither for long."""

    async def go():
        script = Script()
        script.ignores_cancelling = True
        script.hold.clear()
        started_s = time.monotonic()
        async with running(a_sink(script, write_within_s=1.0)) as run:
            await run.append(1000)
            await until(run.clock, lambda: script.made == 2, within_s=1e4)
        took_s = time.monotonic() - started_s
        script.hold.set()
        return took_s

    assert asyncio.run(go()) < 8.0


def test_best_effort_is_not_repeated():
    """What a best-effort sink doesn't take is counted as lost."""

    async def go():
        script = Script(Retryable("away"))
        async with running(a_sink(script, delivery="best_effort")) as run:
            await run.append(1000)
            await until(run.clock, lambda: run.health()["lost"] == 1)
            await run.append(2000)
            await until(run.clock, lambda: script.ids == ["2000-0"])
            return run.health()

    health = asyncio.run(go())

    assert (health["lost"], health["delivered"], health["retried"]) == (1, 1, 0)


def test_the_end_of_a_stream_flushes_what_is_left():
    """What was published before the end goes out without waiting for a full batch."""

    async def go():
        script = Script()
        async with running(a_sink(script, batch=Batching(wait_s=3600.0)), end_s=5.0) as run:
            await until(run.clock, lambda: run.health()["status"] == "live")
            await run.append(1000, 2000)
        return script, run.health()

    script, health = asyncio.run(go())

    assert script.ids == ["1000-0", "2000-0"]
    assert (health["status"], script.closed) == ("closed", 1)


def test_the_last_flush_has_a_deadline():
    """A sink that takes nothing any more doesn't hold up the end."""

    async def go():
        script = Script()
        script.hold.clear()
        started_s = time.monotonic()
        async with running(a_sink(script), end_s=0.2) as run:
            await run.append(1000)
            await until(run.clock, lambda: script.tried)
        return time.monotonic() - started_s, script.closed

    took_s, closed = asyncio.run(go())

    assert took_s < 5.0
    assert closed == 1


@pytest.mark.parametrize("kind", ["memory", "files"])
def test_a_restart_goes_on_where_it_stopped(kind, tmp_path):
    """With the log still there, nothing is lost and nothing comes twice."""

    async def go():
        log, places = MemoryLog(), MemoryPlaces() if kind == "memory" else FilePlaces(tmp_path)
        first, second = Script(), Script()
        async with running(a_sink(first), log=log, places=places) as run:
            await run.append(1000, 2000)
            await until(run.clock, lambda: len(first.ids) == 2)
        await log.append(STREAM, [(Offset(3000, 0), b'{"id":"3000-0"}')])
        async with running(a_sink(second), log=log, places=places) as run:
            await run.append(4000)
            await until(run.clock, lambda: len(second.ids) == 2)
        return first.ids, second.ids

    assert asyncio.run(go()) == (["1000-0", "2000-0"], ["3000-0", "4000-0"])


def test_a_crash_before_the_acknowledgement_repeats_the_batch(tmp_path):
    """What was written but not acknowledged comes again, under the same ids."""

    async def go():
        log, places = MemoryLog(), FilePlaces(tmp_path)
        first, second = Script(None, Retryable("crash")), Script()
        async with running(a_sink(first), log=log, places=places, end_s=0.0) as run:
            await run.append(1000)
            await until(run.clock, lambda: len(first.ids) == 1)
            await run.append(2000)
            await until(run.clock, lambda: len(first.tried) == 2)
        async with running(a_sink(second), log=log, places=places) as run:
            await until(run.clock, lambda: second.ids)
        return second.ids

    assert asyncio.run(go()) == ["2000-0"]


def test_another_life_of_the_log_is_told(tmp_path):
    """A log that began anew can't say what came between: the sink gets a gap record, and all."""

    async def go():
        places = FilePlaces(tmp_path)
        first, second = Script(), Script()
        async with running(a_sink(first), places=places) as run:
            await run.append(1000)
            await until(run.clock, lambda: first.ids)
        async with running(a_sink(second), places=places) as run:
            await run.append(9000)
            await until(run.clock, lambda: second.ids)
            return second.batches[0], run.health()

    (gap, record), health = asyncio.run(go())

    assert gap["gap"] == {"after": "1000-0", "until": "9000-0", "reason": "restart"}
    assert gap["stream_id"] == STREAM
    assert record["id"] == "9000-0"
    assert (health["gaps"], health["delivered"]) == (1, 1)


def test_a_place_that_cannot_be_kept_stops_nothing(tmp_path, caplog):
    """Delivery goes on, and it is known here how far it has come."""

    async def go():
        (tmp_path / STREAM / "out.new").mkdir(parents=True)  # where it would be written first
        places, script = FilePlaces(tmp_path), Script()
        async with running(a_sink(script), places=places) as run:
            await run.append(1000)
            await until(run.clock, lambda: script.ids)
            await run.append(2000)
            await until(run.clock, lambda: len(script.ids) == 2)
            return run.health()["status"]

    assert asyncio.run(go()) == "live"
    assert "its place can't be kept: Is a directory" in caplog.text


def test_places_are_whole_or_not_there(tmp_path):
    """A torn file counts as none, and forgetting removes a stream's."""

    async def go():
        places, place = FilePlaces(tmp_path), Place(after=Offset(5, 1), epoch="ab")
        await places.keep(STREAM, "out", place)
        found = await places.read(STREAM, "out")
        (tmp_path / STREAM / "torn.json").write_text('{"after": "5-')
        torn = await places.read(STREAM, "torn")
        await places.forget(STREAM)
        return found, torn, await places.read(STREAM, "out"), list(tmp_path.iterdir())

    found, torn, gone, left = asyncio.run(go())

    assert found == Place(after=Offset(5, 1), epoch="ab")
    assert (torn, gone, left) == (None, None, [])


@settings(max_examples=40)
@given(
    st.lists(st.sampled_from([None, "retry", "os"]), max_size=12),
    st.lists(st.integers(1, 4), min_size=1, max_size=8),
    st.integers(1, 5),
)
def test_whatever_fails_nothing_is_lost(faults, bursts, records):
    """Under any run of passing faults every record is acknowledged once, in order."""

    async def go():
        kinds = {None: None, "retry": Retryable("x"), "os": OSError(5, "x")}
        script = Script(*(kinds[fault] for fault in faults))
        batch, ms = Batching(records=records, wait_s=0.5), 0
        async with running(a_sink(script, batch=batch)) as run:
            for burst in bursts:
                await run.append(*range(ms + 1, ms + 1 + burst))
                ms += burst
                await run.clock.advance(0.3)
            await until(run.clock, lambda: len(script.ids) >= ms, within_s=1e4, step_s=5.0)
        return script.ids, ms

    ids, ms = asyncio.run(go())

    assert ids == [f"{n}-0" for n in range(1, ms + 1)]
