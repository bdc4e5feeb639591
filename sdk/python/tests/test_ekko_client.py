from __future__ import annotations

import asyncio
import datetime as dt
import gc
import subprocess
import sys

import pytest

import ekko
from ekko import (
    APIConnectionError,
    BadRequestError,
    EkkoClient,
    Event,
    NotFoundError,
    UnexpectedAnswerError,
    listen,
)


def run_with(bond, use):
    """Run `use(client)` against the server."""

    async def run():
        async with bond.running():
            return await use(bond.client())

    return asyncio.run(run())


def test_the_first_program_of_the_documentation_works(bond, kit):
    """Create by sentence, subscribe with id and token, read fields by name."""
    bond.records = [kit.a_record(1000)]

    async def use(client):
        result = await client.create_stream("BTC price + tweets every 5s")
        stream_id = result["stream_id"]
        token = result["access_token"]
        event = await anext(client.subscribe(stream_id, token, from_="now-60s"))
        return f"Price: ${event['price_avg']:.2f}, Tweets: {event['tweets']}"

    assert run_with(bond, use) == "Price: $68123.50, Tweets: 8"
    assert bond.requests == [
        ("POST", "/v1/streams", {"natural_language": "BTC price + tweets every 5s"})
    ]


def test_every_call_reaches_its_route(bond):
    """Each method asks what the REST table says, and returns what the server answers."""

    async def use(client):
        async with client:
            assert (await client.health()).status == "ok"
            stream = await client.create_stream({"symbols": ["BTC/USDT"]}, label="bot")
            assert stream.spec == {"symbols": ["BTC/USDT"], "interval_sec": 5}
            streams = await client.list_streams()
            assert len(streams) == 1
            assert streams[0].state == "live"
            fresh = await client.refresh_token(stream.stream_id)
            assert (fresh["token"], fresh["expires_in_sec"]) != (stream.access_token, None)
            await client.refresh_token(stream.stream_id, persistent=True, label="bot")
            assert (await client.metrics(stream.stream_id))["msgs_in"] == 245
            assert (await client.explain("BTC price")).understood == "BTC/USDT price"
            assert await client.delete_stream(stream.stream_id) is None

    run_with(bond, use)

    path = f"/v1/streams/{bond.stream_id}"
    assert bond.requests == [
        ("GET", "/health", None),
        ("POST", "/v1/streams", {"spec": {"symbols": ["BTC/USDT"], "label": "bot"}}),
        ("GET", "/v1/streams", None),
        ("POST", f"{path}/token", None),
        ("POST", f"{path}/token", {"persistent": True, "label": "bot"}),
        ("GET", f"{path}/metrics", None),
        ("POST", "/v1/explain", {"natural_language": "BTC price"}),
        ("DELETE", path, None),
    ]


def test_a_list_of_streams_may_come_bare(bond, kit):
    """Both `{"streams": [...]}` and a plain list are a list of streams."""

    async def use(client):
        bond.answers.append(("GET", "/v1/streams", kit.json_response([{"stream_id": "a"}])))
        return await client.list_streams()

    assert run_with(bond, use) == [{"stream_id": "a"}]


@pytest.mark.parametrize(
    ("asked", "body"),
    [
        ("BTC price", {"natural_language": "BTC price", "ephemeral": True, "label": "x"}),
        ({"interval_sec": 5}, {"spec": {"interval_sec": 5, "ephemeral": True, "label": "x"}}),
    ],
    ids=["sentence", "spec"],
)
def test_listen_marks_its_stream_as_ephemeral(bond, kit, monkeypatch, asked, body):
    """`listen` takes the server from the environment, and its stream ends with its last client."""
    bond.records = [kit.a_record(1000), kit.a_record(2000)]
    bond.finished = True

    async def run():
        async with bond.running():
            monkeypatch.setenv("EKKO_API_URL", bond.url)
            return [e.id async for e in listen(asked, from_="now-60s", label="x")]

    assert asyncio.run(run()) == ["1000-0", "2000-0"]
    assert bond.requests == [("POST", "/v1/streams", body)]


def test_leaving_the_loop_closes_the_connection(bond, kit):
    """A `break` leaves no socket open and no task behind."""
    bond.records = [kit.a_record(1000)]

    async def use(client):
        async for _ in client.listen("BTC price", from_="now-60s"):
            break
        gc.collect()
        for _ in range(1000):
            if bond.open_sockets == 0:
                break
            await asyncio.sleep(0.005)
        return bond.open_sockets, {t.get_name() for t in asyncio.all_tasks() if "ekko" in repr(t)}

    assert run_with(bond, use)[0] == 0


@pytest.mark.parametrize(
    "how",
    [
        "listen('BTC price', api_url=U, from_='now-60s')",
        "EkkoClient(U).subscribe(S, from_='now-60s')",
    ],
)
def test_a_program_may_end_with_the_break_out_of_its_loop(bond, kit, how):
    """The shortest program there is leaves the server properly, and nothing on stderr."""
    bond.records = [kit.a_record(1000 * n) for n in range(1, 100)]
    program = """
import asyncio, sys
from ekko import EkkoClient, listen
U, S = sys.argv[1:]
async def main():
    async for event in {how}:
        print(event.id)
        break
asyncio.run(main())
"""
    with bond.running_in_a_thread():
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-c", program.format(how=how), bond.url, bond.stream_id],
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip

    assert (done.returncode, done.stdout) == (0, "1000-0\n")
    assert "Traceback" not in done.stderr
    assert "never retrieved" not in done.stderr


def test_closing_a_listener_leaves_no_task(bond, kit):
    """When `aclose()` returns, everything that the loop started has ended."""
    bond.records = [kit.a_record(1000)]

    async def run():
        events = listen("BTC price", api_url=bond.url, from_="now-60s")
        await anext(events)
        await events.aclose()
        return asyncio.all_tasks() - {asyncio.current_task()}

    with bond.running_in_a_thread():
        assert asyncio.run(run()) == set()


def test_a_client_outlives_its_event_loop(bond):
    """Without `async with`, a global client may be used by one asyncio.run after another."""
    with bond.running_in_a_thread():
        client = bond.client()
        assert asyncio.run(client.health()) == {"status": "ok"}
        assert asyncio.run(client.health()) == {"status": "ok"}


@pytest.mark.parametrize(
    ("options", "stream_url"),
    [
        ({}, "ws://one:8000/ws/s"),
        ({"ws_url": "ws://two:8080"}, "ws://two:8080/ws/s"),
        ({"ws_url": "wss://two/ws/"}, "wss://two/ws/s"),
    ],
)
def test_where_the_websocket_is(options, stream_url):
    """It is where the caller says, else beside the API."""
    client = EkkoClient("http://one:8000", **options)

    assert client._endpoint("s", None) == stream_url


def test_the_server_says_where_its_websocket_is():
    """Its `ws_url` counts, unless the caller named one, and loses its token at once."""
    told = "ws://broker:8080/ws/s?token=secret"

    assert EkkoClient("http://one")._endpoint("s", told) == "ws://broker:8080/ws/s"
    assert EkkoClient("http://one", "ws://mine")._endpoint("s", told) == "ws://mine/ws/s"


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x", "http://", "ws://u:secret@h"])
def test_an_address_that_is_none_is_refused_at_once(url):
    """The mistake shows where it was made, without credentials."""
    with pytest.raises(ValueError, match="api_url is an address such as") as caught:
        EkkoClient(url)

    assert "secret" not in str(caught.value)


def test_arguments_that_make_no_sense_are_refused():
    """Before anything is sent."""
    client = EkkoClient()

    with pytest.raises(ValueError, match="conflate"):
        client.subscribe("s", slow="whatever")
    with pytest.raises(ValueError, match="time zone"):
        client.subscribe("s", from_=dt.datetime(2025, 1, 1))  # noqa: DTZ001 - that is the mistake
    with pytest.raises(TypeError, match="sentence or a spec"):
        asyncio.run(client.create_stream(["BTC"]))


def test_a_moment_may_be_a_datetime(bond, kit):
    """`from_` takes a datetime, `slow` goes along; both reach the server."""
    bond.records = [kit.a_record(1000)]
    at = dt.datetime(2025, 10, 21, 15, 30, tzinfo=dt.timezone(dt.timedelta(hours=2)))

    async def use(client):
        async for _ in client.subscribe(bond.stream_id, from_=at, slow="conflate"):
            return

    run_with(bond, use)

    assert bond.connections[0]["from"] == "2025-10-21T13:30:00Z"
    assert bond.connections[0]["slow"] == "conflate"


def test_a_server_that_is_not_there_is_named(unused_port):
    """The error says where nobody answered and how to start a server."""
    client = EkkoClient(f"http://user:hush@127.0.0.1:{unused_port}", retries=0)

    with pytest.raises(APIConnectionError, match="bond serve") as caught:
        asyncio.run(client.health())

    assert f"http://127.0.0.1:{unused_port}/health" in str(caught.value)
    assert "hush" not in str(caught.value)


def test_a_server_of_another_kind_is_told_apart(bond, kit):
    """A page or an answer without the promised fields is no Bond server's."""

    async def use(client):
        bond.answers.append(("POST", "/v1/streams", kit.text_response("<html>hello</html>")))
        with pytest.raises(UnexpectedAnswerError, match="no JSON"):
            await client.create_stream("BTC price")
        bond.answers.append(("POST", "/v1/streams", kit.json_response({"id": 1})))
        with pytest.raises(UnexpectedAnswerError, match="stream_id"):
            await client.create_stream("BTC price")

    run_with(bond, use)


def test_a_problem_becomes_the_error_that_it_means(bond, kit):
    """A sentence with a mistake in it comes back underlined, with one that works."""

    async def use(client):
        problem = kit.a_problem(
            422,
            code="unknown_exchange",
            detail='I don\'t know the exchange "binanse".',
            errors=[
                {
                    "pointer": "/natural_language",
                    "span": [13, 20],
                    "text": "binanse",
                    "did_you_mean": ["binance"],
                }
            ],
            fix="BTC price on binance every 5s",
            retryable=False,
            request_id="req_01J",
        )
        bond.answers.append(("POST", "/v1/streams", problem))
        await client.create_stream("BTC price on binanse every 5s")

    with pytest.raises(BadRequestError) as caught:
        run_with(bond, use)

    assert str(caught.value) == (
        'I don\'t know the exchange "binanse".\n'
        "  BTC price on binanse every 5s\n"
        "               ^^^^^^^ did you mean binance?\n"
        "  try: BTC price on binance every 5s\n"
        "  [unknown_exchange, HTTP 422, request req_01J]"
    )


def test_a_call_to_a_deleted_stream_is_not_found(bond):
    """What isn't there is a NotFoundError, with the server's words."""
    bond.deleted = True

    async def use(client):
        await client.refresh_token(bond.stream_id)

    with pytest.raises(NotFoundError, match="no such stream"):
        run_with(bond, use)


def test_an_event_from_a_stream_is_an_event(bond, kit):
    """What comes out is typed, and keeps JSON's types."""
    bond.records = [kit.a_record(1000, price_avg=None, trades=0)]

    async def use(client):
        return await anext(client.subscribe(bond.stream_id, from_="now-60s"))

    event = run_with(bond, use)

    assert type(event) is Event
    assert (event.id, event.price_avg, event.trades) == ("1000-0", None, 0)
    assert event.sources["binance"]["status"] == "live"


def test_everything_public_is_exported():
    """`__all__` is complete, sorted and true."""
    assert sorted(ekko.__all__) == ekko.__all__
    assert all(hasattr(ekko, name) for name in ekko.__all__)
    errors = {name for name, value in vars(ekko.errors).items() if isinstance(value, type)}
    assert {name for name in errors if name.endswith("Error")} <= set(ekko.__all__)


@pytest.mark.parametrize("bounds", [{}, {"limit": 9, "seconds": 60}], ids=["endless", "bounded"])
def test_a_program_that_ends_by_an_error_ends_quietly(bond, kit, bounds):
    """Nothing is written but the error itself, whether or not the loop's events had a name."""
    bond.records = [kit.a_record(1000)]
    script = (
        "import asyncio, ekko\n"
        "async def main():\n"
        "    events = ekko.listen('BTC price', api_url={url!r}, from_='0', **{bounds!r})\n"
        "    async for event in events:\n"
        "        raise SystemExit(3)\n"
        "asyncio.run(main())\n"
    )

    async def run():
        async with bond.running():
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                script.format(url=bond.url, bounds=bounds),
                stderr=subprocess.PIPE,
            )
            async with asyncio.timeout(30):
                _, said = await process.communicate()
            return process.returncode, said.decode()

    assert asyncio.run(run()) == (3, "")
