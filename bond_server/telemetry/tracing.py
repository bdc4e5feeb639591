"""Spans for OpenTelemetry: of requests, of creating and compiling streams, of every append.

Off, and nothing imported, unless `bond-streams[otel]` is installed and its environment says
where traces go: `OTEL_EXPORTER_OTLP_ENDPOINT`, or `OTEL_TRACES_EXPORTER` (`otlp`, `console`).
All else that environment knows (sampling, service name) is read by OpenTelemetry itself.

A span never carries a query, a header, a body or a token.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol

from bond_core.errors import SetupError
from bond_core.log.event_log import Entry, EventLog, Page, Retention
from bond_core.log.offset import START, Offset


class Span(Protocol):
    """What happens now."""

    def set(self, name: str, value: str | int) -> None:
        """Say something of it."""
        ...

    def rename(self, name: str) -> None:
        """Call it otherwise."""
        ...


class Tracing(Protocol):
    """Where spans go."""

    def span(self, name: str, **said: str | int) -> AbstractContextManager[Span]:
        """Cover what runs inside; an exception that leaves it marks it as failed."""
        ...

    def request(
        self, name: str, headers: Mapping[str, str], said: Mapping[str, str | int]
    ) -> AbstractContextManager[Span]:
        """Cover a request, as part of the trace that its `traceparent` header names."""
        ...

    def close(self) -> None:
        """Send what is still to be sent."""
        ...


class NoTracing:
    """Does nothing, at the price of two calls."""

    def set(self, name: str, value: str | int) -> None:
        """See Span."""

    def rename(self, name: str) -> None:
        """See Span."""

    def span(self, name: str, **said: str | int) -> AbstractContextManager[Span]:
        """See Tracing."""
        return _NOTHING

    def request(
        self, name: str, headers: Mapping[str, str], said: Mapping[str, str | int]
    ) -> AbstractContextManager[Span]:
        """See Tracing."""
        return _NOTHING

    def close(self) -> None:
        """See Tracing."""


NO_TRACING = NoTracing()
_NOTHING: AbstractContextManager[Span] = nullcontext(NO_TRACING)


class OpenTelemetry:
    """Spans of a tracer provider of OpenTelemetry's SDK.

    Args:
        provider: An `opentelemetry.sdk.trace.TracerProvider`; closed with `close`.
    """

    def __init__(self, provider: Any) -> None:
        from opentelemetry import trace  # noqa: PLC0415 -- an extra, and slow to import
        from opentelemetry.trace.propagation import tracecontext  # noqa: PLC0415

        self._provider = provider
        self._tracer = provider.get_tracer("bond")
        self._server = trace.SpanKind.SERVER
        self._failed = trace.StatusCode.ERROR
        self._extract = tracecontext.TraceContextTextMapPropagator().extract

    def span(self, name: str, **said: str | int) -> AbstractContextManager[Span]:
        """See Tracing."""
        return self._covering(name, said)

    def request(
        self, name: str, headers: Mapping[str, str], said: Mapping[str, str | int]
    ) -> AbstractContextManager[Span]:
        """See Tracing."""
        carried = {key: headers[key] for key in ("traceparent", "tracestate") if key in headers}
        return self._covering(name, said, context=self._extract(carried), kind=self._server)

    def close(self) -> None:
        """See Tracing."""
        self._provider.shutdown()

    @contextmanager
    def _covering(self, name: str, said: Mapping[str, str | int], **how: Any) -> Iterator[Span]:
        # Not OpenTelemetry's own record of an exception: its text may quote what was sent.
        with self._tracer.start_as_current_span(
            name, attributes=said, record_exception=False, set_status_on_exception=False, **how
        ) as span:
            try:
                yield _OpenSpan(span)
            except Exception as error:
                span.set_attribute("error.type", getattr(error, "code", type(error).__name__))
                span.set_status(self._failed)
                raise


class _OpenSpan:
    def __init__(self, span: Any) -> None:
        self._span = span

    def set(self, name: str, value: str | int) -> None:
        self._span.set_attribute(name, value)

    def rename(self, name: str) -> None:
        self._span.update_name(name)


class TracedLog:
    """An event log, with a span for every append."""

    def __init__(self, log: EventLog, tracing: Tracing) -> None:
        self._log = log
        self._tracing = tracing

    async def open_stream(self, stream_id: str, retention: Retention) -> Offset:
        """See EventLog."""
        return await self._log.open_stream(stream_id, retention)

    async def append(
        self, stream_id: str, items: Sequence[tuple[Offset, bytes]], *, fence: int = 0,
        lost_until: Offset = START,
    ) -> None:  # fmt: skip
        """See EventLog."""
        said: dict[str, str | int] = {"bond.stream_id": stream_id, "bond.records": len(items)}
        with self._tracing.span("append", **said):
            await self._log.append(stream_id, items, fence=fence, lost_until=lost_until)

    async def read(self, stream_id: str, after: Offset, limit: int = 1000) -> Page:
        """See EventLog."""
        return await self._log.read(stream_id, after, limit)

    def watch(self, stream_id: str) -> AsyncGenerator[Sequence[Entry], None]:
        """See EventLog."""
        return self._log.watch(stream_id)

    async def delete(self, stream_id: str) -> None:
        """See EventLog."""
        await self._log.delete(stream_id)


def tracing_from(environ: Mapping[str, str]) -> Tracing:
    """Return the tracing that the environment asks for, usually none.

    Raises:
        SetupError: It asks for an exporter that is unknown, or not installed.
    """
    exporter = environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    endpoint = environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or environ.get(
        "OTEL_EXPORTER_OTLP_ENDPOINT"
    )
    is_off = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or exporter == "none"
    if is_off or not (exporter or endpoint):
        return NO_TRACING
    if exporter not in ("", "otlp", "console"):
        raise SetupError(
            f"OTEL_TRACES_EXPORTER is {exporter[:40]!r}, and can be otlp, console or none",
            fix="OTEL_TRACES_EXPORTER=otlp",
        )
    try:
        return OpenTelemetry(_provider(exporter or "otlp", environ))
    except ImportError as error:
        raise SetupError(
            "Traces are asked for, but OpenTelemetry is not installed",
            fix="pip install '.[server,otel]'",
        ) from error


def _provider(exporter: str, environ: Mapping[str, str]) -> Any:
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace import export as exports  # noqa: PLC0415

    named = "OTEL_SERVICE_NAME" in environ or "service.name" in environ.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
    provider = TracerProvider(resource=Resource.create({} if named else {"service.name": "bond"}))
    if exporter == "console":
        console = exports.ConsoleSpanExporter(out=sys.stderr)
        provider.add_span_processor(exports.BatchSpanProcessor(console))
    else:
        from opentelemetry.exporter.otlp.proto.http import trace_exporter  # noqa: PLC0415

        provider.add_span_processor(exports.BatchSpanProcessor(trace_exporter.OTLPSpanExporter()))
    return provider
