"""How much is allowed: token buckets, caps on listeners, and what those are told who want more."""

from __future__ import annotations

import asyncio

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from bond_core.clock import NS, ManualClock
from bond_server.auth.keys import key_file, make_key
from bond_server.auth.limits import Limiter, Limits, Rate, address_of, parse_rate
from tests.server.running import closing, receive, serving

NOW_S = 1_761_053_405


def on_a_server(monkeypatch, scenario, **options):
    """Run `scenario(server)` on a clock that stands still."""

    async def run():
        clock = ManualClock(NOW_S * NS)
        async with asyncio.timeout(60), serving(monkeypatch, clock=clock, **options) as server:
            await scenario(server, clock)

    asyncio.run(run())


def test_a_bucket_lets_a_burst_through_and_then_its_rate():
    """
    Three at once, then one each half second; who waits long has the burst again, and no more.
    """
    clock = ManualClock(NOW_S * NS)
    limiter = Limiter(Rate(2, 1, 3), clock)

    assert [limiter.take("a") for _ in range(5)] == [0, 0, 0, 0.5, 0.5]
    assert limiter.take("b") == 0
    asyncio.run(clock.advance(0.5))
    assert [limiter.take("a") for _ in range(2)] == [0, 0.5]
    asyncio.run(clock.advance(3600))
    assert [limiter.take("a") for _ in range(4)] == [0, 0, 0, 0.5]


def test_a_bucket_forgets_who_was_not_heard_longest():
    """
    A million addresses take no more room than fifty thousand.
    """
    limiter = Limiter(Rate(1, 60, 1), ManualClock(NOW_S * NS))
    for n in range(60_000):
        limiter.take(f"address {n}")

    assert len(limiter._full_at_ns) == 50_000
    assert limiter.take("address 59999") > 0


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("20/s", Rate(20, 1, 20)), ("5/s:100", Rate(5, 1, 100)), ("60/M", Rate(60, 60, 60)),
        ("1/h:3", Rate(1, 3600, 3)), ("off", None),
    ],
)  # fmt: skip
def test_rates_are_read(text, rate):
    """
    A count and a period, with the burst behind a colon.
    """
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "20", "20/d", "0/s", "1/s:0", "-1/s", "1.5/s", "\u0662/s"])
def test_what_is_no_rate_is_refused(text):
    """
    Nothing is guessed.
    """
    with pytest.raises(ValueError, match=r".*"):
        parse_rate(text)


@pytest.mark.parametrize(
    ("client", "who"),
    [
        (("192.0.2.1", 1), "192.0.2.1"),
        (("::ffff:192.0.2.1", 1), "192.0.2.1"),
        (("2001:db8:1:2:3:4:5:6", 1), "2001:db8:1:2::/64"),
        (("fe80::1%eth0", 1), "fe80::/64"),
        (None, "local"),
    ],
)
def test_an_address_counts_as_one_subscriber(client, who):
    """
    Who has a /64 has one bucket, not 2^64.
    """
    assert address_of(client) == who


def test_requests_over_the_rate_are_429(monkeypatch, tmp_path):
    """
    With when to come back; changes and reads are counted apart, keys by themselves, health not.
    """
    file = key_file(tmp_path)
    one, other = (
        make_key(file, project=p, scopes=["admin"], label=None, now_s=1)[0] for p in ("a", "b")
    )
    limits = Limits(reads=Rate(1, 1, 3), writes=Rate(1, 60, 1))

    async def scenario(server, clock):
        async def ask(key, method="GET", path="/v1/streams"):
            headers = {"Authorization": f"Bearer {key}"}
            return await server.http.request(method, path, headers=headers, json={})

        assert [(await ask(one)).status_code for _ in range(4)] == [200, 200, 200, 429]
        refused = await ask(one)
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.headers["retry-after"] == "1"
        assert (refused.json()["code"], refused.json()["limit"]) == ("rate", 3)
        assert refused.json()["retryable"] is True
        assert (await ask(other)).status_code == 200
        assert (await ask(one, path="/health")).status_code == 200
        assert (await ask(one, "DELETE", "/v1/streams/x")).status_code == 404
        assert (await ask(one, "DELETE", "/v1/streams/x")).headers["retry-after"] == "60"
        # Who shows no key, or a false one, is an address.
        said = [(await ask(f"bk_abcd_{n:043}")).status_code for n in range(4)]
        assert said == [401, 401, 401, 429]
        assert (await server.http.get("/nowhere")).status_code == 429
        await clock.advance(1)
        assert (await ask(one)).status_code == 200

    on_a_server(monkeypatch, scenario, limits=limits, data_dir=tmp_path)


def test_handshakes_over_the_rate_are_429(monkeypatch):
    """
    Before they are accepted, with Retry-After; events count with them.
    """

    async def scenario(server, clock):
        created = await server.create()
        for _ in range(2):
            await (await server.socket(created)).close()
        with pytest.raises(InvalidStatus) as refused:
            await server.socket(created)
        assert refused.value.response.status_code == 429
        assert refused.value.response.headers["retry-after"] == "10"
        assert (await server.http.get(created["sse_url"])).status_code == 429
        await clock.advance(10)
        await (await server.socket(created)).close()

    on_a_server(monkeypatch, scenario, limits=Limits(connects=Rate(6, 60, 2)))


@pytest.mark.parametrize(
    "limits", [Limits(per_token=2), Limits(per_address=2)], ids=["token", "address"]
)
def test_listeners_over_the_cap_are_4429(monkeypatch, limits):
    """
    WebSockets and events count together; who leaves makes room.
    """

    async def scenario(server, clock):
        created = await server.create()
        async with server.http.stream("GET", created["sse_url"]) as events:
            lines = events.aiter_lines()  # kept: without it the response is closed
            assert await anext(lines) == "retry: 2000"
            async with server.socket(created):
                async with server.socket(created) as third:
                    assert await closing(third) == (4429, "connections")
                answer = await server.http.get(created["sse_url"])
                assert (answer.status_code, answer.json()["code"]) == (429, "connections")
                assert (answer.json()["limit"], answer.json()["used"]) == (2, 2)
                assert int(answer.headers["retry-after"]) >= 1
        await server.metrics_when(created, lambda body: body["clients"] == 0)
        async with server.socket(created) as socket:
            await server.publish(created["stream_id"], (1000, 1))
            assert await receive(socket, 1) == ["1000-0"]

    on_a_server(monkeypatch, scenario, limits=limits)


def test_a_crowd_at_once_does_not_slip_through(monkeypatch):
    """
    Of forty that come in the same moment and replay, as many get in as are allowed.
    """

    async def scenario(server, clock):
        created = await server.create()
        await server.publish(created["stream_id"], (1000, 1))
        sockets = await asyncio.gather(*(server.socket(created, after="0-0") for _ in range(40)))

        async def outcome(socket):
            try:
                return await receive(socket, 1)
            except ConnectionClosed:
                return await closing(socket)

        said = [await outcome(socket) for socket in sockets]
        assert said.count(["1000-0"]) == 5
        assert said.count((4429, "connections")) == 35
        await asyncio.gather(*(socket.close() for socket in sockets))

    on_a_server(monkeypatch, scenario, limits=Limits(per_token=5, replays=2))


def test_a_full_process_is_503(monkeypatch):
    """
    Before the handshake is done, for good tokens; it serves again when somebody leaves.
    """

    async def scenario(server, clock):
        created = await server.create()
        async with server.socket(created):
            with pytest.raises(InvalidStatus) as refused:
                await server.socket(created)
            assert refused.value.response.status_code == 503
            assert int(refused.value.response.headers["retry-after"]) >= 1
            answer = await server.http.get(created["sse_url"])
            assert (answer.status_code, answer.json()["code"]) == (503, "full")
        await server.metrics_when(created, lambda body: body["clients"] == 0)
        async with server.socket(created) as socket:
            await server.publish(created["stream_id"], (1000, 1))
            assert await receive(socket, 1) == ["1000-0"]

    on_a_server(monkeypatch, scenario, limits=Limits(connections=1))


def test_a_reconnect_storm_takes_turns(monkeypatch):
    """
    Of fifty clients that replay at once never more than three look up their place together,
    and all of them get every record.
    """

    async def scenario(server, clock):
        created = await server.create()
        ids = await server.publish(created["stream_id"], *((1000 * n, 1) for n in range(1, 21)))
        busy = most = 0
        read = server.bond.log.read

        async def slow_read(*args):
            nonlocal busy, most
            busy += 1
            most = max(most, busy)
            await asyncio.sleep(0.005)
            busy -= 1
            return await read(*args)

        monkeypatch.setattr(server.bond.log, "read", slow_read)

        async def resume():
            async with server.socket(created, after="0-0") as socket:
                assert await receive(socket, 20) == ids

        async with asyncio.TaskGroup() as group:
            for _ in range(50):
                group.create_task(resume())
        assert most == 3

    on_a_server(monkeypatch, scenario, limits=Limits(replays=3))


def test_a_refused_page_counts_too(monkeypatch):
    """
    A page that may not come can't ask without end.
    """

    async def scenario(server, clock):
        created = await server.create()
        url = created["ws_url"]
        for _ in range(2):
            async with connect(url, origin="https://evil.example", proxy=None) as socket:
                assert await closing(socket) == (1008, "origin")
        with pytest.raises(InvalidStatus) as refused:
            await connect(url, origin="https://evil.example", proxy=None)
        assert refused.value.response.status_code == 429

    on_a_server(monkeypatch, scenario, limits=Limits(connects=Rate(1, 60, 2)))
