"""The conformance kit, with a broker in memory on loopback: what the sink reaches through ctx."""

from __future__ import annotations

import asyncio
import json
from contextlib import contextmanager
from unittest.mock import patch

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError

from bond_core.testing import SinkConformance

NAMED = {"servers": ["kafka.example.com:9093"], "topic": "bond"}


class TestKafka(SinkConformance):
    """One topic."""

    spec = "kafka"
    bad_configs = {
        "no server": {**NAMED, "servers": []},
        "a URL": {**NAMED, "servers": ["http://kafka.example.com:9093"]},
        "no topic": {"servers": NAMED["servers"]},
        "no name for a topic": {**NAMED, "topic": "a b"},
        "a proof of nobody's": {**NAMED, "sasl": "NONE"},
        "a password in clear": {**NAMED, "user": "bond", "password": "canary"},
        "no time to confirm": {**NAMED, "ack_within_s": 0.0},
    }

    @pytest.fixture(autouse=True)
    def with_cluster(self, cluster):
        """Start a broker for each check."""
        self.cluster = cluster

    def make_config(self, tmp_path):
        """Name the broker."""
        return {"servers": [self.cluster], "topic": "bond", "tls": False}

    def read_back(self, tmp_path):
        """Return what is in the topic from its beginning to its end as it is now."""

        async def go():
            consumer = AIOKafkaConsumer(
                "bond", bootstrap_servers=self.cluster, auto_offset_reset="earliest",
                enable_auto_commit=False,
            )  # fmt: skip
            await consumer.start()
            try:
                ends = await consumer.end_offsets(consumer.assignment())
                found = []
                async with asyncio.timeout(20):
                    while len(found) < sum(ends.values()):
                        for messages in (await consumer.getmany(timeout_ms=200)).values():
                            found += messages
                return [json.loads(message.value) for message in found]
            finally:
                await consumer.stop()

        return asyncio.run(go())

    @contextmanager
    def broken(self, tmp_path):
        """Have nothing get to the broker."""
        with patch.object(AIOKafkaProducer, "send", side_effect=KafkaConnectionError):
            yield
