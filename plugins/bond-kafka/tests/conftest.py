"""A broker that speaks Kafka's own protocol on loopback, and a context to run the sink in.

The broker is the mock cluster of librdkafka, which confluent-kafka brings: real sockets, real
requests, records in memory. It is no Kafka: there is one replica, no SASL, and no disk.
"""

from __future__ import annotations

import logging

import pytest

from bond_core.clock import SystemClock
from bond_core.plugin.addresses import PRIVATE
from bond_core.plugin.egress import Egress, EgressPolicy
from bond_core.runtime.errand import Errand
from bond_core.runtime.sink_policy import SinkPolicy


@pytest.fixture
def cluster():
    """Return the address of a broker; it lasts as long as the test."""
    kafka = pytest.importorskip("confluent_kafka")
    owner = kafka.Producer({"bootstrap.servers": "x", "test.mock.num.brokers": 1, "log_level": 0})
    (broker,) = owner.list_topics(timeout=10).brokers.values()
    yield f"{broker.host}:{broker.port}"
    owner.flush(1)


@pytest.fixture
def context():
    """Return what makes a context; on a machine whose private networks are open, or not."""

    def make(*, private=True):
        policy = EgressPolicy(private=PRIVATE if private else ())
        return Errand(
            stream_id="8f2a1c9d4b3e7a10", sink_name="kafka", clock=SystemClock(),
            log=logging.getLogger("bond.sink.kafka"), egress=Egress(policy), policy=SinkPolicy(),
        )  # fmt: skip

    return make
