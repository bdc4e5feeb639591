"""Records in a real JetStream: each once, in order, also when the server dies in between."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import nats
import pytest
from nats.js.api import StreamConfig

from bond_core.errors import Fatal, Retryable
from bond_core.plugin import Secret
from bond_core.settings import SettingsError, structure
from bond_nats.config import NatsConfig
from bond_nats.sink import Nats


def records(*numbers, symbol="BTC/USDT", **more):
    """Return records with these ids."""
    return [
        {"id": f"{n}-0", "symbol": symbol, "timeframe": "1s", "price_avg": 1.5, **more}
        for n in numbers
    ]


@asynccontextmanager
async def a_stream(server, **options):
    """Make a JetStream stream; gives a client of it."""
    client = await nats.connect(server.url)
    try:
        await client.jetstream().add_stream(StreamConfig("BOND", subjects=["bond.>"], **options))
        yield client.jetstream()
    finally:
        await client.close()


async def kept(stream):
    """Return what the stream keeps: subject, message id, record."""
    state = (await stream.stream_info("BOND")).state
    found = []
    for sequence in range(1, state.last_seq + 1):
        message = await stream.get_msg("BOND", sequence)
        found.append((message.subject, message.headers["Nats-Msg-Id"], json.loads(message.data)))
    return found


def a_sink(server, **changes):
    """Return the sink for a server."""
    return Nats(NatsConfig(url=server.url, **changes))


def test_records_are_kept_in_order_under_their_ids(nats_server, context):
    """Each is one message, whose id names stream and record."""

    async def go(server):
        async with a_stream(server) as stream:
            ctx, sink = context(), a_sink(server)
            await sink.open(ctx)
            await sink.write(records(*range(300)), ctx)
            await sink.write(records(300, 301), ctx)
            await sink.close()
            return await kept(stream)

    found = asyncio.run(go(nats_server()))

    assert [record for _, _, record in found] == records(*range(302))
    assert found[7][:2] == ("bond.8f2a1c9d4b3e7a10", "8f2a1c9d4b3e7a10.7-0")


def test_a_repeated_batch_is_kept_once(nats_server, context):
    """JetStream drops what it has: a crash before the acknowledgement doubles nothing."""

    async def go(server):
        async with a_stream(server) as stream:
            ctx = context()
            for batch in (records(1, 2, 3), records(1, 2, 3), records(2, 3, 4)):
                sink = a_sink(server)
                await sink.open(ctx)
                await sink.write(batch, ctx)
                await sink.close()
            return await kept(stream)

    assert [r["id"] for _, _, r in asyncio.run(go(nats_server()))] == ["1-0", "2-0", "3-0", "4-0"]


def test_a_server_that_dies_loses_and_doubles_nothing(nats_server, context):
    """Killed and started again on its data, it gets what it had not confirmed, and no more."""
    server = nats_server()

    async def go():
        ctx, sink = context(), a_sink(server, ack_within_s=1.0)
        async with a_stream(server):
            await sink.open(ctx)
            await sink.write(records(1, 2), ctx)
        server.kill()
        for _ in range(2):
            with pytest.raises(Retryable):
                await sink.write(records(3, 4), ctx)
        server.start()
        await sink.write(records(3, 4), ctx)
        await sink.write(records(5), ctx)
        await sink.close()
        client = await nats.connect(server.url)
        found = await kept(client.jetstream())
        await client.close()
        return [record["id"] for _, _, record in found]

    assert asyncio.run(go()) == [f"{n}-0" for n in range(1, 6)]


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("bond.{symbol}.{timeframe}", ["bond.BTC-USDT-USDT.1s", "bond.gap.gap"]),
        ("bond.all", ["bond.all", "bond.all"]),
    ],
)
def test_subjects_may_name_what_a_record_is_about(nats_server, context, subject, expected):
    """What isn't fit for a subject is a dash in it, and a gap record has one too."""
    gap = {"id": "1-0~9-0", "stream_id": "s", "gap": {"after": "1-0", "until": "9-0"}}

    async def go(server):
        async with a_stream(server) as stream:
            ctx, sink = context(), a_sink(server, subject=subject)
            await sink.write([*records(1, symbol="BTC/USDT:USDT"), gap], ctx)
            await sink.close()
            return await kept(stream)

    assert [each[0] for each in asyncio.run(go(nats_server()))] == expected


def test_a_subject_that_nothing_keeps_is_told(nats_server, context):
    """Without a JetStream stream for the subject nothing is confirmed, and that is said."""

    async def go(server):
        ctx, sink = context(), a_sink(server)
        with pytest.raises(Retryable) as caught:
            await sink.write(records(1), ctx)
        await sink.close()
        return caught.value

    error = asyncio.run(go(nats_server()))

    assert "no JetStream stream takes the subject bond.8f2a1c9d4b3e7a10" in error.detail


def test_a_record_that_is_too_large_is_never_tried_again(nats_server, context):
    """The server's limit is known when the connection is made."""

    async def go(server):
        async with a_stream(server):
            ctx, sink = context(), a_sink(server)
            with pytest.raises(Fatal, match="max_payload"):
                await sink.write(records(1, pad="x" * 2_000_000), ctx)
            await sink.close()

    asyncio.run(go(nats_server()))


def test_a_full_stream_is_told_and_takes_the_rest_later(nats_server, context):
    """A stream that refuses new messages makes the write fail; with room again it goes on."""

    async def go(server):
        async with a_stream(server, max_msgs=2, discard="new") as stream:
            ctx, sink = context(), a_sink(server)
            await sink.write(records(1, 2), ctx)
            with pytest.raises(Retryable, match="JetStream refuses: maximum messages exceeded"):
                await sink.write(records(3, 4), ctx)
            await stream.update_stream(StreamConfig("BOND", subjects=["bond.>"], max_msgs=9))
            await sink.write(records(3, 4), ctx)
            await sink.close()
            return [record["id"] for _, _, record in await kept(stream)]

    assert asyncio.run(go(nats_server())) == ["1-0", "2-0", "3-0", "4-0"]


def test_who_is_refused_is_not_tried_again(nats_server, context):
    """A wrong token is for people to mend; the right one works, and neither is shown."""

    async def go(server):
        ctx = context()
        with pytest.raises(Fatal) as caught:
            await a_sink(server, token=Secret("canary-wrong")).open(ctx)
        right = a_sink(server, token=Secret("canary-right"))
        await right.open(ctx)
        await right.close()
        return caught.value

    error = asyncio.run(go(nats_server("--auth", "canary-right")))

    assert error.detail == "127.0.0.1 refuses the user or token"


def test_a_server_that_is_not_there_is_tried_again(context):
    """Nobody listens: told like any server that can't be reached."""

    async def go():
        with pytest.raises(Retryable, match=r"127\.0\.0\.1 can't be reached"):
            await Nats(NatsConfig(url="nats://127.0.0.1:9")).open(context())

    asyncio.run(go())


@pytest.mark.parametrize(
    "url", ["nats://127.0.0.1", "tls://10.0.0.1:443", "tls://93.184.216.34:4222", "nats://[::1]"]
)
def test_the_guard_of_urls_holds_here_too(context, url):
    """Private addresses, unusual ports and connections without TLS are the operator's to open."""

    async def go():
        with pytest.raises(Fatal) as caught:
            await Nats(NatsConfig(url=url)).open(context(private=False))
        return caught.value

    assert asyncio.run(go()).code == "forbidden_url"


@pytest.mark.parametrize(
    "config",
    [
        {"url": "http://a"}, {"url": "nats://user:pass@a"}, {"url": "nats://a", "subject": "a b"},
        {"url": "nats://a", "subject": "a.{nosuch}"}, {"url": "nats://a", "subject": "a.>"},
        {"url": "nats://a", "subject": "{0.__class__}"}, {"url": "nats://a", "token": "clear"},
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(config):
    """When the stream is created, and not when it runs."""
    with pytest.raises(SettingsError):
        structure(NatsConfig, config)
