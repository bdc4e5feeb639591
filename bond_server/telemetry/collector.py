"""All of Bond's metrics, read from the objects that count, when somebody asks for them.

Labels are bounded: routes as templates, installed connectors and their venues, states. No
stream, token, address or symbol is ever one. `docs/metrics.md` names every metric.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from importlib import metadata
from itertools import accumulate

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from bond_core.runtime.feeds import OriginKind
from bond_core.runtime.stages import BOUNDS_S, Latency
from bond_server.delivery.counters import TRANSPORTS, Counters, Delivered, Transport
from bond_server.service import Service
from bond_server.streams import KnownStream
from bond_server.telemetry.ledger import DROPPED, Ledger
from bond_server.telemetry.requests import Requests

STREAM_STATES = ("starting", "running", "complete", "failed")
_SOURCE = ("connector", "venue", "simulated")
_REASONS = {"late": "late", "duplicates": "duplicate", "rejected": "rejected",
            "unrouted": "unrouted"}  # fmt: skip


class BondCollector(Collector):
    """Turns what Bond counted into metric families.

    Args:
        bond: What runs.
        delivered: What its clients got.
        requests: What was asked over HTTP.
        loop_lag: How late the event loop was.
    """

    def __init__(
        self, bond: Service, delivered: Counters, requests: Requests, loop_lag: Latency
    ) -> None:
        self._bond = bond
        self._delivered = delivered
        self._requests = requests
        self._loop_lag = loop_lag

    def describe(self) -> Iterable[Metric]:
        """Return nothing: registering must not already sum everything up."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield every family, also those that have counted nothing yet."""
        info = InfoMetricFamily("bond_build", "The version that runs")
        info.add_metric((), {"version": metadata.version("bond-streams")})
        yield info
        yield from _of_requests(self._requests)
        yield from _of_clients(self._delivered.clients, self._delivered.total())
        yield from self._of_streams()
        yield from self._of_sources()
        yield from self._of_sinks()
        yield from _of_ledger(self._bond.ledger())
        lag = HistogramMetricFamily(
            "bond_event_loop_lag_seconds", "How late the event loop was, looked at 4 times a second"
        )
        lag.add_metric((), *_buckets(self._loop_lag))
        yield lag

    def _of_streams(self) -> Iterator[Metric]:
        streams = self._bond.all_streams()
        states = Counter(stream.state() for stream in streams)
        family = GaugeMetricFamily("bond_streams", "Streams, by state", labels=("state",))
        for state in STREAM_STATES:
            family.add_metric((state,), states[state])
        yield family
        yield GaugeMetricFamily(
            "bond_log_entries", "Records kept for replay",
            value=sum(tail.entries for tail in self._bond.tails()),
        )  # fmt: skip
        yield GaugeMetricFamily(
            "bond_log_bytes", "Bytes of records kept for replay",
            value=sum(tail.size_bytes for tail in self._bond.tails()),
        )  # fmt: skip

    def _of_sinks(self) -> Iterator[Metric]:
        states = Counter(
            (sink["type"], sink["status"])
            for stream in self._bond.all_streams()
            for sink in stream.sinks().values()
        )
        family = GaugeMetricFamily(
            "bond_sinks", "Sinks of streams, by status", labels=("sink", "status")
        )
        for labels, count in states.items():
            family.add_metric(labels, count)
        yield family
        totals = self._bond.sinks.totals
        for name, said, what in (
            ("bond_sink_records", "Records that sinks acknowledged", "delivered"),
            ("bond_sink_batches", "Batches that sinks acknowledged", "batches"),
            ("bond_sink_retries", "Batches handed to a sink once more", "retried"),
            ("bond_sink_records_lost", "Records a best-effort sink did not take", "lost"),
            ("bond_sink_gaps", "Holes that sinks were told of", "gaps"),
        ):
            counter = CounterMetricFamily(name, said, labels=("sink",))
            for (sink, counted), count in totals.items():
                if counted == what:
                    counter.add_metric((sink,), count)
            yield counter

    def _of_sources(self) -> Iterator[Metric]:
        sources: Counter[tuple[OriginKind, str]] = Counter()
        for stream in self._bond.all_streams():
            if isinstance(stream, KnownStream):
                continue
            statuses = stream.health()
            for name, ear in stream.pipeline.ears.items():
                sources[ear.source.origin.kind, statuses[name]["status"]] += 1
        labels = (*_SOURCE, "status")
        for name, said, found in (
            ("bond_sources", "Sources of streams, by the status of their worst symbol", sources),
            ("bond_feeds", "Subscriptions upstream, shared by streams", self._bond.feeds.open()),
        ):
            family = GaugeMetricFamily(name, said, labels=labels)
            for (kind, status), count in found.items():
                family.add_metric((*_labels(kind), status), count)
            yield family
        counts = self._bond.feeds.counts()
        yield _by_source("bond_reconnects", "Connections made anew", counts, "reconnects")
        yield _by_source("bond_stale", "Times that a feed fell silent", counts, "stales")
        yield _by_source("bond_events_unasked", "Events nobody listened to", counts, "unasked")
        yield _by_source("bond_backfills", "Requests for what was missed", counts, "backfills")
        yield _by_source("bond_events_repaired", "Missed events fetched", counts, "repaired")


def _of_requests(requests: Requests) -> Iterator[Metric]:
    labels = ("route", "method", "status")
    total = CounterMetricFamily("bond_http_requests", "HTTP requests answered", labels=labels)
    for key, count in requests.answered.items():
        total.add_metric(key, count)
    yield total
    latency = HistogramMetricFamily(
        "bond_http_request_seconds", "From a request's head until its answer's head",
        labels=("route",),
    )  # fmt: skip
    for route, seen in requests.latency.items():
        latency.add_metric((route,), *_buckets(seen))
    yield latency


def _of_clients(clients: Counter[Transport], sums: Delivered) -> Iterator[Metric]:
    now = GaugeMetricFamily("bond_clients", "Clients connected now", labels=("transport",))
    for transport in TRANSPORTS:
        now.add_metric((transport,), clients[transport])
    yield now
    for name, said, value in (
        ("bond_records_sent", "Records sent to clients", sums.sent),
        ("bond_sent_bytes", "Bytes of records sent to clients, before framing", sums.sent_bytes),
        ("bond_records_conflated", "Records left out for clients with slow=conflate",
         sums.conflated),
        ("bond_clients_slow", "Clients cut off because they took nothing", sums.slow),
    ):  # fmt: skip
        yield CounterMetricFamily(name, said, value=value)


def _of_ledger(ledger: Ledger) -> Iterator[Metric]:
    yield _by_source("bond_events", "Events that streams heard", ledger.events, "events")
    dropped = CounterMetricFamily(
        "bond_events_dropped", "Events that are in no window", labels=(*_SOURCE, "reason")
    )
    for (kind, fate), count in ledger.events.items():
        if fate in DROPPED:
            dropped.add_metric((*_labels(kind), _REASONS[fate]), count)
    yield dropped
    yield _by_source("bond_gaps", "Holes noticed in what sources sent", ledger.events, "gaps")
    yield CounterMetricFamily("bond_windows_closed", "Windows closed", value=ledger.windows)
    yield CounterMetricFamily("bond_records", "Records published", value=ledger.records)
    for name, said, value in (
        ("bond_records_skipped", "Records that filters held back", ledger.skipped),
        ("bond_filter_unknown", "Records that a filter could not judge", ledger.filter_unknown),
        ("bond_alerts", "Alerts told", ledger.alerts),
        ("bond_alerts_unknown", "Records that an alert could not judge", ledger.alerts_unknown),
    ):
        yield CounterMetricFamily(name, said, value=value)
    yield CounterMetricFamily(
        "bond_field_errors", "Values that an aggregator failed to give", value=ledger.field_errors
    )
    stages = HistogramMetricFamily(
        "bond_stage_seconds", "How long each stage of the way took", labels=("stage",)
    )
    for stage, seen in ledger.stages.by_name().items():
        stages.add_metric((stage,), *_buckets(seen))
    yield stages


def _by_source(
    name: str, said: str, counts: Counter[tuple[OriginKind, str]], what: str
) -> CounterMetricFamily:
    family = CounterMetricFamily(name, said, labels=_SOURCE)
    for (kind, counted), count in counts.items():
        if counted == what:
            family.add_metric(_labels(kind), count)
    return family


def _labels(kind: OriginKind) -> tuple[str, str, str]:
    return kind.connector, kind.venue, "true" if kind.simulated else "false"


def _buckets(seen: Latency) -> tuple[list[tuple[str, float]], float]:
    bounds = (*(str(float(bound)) for bound in BOUNDS_S), "+Inf")
    return list(zip(bounds, accumulate(seen.counts), strict=True)), seen.sum_ns / 1e9
