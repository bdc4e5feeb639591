from __future__ import annotations

import asyncio
import random
from contextlib import aclosing

import pytest

from ekko import (
    AuthenticationError,
    Backoff,
    ServerError,
    StreamDeletedError,
    StreamRefusedError,
)

HALF = Backoff(random=lambda: 0.0)  # the shortest pauses: half of the longest


async def ids_of(events, limit=None):
    """The ids of all events, or of the first few."""
    ids = []
    async with aclosing(events):
        async for event in events:
            ids.append(event.id)
            if len(ids) == limit:
                break
    return ids


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_fifty_random_drops_lose_and_double_nothing(bond, kit, seed):
    """Resumed 50 times at random points, the client gets every id once and in order."""
    chance = random.Random(seed)
    for window in range(300):
        for n in range(chance.choice([1, 1, 2, 3])):
            bond.records.append(kit.a_record(1761053405000 + 5000 * window, n))
    codes = [None, None, None, 1001, 1011, 1012, 1013, 4008, 4429]
    bond.faults.extend(kit.Fault(chance.randint(0, 8), chance.choice(codes)) for _ in range(50))
    bond.finished = True

    async def run():
        async with bond.running():
            client = bond.client()
            return await ids_of(client.subscribe(bond.stream_id, from_="now-60s"))

    ids = asyncio.run(run())

    assert ids == [record["id"] for record in bond.records]
    assert len(bond.connections) == 51
    assert [query.get("after") for query in bond.connections if "after" in query] == sorted(
        (query["after"] for query in bond.connections if "after" in query),
        key=lambda text: tuple(map(int, text.split("-"))),
    )


def test_a_record_sent_again_is_skipped_and_told(bond, kit, caplog):
    """A server that repeats the last record is corrected, and the log says so."""
    bond.records = [kit.a_record(ms) for ms in (1000, 2000, 3000)]
    bond.faults.append(kit.Fault(2, None))
    bond.repeat_last = True
    bond.finished = True

    async def run():
        async with bond.running():
            return await ids_of(bond.client().subscribe(bond.stream_id, from_="now-60s"))

    assert asyncio.run(run()) == ["1000-0", "2000-0", "3000-0"]
    assert "again" in caplog.text


def test_ids_are_compared_as_numbers(bond, kit):
    """Position 1000-10 comes after 1000-9, and 10000-0 after 9999-0."""
    bond.records = [kit.a_record(1000, n) for n in (9, 10, 11)] + [kit.a_record(10000)]
    bond.faults.extend(kit.Fault(1, None) for _ in range(3))
    bond.finished = True

    async def run():
        async with bond.running():
            return await ids_of(bond.client().subscribe(bond.stream_id, from_="now-60s"))

    assert asyncio.run(run()) == ["1000-9", "1000-10", "1000-11", "10000-0"]


def test_a_refused_token_is_replaced_and_the_stream_goes_on(bond, kit):
    """After 1008 the client gets a fresh token and resumes after its last record."""
    bond.records = [kit.a_record(ms) for ms in (1000, 2000, 3000)]
    bond.faults.append(kit.Fault(2, 1008, "token_expired"))
    bond.finished = True

    async def run():
        async with bond.running():
            client = bond.client()
            stream = await client.create_stream("BTC price every 5s")
            return await ids_of(
                client.subscribe(stream.stream_id, stream.access_token, from_="now-60s")
            )

    assert asyncio.run(run()) == ["1000-0", "2000-0", "3000-0"]
    first, second = bond.connections
    assert first["token"] != second["token"]
    assert second["after"] == "2000-0"
    assert [path for _, path, _ in bond.requests] == [
        "/v1/streams",
        f"/v1/streams/{bond.stream_id}/token",
    ]


def test_the_fourth_refusal_in_a_row_is_an_error(bond, kit):
    """Three fresh tokens are tried; then the client says that it is not let in."""
    bond.faults.extend(kit.Fault(0, 1008, "scope") for _ in range(9))

    async def run():
        async with bond.running():
            await ids_of(bond.client().subscribe(bond.stream_id, "1761053405.mine"))

    with pytest.raises(AuthenticationError, match="scope") as caught:
        asyncio.run(run())

    assert len(bond.connections) == 4
    assert bond.minted == 3
    assert "mine" not in str(caught.value)


def test_a_record_between_refusals_starts_the_count_anew(bond, kit):
    """A long-lived client may see any number of expired tokens."""
    bond.records = [kit.a_record(1000 * n) for n in range(1, 8)]
    bond.faults.extend(kit.Fault(1, 1008, "token_expired") for _ in range(6))
    bond.finished = True

    async def run():
        async with bond.running():
            return await ids_of(bond.client().subscribe(bond.stream_id, from_="now-60s"))

    assert len(asyncio.run(run())) == 7


def test_a_token_is_renewed_before_it_expires(bond, kit):
    """A client that knows its token's lifetime is never refused for its age."""
    now_s = 0.0
    bond.records = [kit.a_record(ms) for ms in (1000, 2000, 3000)]

    async def run():
        nonlocal now_s
        async with bond.running():
            client = bond.client(policy=kit.hasty(now=lambda: now_s))
            stream = await client.create_stream("BTC price every 5s")
            events = client.subscribe(stream.stream_id, from_="now-60s")
            async with aclosing(events):
                async for event in events:
                    if event.id == "2000-0":
                        now_s = 3541.0  # of 3600 s
                    if event.id == "3000-0":
                        break

    asyncio.run(run())

    first, second = bond.connections
    assert first["token"] != second["token"]
    assert second["after"] == "2000-0"


def test_a_failed_early_renewal_keeps_the_connection(bond, kit):
    """While the old token still works, an API that is down costs nothing but a warning."""
    now_s = 0.0
    bond.records = [kit.a_record(ms) for ms in (1000, 2000)]
    down = kit.a_problem(503, code="unavailable", detail="Not now.", retryable=True)

    async def run():
        nonlocal now_s
        async with bond.running():
            bond.answers.append(("POST", f"/v1/streams/{bond.stream_id}/token", down))
            client = bond.client(retries=0, policy=kit.hasty(now=lambda: now_s, backoff=Backoff()))
            stream = await client.create_stream("BTC price every 5s")
            events = client.subscribe(stream.stream_id, from_="now-60s")
            async with aclosing(events):
                async for event in events:
                    now_s = 3541.0
                    if event.id == "2000-0":
                        break

    asyncio.run(run())

    assert len(bond.connections) == 1
    assert not bond.answers


def test_a_deleted_stream_ends_with_an_error_that_names_it(bond, kit):
    """4404 stops the subscription at once, with the last id for the record."""
    bond.records = [kit.a_record(1000)]
    bond.faults.append(kit.Fault(1, 4404, "stream_deleted"))

    async def run():
        async with bond.running():
            await ids_of(bond.client().subscribe(bond.stream_id, from_="now-60s"))

    with pytest.raises(StreamDeletedError) as caught:
        asyncio.run(run())

    assert caught.value.stream_id == bond.stream_id
    assert caught.value.last_id == "1000-0"
    assert len(bond.connections) == 1


def test_a_refresh_that_finds_no_stream_is_a_deleted_stream(bond):
    """Whoever asks for a token of a deleted stream is told that it is deleted."""
    bond.deleted = True

    async def run():
        async with bond.running():
            await ids_of(bond.client().subscribe(bond.stream_id))

    with pytest.raises(StreamDeletedError, match="no such stream"):
        asyncio.run(run())


def test_a_bad_starting_point_is_not_tried_again(bond, kit):
    """1008 `bad_from` is the caller's mistake; a fresh token wouldn't mend it."""
    bond.faults.append(kit.Fault(0, 1008, "bad_from"))

    async def run():
        async with bond.running():
            await ids_of(bond.client().subscribe(bond.stream_id, from_="yesterday"))

    with pytest.raises(StreamRefusedError, match="bad_from"):
        asyncio.run(run())


def test_listen_asks_again_for_a_stream_that_ended_while_it_was_away(bond, kit, caplog):
    """An ephemeral stream that died of a long outage comes back; a deleted one doesn't."""
    bond.records = [kit.a_record(ms) for ms in (1000, 2000, 3000)]
    bond.faults.extend([kit.Fault(1, None), kit.Fault(0, 4404), kit.Fault(1, 4404)])

    async def run():
        async with bond.running():
            return await ids_of(bond.client().listen("BTC price every 5s", from_="now-60s"))

    with pytest.raises(StreamDeletedError) as caught:
        asyncio.run(run())

    assert caught.value.last_id == "2000-0"
    assert [path for _, path, _ in bond.requests] == ["/v1/streams", "/v1/streams"]
    assert "may be missing" in caplog.text


def test_a_live_client_that_drops_at_once_misses_nothing(bond, kit):
    """Told where it came in, a client resumes there even before its first record."""
    bond.records = [kit.a_record(1000)]
    bond.accept_headers = {"Bond-Top-Id": "1000-0"}
    bond.faults.append(kit.Fault(0, None))

    async def run():
        async with bond.running():
            events = bond.client().subscribe(bond.stream_id)
            bond.on_socket = lambda: bond.records.append(
                kit.a_record(1000 + 1000 * len(bond.connections))
            )
            return await ids_of(events, limit=2)

    assert asyncio.run(run()) == ["2000-0", "3000-0"]
    assert bond.connections[1]["after"] == "1000-0"


def test_records_that_are_no_longer_kept_are_told(bond, kit, caplog):
    """A resume that comes too late says in the log that records are lost."""
    bond.accept_headers = {"Bond-Replay": "truncated"}
    bond.records = [kit.a_record(5000)]

    async def run():
        async with bond.running():
            await ids_of(bond.client().subscribe(bond.stream_id, after="1000-0"), limit=1)

    asyncio.run(run())

    assert "no longer has all records after 1000-0" in caplog.text


@pytest.mark.parametrize(("epoch", "is_told"), [("a1", False), ("b2", True)])
def test_a_log_that_began_anew_is_told(bond, kit, caplog, epoch, is_told):
    """A server that comes back with an empty log has lost what came in between."""
    bond.accept_headers = {"Bond-Epoch": "a1"}
    bond.records = [kit.a_record(1000), kit.a_record(2000)]
    bond.faults.append(kit.Fault(1, None))
    bond.on_socket = lambda: bond.accept_headers.update({"Bond-Epoch": epoch})

    async def run():
        async with bond.running():
            await ids_of(bond.client().subscribe(bond.stream_id, from_="now-60s"), limit=2)

    asyncio.run(run())

    assert ("no longer has all records after 1000-0" in caplog.text) == is_told


def test_renewing_without_an_old_token_waits_for_the_server(bond, kit):
    """A server that can't mint a token just now is asked again; one that won't is believed."""
    path = f"/v1/streams/{bond.stream_id}/token"
    bond.records = [kit.a_record(1000)]
    bond.finished = True

    async def run():
        async with bond.running():
            client = bond.client(retries=0)
            bond.answers.append(("POST", path, kit.a_problem(503, code="unavailable")))
            ids = await ids_of(client.subscribe(bond.stream_id, from_="now-60s"))
            client = bond.client(retries=0)
            broken = kit.a_problem(500, code="internal", detail="Bug.", retryable=False)
            bond.answers.append(("POST", path, broken))
            with pytest.raises(ServerError, match="Bug"):
                await ids_of(client.subscribe(bond.stream_id))
            return ids

    assert asyncio.run(run()) == ["1000-0"]
