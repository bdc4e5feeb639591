"""Records in a topic, over real sockets to a broker that speaks Kafka's protocol."""

from __future__ import annotations

import asyncio
import json
from unittest.mock import patch

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import (
    KafkaConnectionError,
    MessageSizeTooLargeError,
    RequestTimedOutError,
    SaslAuthenticationFailed,
)

from bond_core.errors import Fatal, Retryable
from bond_core.settings import SettingsError, structure
from bond_kafka.config import KafkaConfig
from bond_kafka.sink import Kafka


def records(*numbers):
    """Return records with these ids."""
    return [{"id": f"{n}-0", "symbol": "BTC/USDT", "price_avg": 1.5} for n in numbers]


def a_sink(cluster, **changes):
    """Return the sink for a cluster."""
    return Kafka(KafkaConfig(servers=(cluster,), topic="bond", tls=False, **changes))


async def kept(cluster, count):
    """Return so many messages of the topic, as they come."""
    consumer = AIOKafkaConsumer(
        "bond", bootstrap_servers=cluster, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    found = []
    try:
        async with asyncio.timeout(20):
            while len(found) < count:
                for messages in (await consumer.getmany(timeout_ms=500)).values():
                    found += messages
    finally:
        await consumer.stop()
    return found


def test_records_come_in_order_in_one_partition(cluster, context):
    """A stream's id is the key, and each record's own id a header."""

    async def go():
        ctx, sink = context(), a_sink(cluster)
        await sink.open(ctx)
        await sink.write(records(*range(300)), ctx)
        await sink.write(records(300, 301), ctx)
        await sink.close()
        return await kept(cluster, 302)

    found = asyncio.run(go())

    assert [json.loads(message.value) for message in found] == records(*range(302))
    assert len({message.partition for message in found}) == 1
    assert {message.key for message in found} == {b"8f2a1c9d4b3e7a10"}
    assert found[7].headers == (("bond-id", b"7-0"),)


def test_a_batch_that_was_not_confirmed_goes_out_again(cluster, context):
    """What a failure left open is produced anew, by a producer of its own."""

    async def go():
        ctx, sink = context(), a_sink(cluster)
        await sink.write(records(1), ctx)
        with (
            patch.object(type(sink._producer), "send", side_effect=RequestTimedOutError),
            pytest.raises(Retryable, match="RequestTimedOutError"),
        ):
            await sink.write(records(2, 3), ctx)
        await sink.write(records(2, 3), ctx)
        await sink.close()
        return [json.loads(message.value)["id"] for message in await kept(cluster, 3)]

    assert asyncio.run(go()) == ["1-0", "2-0", "3-0"]


@pytest.mark.parametrize(
    ("raised", "error"),
    [
        (MessageSizeTooLargeError(), Fatal), (SaslAuthenticationFailed(), Fatal),
        (RequestTimedOutError(), Retryable), (KafkaConnectionError(), Retryable),
        (OSError(), Retryable), (TimeoutError(), Retryable),
    ],
)  # fmt: skip
def test_what_the_cluster_says_decides_what_comes_next(cluster, context, raised, error):
    """Refusals are for people to mend; everything else may pass."""

    async def go():
        ctx, sink = context(), a_sink(cluster)
        await sink.open(ctx)
        failing = patch.object(type(sink._producer), "send", side_effect=raised)
        with failing, pytest.raises(error):
            await sink.write(records(1), ctx)
        await sink.close()

    asyncio.run(go())


def test_a_cluster_that_is_not_there_is_tried_again(context):
    """Nobody listens."""

    async def go():
        with pytest.raises(Retryable, match="can't be reached"):
            await a_sink("127.0.0.1:9").open(context())

    asyncio.run(go())


@pytest.mark.parametrize("tls", [True, False])
def test_the_guard_of_urls_holds_here_too(cluster, context, tls):
    """A private address is the operator's to open, and nothing is sent to it before."""
    sink = Kafka(KafkaConfig(servers=(cluster,), topic="bond", tls=tls))

    async def go():
        with pytest.raises(Fatal) as caught:
            await sink.open(context(private=False))
        return caught.value

    assert asyncio.run(go()).code == "forbidden_url"


def test_servers_that_a_cluster_names_are_looked_at_before_they_are_dialled(cluster, context):
    """A cluster can't lead the sink to where its own address does not."""
    ctx, port, dialled = context(), int(cluster.rpartition(":")[2]), []

    async def reach(host, port, *, tls):
        dialled.append(host)
        if host != "localhost":
            raise Fatal("not there", code="forbidden_url")
        return ["127.0.0.1"]

    async def go():
        with patch.object(ctx, "reach", reach), pytest.raises(Fatal, match="not there"):
            await a_sink(f"localhost:{port}", ack_within_s=3.0).open(ctx)

    asyncio.run(go())

    assert dialled[0] == "localhost"
    assert set(dialled[1:]) == {"127.0.0.1"}


@pytest.mark.parametrize(
    "changes",
    [
        {"servers": []}, {"servers": ["a"]}, {"servers": ["http://a:1"]}, {"topic": "a b"},
        {"topic": ".."}, {"user": "u"}, {"sasl": "NONE"}, {"password": "clear"},
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(changes):
    """When the stream is created, and not when it runs."""
    with pytest.raises(SettingsError):
        structure(KafkaConfig, {"servers": ["a:9093"], "topic": "bond", **changes})
