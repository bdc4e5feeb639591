"""A stream as whoever asks for it or listens to it sees it, wherever it runs.

`Stream` runs in this process; `KnownStream` is kept in a registry, and runs anywhere, or just
now nowhere.
"""

from __future__ import annotations

import asyncio
from typing import Any, TypeAlias

import attrs

from bond_core.log.event_log import Entry
from bond_core.log.tail import Tail
from bond_core.runtime.deliveries import Deliveries
from bond_core.runtime.pipeline import Pipeline
from bond_core.spec.stream_spec import StreamOptions
from bond_server.compiling import Compiled
from bond_server.registry.row import Row
from bond_server.stream_state import state_of, status_of_sources, stream_metrics


class Stream:
    """A stream that runs here.

    Attributes:
        row: What is kept of it.
        compiled: What it was made from.
        pipeline: What runs.
        tail: Where its readers read.
        deliveries: Its sinks.
        readers: Cursors that stand on it.
        idle_since_ns: Since when there are none, by the clock; None while there are.
        task: What runs it; None before and after.
    """

    def __init__(
        self, row: Row, compiled: Compiled, pipeline: Pipeline, tail: Tail,
        deliveries: Deliveries,
    ) -> None:  # fmt: skip
        self.row = row
        self.compiled = compiled
        self.pipeline = pipeline
        self.tail = tail
        self.deliveries = deliveries
        self.readers = 0
        self.idle_since_ns: int | None = pipeline.started_ns
        self.task: asyncio.Task[None] | None = None

    @property
    def stream_id(self) -> str:
        """Its id."""
        return self.row.stream_id

    @property
    def project(self) -> str:
        """Whose it is."""
        return self.row.project

    @property
    def is_complete(self) -> bool:
        """Whether it has come to its end: nothing more is published."""
        return self.row.is_complete

    @property
    def failure(self) -> str | None:
        """Why it can't go on, or None."""
        return self.pipeline.failure

    def state(self) -> str:
        """`starting`, `running`, `complete` or `failed`."""
        state = state_of(self.pipeline)
        return "complete" if self.is_complete and state != "failed" else state

    def asked_again(self, options: StreamOptions, now_ns: int) -> None:
        """Stay, and stay as long, as the most lasting of its requests says."""
        if self.idle_since_ns is not None:  # who asked has yet to come
            self.idle_since_ns = now_ns
        self.row = self.row.asked_again(options)

    def completed(self) -> None:
        """Note that it has come to its end."""
        self.row = attrs.evolve(self.row, is_complete=True)

    def health(self) -> dict[str, Any]:
        """Return per source name: status, reason, venue, whether simulated, symbols that differ."""
        return status_of_sources(self.pipeline)

    def sinks(self) -> dict[str, Any]:
        """Return by sink how it does."""
        return self.deliveries.health()

    def wrote(self, entry: Entry) -> None:
        """Note that a client's connection has just taken a record, to tell how long that took."""
        self.pipeline.stages.wrote(entry.offset.ms, self.pipeline.clock.monotonic_ns())

    def metrics(self) -> dict[str, Any]:
        """Return how it does: uptime, messages in and out, what was dropped, latency."""
        body = stream_metrics(self.stream_id, self.pipeline, created_ns=self.row.created_ns)
        return body | {"sinks": self.sinks()}


class KnownStream:
    """A stream that is kept, and may run anywhere.

    Attributes:
        row: What is kept of it.
        tail: Where its readers read.
        report: What its owner said of it last: `state`, `failure`, `sources`, `metrics`.
        readers: Cursors that stand on it.
        idle_since_ns: Since when there are none, by the clock; None while there are.
        here: What runs it, if that is in this process.
    """

    def __init__(self, row: Row, tail: Tail, report: dict[str, Any] | None = None) -> None:
        self.row = row
        self.tail = tail
        self.report: dict[str, Any] = report or {}
        self.readers = 0
        self.idle_since_ns: int | None = None
        self.here: Stream | None = None

    @property
    def stream_id(self) -> str:
        """Its id."""
        return self.row.stream_id

    @property
    def project(self) -> str:
        """Whose it is."""
        return self.row.project

    @property
    def is_complete(self) -> bool:
        """Whether it has come to its end: nothing more is published."""
        return self.row.is_complete

    @property
    def failure(self) -> str | None:
        """Why it can't go on, or None."""
        failure: str | None = self.report.get("failure")
        return failure

    def state(self) -> str:
        """`starting`, `running`, `complete` or `failed`, as its owner said last."""
        state: str = self.report.get("state", "starting")
        return "complete" if self.is_complete and state != "failed" else state

    def health(self) -> dict[str, Any]:
        """Return what its owner said last of its sources; nothing while it has none."""
        sources: dict[str, Any] = self.report.get("sources", {})
        return sources

    def sinks(self) -> dict[str, Any]:
        """Return what its owner said last of its sinks."""
        sinks: dict[str, Any] = self.report.get("metrics", {}).get("sinks", {})
        return sinks

    def wrote(self, entry: Entry) -> None:
        """Note that a client took a record, if the stream runs here: there it is counted."""
        if self.here is not None:
            self.here.wrote(entry)

    def metrics(self) -> dict[str, Any]:
        """Return what its owner said last."""
        found: dict[str, Any] = self.report.get("metrics", {})
        return {"stream_id": self.stream_id} | found


AnyStream: TypeAlias = Stream | KnownStream
