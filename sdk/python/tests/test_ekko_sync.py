from __future__ import annotations

import asyncio
import gc
import signal
import subprocess
import sys
import threading
import time

import pytest

from ekko import (
    APIConnectionError,
    BadRequestError,
    EkkoClient,
    EkkoClientSync,
    RunningLoopError,
    listen_sync,
)


def sync_threads():
    """The threads that listen_sync has running."""
    return [t for t in threading.enumerate() if t.name == "ekko listen_sync"]


def wait_until(holds):
    """Wait for what must come, at most ten seconds."""
    for _ in range(2000):
        if holds():
            return True
        time.sleep(0.005)
    return False


def test_a_plain_loop_gets_every_record(bond, kit):
    """A complete stream ends the loop, and the thread with it."""
    bond.records = [kit.a_record(1000 * n) for n in range(1, 201)]
    bond.faults.append(kit.Fault(100, 4008))
    bond.finished = True

    with bond.running_in_a_thread():
        ids = [e.id for e in listen_sync("BTC price", api_url=bond.url, from_="now-60s")]

    assert ids == [record["id"] for record in bond.records]
    assert not sync_threads()


def test_a_break_ends_the_connection_and_the_thread(bond, kit):
    """Leaving the loop early leaves nothing behind."""
    bond.records = [kit.a_record(1000 * n) for n in range(1, 201)]

    with bond.running_in_a_thread():
        for event in listen_sync("BTC price", api_url=bond.url, from_="now-60s"):
            if event.id == "3000-0":
                break
        gc.collect()
        assert not sync_threads()
        assert wait_until(lambda: bond.open_sockets == 0)


def test_close_ends_a_loop_that_waits_for_a_record(bond):
    """A generator that was closed while the market was quiet is closed at once."""
    with bond.running_in_a_thread():
        events = listen_sync("BTC price", api_url=bond.url)
        bond.records.append({"id": "1000-0"})
        bond.on_socket = lambda: bond.records.append({"id": "2000-0"})
        assert next(events).id == "2000-0"
        started = time.monotonic()
        events.close()
        assert time.monotonic() - started < 3
        assert not sync_threads()
        assert wait_until(lambda: bond.open_sockets == 0)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signals to threads here")
def test_ctrl_c_ends_a_waiting_loop(bond):
    """KeyboardInterrupt comes out of the loop, and the thread is gone."""
    main = threading.get_ident()

    def press_ctrl_c():
        threading.Timer(0.05, signal.pthread_kill, (main, signal.SIGINT)).start()

    with bond.running_in_a_thread():
        bond.on_socket = press_ctrl_c
        with pytest.raises(KeyboardInterrupt):
            next(listen_sync("BTC price", api_url=bond.url))
        assert not sync_threads()
        assert wait_until(lambda: bond.open_sockets == 0)


def test_a_script_that_ends_in_its_loop_ends(bond, kit):
    """A generator that nobody closed is closed, and doesn't keep the interpreter alive."""
    bond.records = [kit.a_record(1000)]
    script = (
        "from ekko import listen_sync\n"
        "events = listen_sync('BTC price', api_url={url!r}, from_='now-60s')\n"
        "print(next(events).id)\n"
    )

    with bond.running_in_a_thread():
        done = subprocess.run(
            [sys.executable, "-c", script.format(url=bond.url)],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

        assert wait_until(lambda: bond.open_sockets == 0)

    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "1000-0", "")
    assert bond.sockets[0].close_code == 1000  # it said goodbye


def test_errors_come_out_of_the_loop(bond, kit, unused_port):
    """What `listen` raises, `listen_sync` raises, where the caller is."""
    with bond.running_in_a_thread():
        bond.answers.append(("POST", "/v1/streams", kit.a_problem(422, detail="No.")))
        with pytest.raises(BadRequestError, match="No"):
            list(listen_sync("nonsense", api_url=bond.url))
    with pytest.raises(APIConnectionError):
        list(listen_sync("BTC price", api_url=f"http://127.0.0.1:{unused_port}"))
    assert not sync_threads()


def test_a_running_loop_is_told_what_to_write():
    """In a coroutine or a notebook, the mistake shows at the call."""

    async def run():
        listen_sync("BTC price")

    with pytest.raises(RunningLoopError, match="async for event in listen"):
        asyncio.run(run())


def test_a_slow_reader_holds_the_stream_back(bond, kit):
    """No more than a bounded number of records wait for a caller that does something else."""
    bond.records = [kit.a_record(1000 * n) for n in range(1, 3001)]
    bond.finished = True

    with bond.running_in_a_thread():
        events = listen_sync("BTC price", api_url=bond.url, from_="now-60s")
        next(events)
        assert wait_until(lambda: events._items.qsize() == 64)
        time.sleep(0.05)
        assert events._items.qsize() == 64
        assert sum(1 for _ in events) == 2999


def test_a_generator_that_was_never_started_starts_nothing():
    """Only taking the first record opens a connection."""
    events = listen_sync("BTC price")
    assert not sync_threads()
    events.close()


def test_the_twin_has_every_call_of_the_client(bond, kit):
    """The same calls, arguments and answers, inside `with` and outside."""
    bond.records = [kit.a_record(1000), kit.a_record(2000)]
    bond.finished = True

    with bond.running_in_a_thread():
        client = EkkoClientSync(bond.url, api_key=kit.api_key)
        assert client.health().status == "ok"
        with client:
            stream = client.create_stream("BTC price every 5s")
            assert [one.stream_id for one in client.list_streams()] == [stream.stream_id]
            assert client.explain("BTC price").understood == "BTC/USDT price"
            assert client.metrics(stream.stream_id).msgs_in == 245
            token = client.refresh_token(stream.stream_id)
            events = client.subscribe(stream.stream_id, token.token, from_="now-60s")
            assert [event.id for event in events] == ["1000-0", "2000-0"]
            heard = client.listen("BTC price every 5s", from_="now-60s")
            assert [event.id for event in heard] == ["1000-0", "2000-0"]
            client.delete_stream(stream.stream_id)
        assert not [t for t in threading.enumerate() if t.name.startswith("ekko")]

    def calls_of(kind):
        named = (name for name in vars(kind) if not name.startswith("_") and name != "twin")
        return set(named)

    assert calls_of(EkkoClient) == calls_of(EkkoClientSync)


def test_the_twin_s_errors_are_the_client_s(bond, kit):
    """Typed, and with the server's words."""
    with bond.running_in_a_thread():
        bond.answers.append(("POST", "/v1/streams", kit.a_problem(422, detail="No.")))
        with pytest.raises(BadRequestError, match="No"), EkkoClientSync(bond.url) as client:
            client.create_stream("nonsense")


def test_a_running_loop_may_be_blocked_for_a_while(bond, kit):
    """A notebook's cell that says when it ends gives a table; one without end is refused."""
    bond.records = [kit.a_record(1000 * n) for n in range(1, 11)]

    async def run():
        found = listen_sync("BTC price", api_url=bond.url, from_="now-60s", limit=4).collect()
        with pytest.raises(RunningLoopError):
            EkkoClientSync(bond.url).subscribe(bond.stream_id)
        return [event.id for event in found]

    with bond.running_in_a_thread():
        assert asyncio.run(run()) == ["1000-0", "2000-0", "3000-0", "4000-0"]


def test_seconds_end_a_loop_that_waits_for_a_record(bond, kit):
    """However quiet the market is."""
    bond.records = [kit.a_record(1000)]

    with bond.running_in_a_thread():
        found = listen_sync("BTC price", api_url=bond.url, from_="now-60s", seconds=0.5).collect()

    assert [event.id for event in found] == ["1000-0"]
    assert not sync_threads()
