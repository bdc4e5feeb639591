"""The limit on streams under parallel calls, and that deleted streams leave nothing behind."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter

import pytest

from bond_core.log.offset import START
from tests.server.running import SPEC, receive, serving


def on_a_server(monkeypatch, scenario, **options):
    """Run `scenario(server)`."""

    async def run():
        async with asyncio.timeout(60), serving(monkeypatch, **options) as server:
            await scenario(server)

    asyncio.run(run())


async def until_quiet(before):
    """Wait until no more tasks run than before; return the names of those that do."""
    left: list[str] = []
    for _ in range(200):
        left = sorted(task.get_name() for task in asyncio.all_tasks() - before)
        if not left:
            break
        await asyncio.sleep(0.01)
    return left


def streams_tasks():
    """Return the names of the tasks that belong to streams."""
    names = [task.get_name() for task in asyncio.all_tasks()]
    return sorted(name for name in names if name.startswith(("stream ", "tail ", "run ")))


def test_of_fifty_parallel_creates_five_succeed(monkeypatch):
    """
    Exactly the limit, the others 429 with its numbers; deleted, they leave no task and no log.
    """

    async def scenario(server):
        async def create(n):
            body = {"spec": SPEC | {"interval_sec": n + 1}}
            return await server.http.post("/v1/streams", json=body)

        answers = await asyncio.gather(*(create(n) for n in range(50)))
        assert Counter(answer.status_code for answer in answers) == {201: 5, 429: 45}
        for refused in (answer for answer in answers if answer.status_code == 429):
            body = refused.json()
            assert (body["code"], body["limit"], body["used"]) == ("limit", 5, 5)
            assert int(refused.headers["retry-after"]) >= 1
        made = [answer.json()["stream_id"] for answer in answers if answer.status_code == 201]
        assert len(set(made)) == len(server.bond.streams("local")) == 5
        assert len(streams_tasks()) == 15

        gone = await asyncio.gather(*(server.http.delete(f"/v1/streams/{one}") for one in made))
        assert [answer.status_code for answer in gone] == [204] * 5
        assert streams_tasks() == []
        assert server.bond.streams("local") == []
        for one in made:
            assert (await server.bond.log.read(one, START, 1)).entries == ()

    on_a_server(monkeypatch, scenario)


def test_fifty_parallel_creates_of_one_stream_make_one(monkeypatch):
    """
    One 201, the others 200 with the same id.
    """

    async def scenario(server):
        body = {"spec": SPEC}
        posts = (server.http.post("/v1/streams", json=body) for _ in range(50))
        answers = await asyncio.gather(*posts)
        assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 49}
        assert len({answer.json()["stream_id"] for answer in answers}) == 1
        assert len(streams_tasks()) == 3

    on_a_server(monkeypatch, scenario)


def test_create_and_delete_in_a_loop_leaves_nothing(monkeypatch):
    """
    A hundred lives of one stream, with a listener in each, end with the tasks of the beginning.
    """

    async def scenario(server):
        created = await server.create()
        await server.http.delete(f"/v1/streams/{created['stream_id']}")
        before = asyncio.all_tasks()
        for n in range(100):
            created = await server.create()
            if n % 10 == 0:
                async with server.socket(created) as socket:
                    await server.publish(created["stream_id"], (1000, 1))
                    assert await receive(socket, 1) == ["1000-0"]
            answer = await server.http.delete(f"/v1/streams/{created['stream_id']}")
            assert answer.status_code == 204
        assert await until_quiet(before) == []
        gc.collect()
        assert server.bond.streams("local") == []

    on_a_server(monkeypatch, scenario)


@pytest.mark.parametrize("seed", range(3))
def test_creates_and_deletes_at_once_leave_a_stream_that_works(monkeypatch, seed):
    """
    However they fall together, no delete takes the log of the stream made anew meanwhile.
    """

    async def scenario(server):
        created = await server.create()
        where = f"/v1/streams/{created['stream_id']}"

        async def delete(pause):
            for _ in range(pause):
                await asyncio.sleep(0)
            return (await server.http.delete(where)).status_code

        async def create():
            return (await server.http.post("/v1/streams", json={"spec": SPEC})).status_code

        for n in range(20):
            said = await asyncio.gather(
                *(delete((n + k * seed) % 5) for k in range(3)), *(create() for _ in range(3))
            )
            assert set(said) <= {200, 201, 204, 404}
        created = await server.create()
        async with server.socket(created) as socket:
            await server.publish(created["stream_id"], (1000, 1))
            assert await receive(socket, 1) == ["1000-0"]
        assert len(streams_tasks()) == 3

    on_a_server(monkeypatch, scenario)
