"""Spans, as OpenTelemetry's own SDK gets them; it is among what the tests need."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from bond_core.errors import SetupError
from bond_server.telemetry.tracing import NO_TRACING, OpenTelemetry, tracing_from
from tests.server.running import SPEC, receive, serving

TRACE = "0af7651916cd43dd8448eb211c80319c"


def test_requests_compiling_creating_and_appending_are_spans(monkeypatch):
    """
    They hang together, go on with the client's trace, and hold no query, token or body.
    """
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    async def run():
        async with serving(monkeypatch, tracing=OpenTelemetry(provider)) as server:
            asked = await server.http.post(
                "/v1/streams", json={"spec": SPEC}, params={"secret": "in-the-query"},
                headers={"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"},
            )  # fmt: skip
            created = asked.json()
            async with server.socket(created) as client:
                await server.publish(created["stream_id"], (1_000_000, 2))
                await receive(client, 2)
            await server.http.post("/v1/streams", json={"spec": SPEC | {"symbols": ["?"]}})
            await server.http.get("/made-up?token=in-the-query")
            return created

    created = asyncio.run(run())

    spans = exporter.get_finished_spans()
    by_name = {span.name: span for span in reversed(spans)}
    posted, compiled = by_name["POST /v1/streams"], by_name["compile"]
    assert {"create", "append", "GET none", "websocket /ws/{stream_id}"} <= set(by_name)
    assert f"{posted.context.trace_id:032x}" == TRACE
    for inner in (compiled, by_name["create"]):
        assert inner.parent.span_id == posted.context.span_id
    assert posted.attributes["http.route"] == "/v1/streams"
    assert posted.attributes["http.response.status_code"] == 201
    assert by_name["append"].attributes == {"bond.stream_id": created["stream_id"],
                                            "bond.records": 2}  # fmt: skip
    failed = [span for span in spans if span.name == "compile" and not span.status.is_unset]
    assert [span.attributes["error.type"] for span in failed] == ["invalid_spec"]
    everything = " ".join(span.to_json() for span in spans)
    assert created["access_token"] not in everything
    assert "in-the-query" not in everything
    assert "BTC" not in everything


def test_nothing_is_imported_unless_it_is_asked_for():
    """
    A server without traces starts without OpenTelemetry.
    """
    code = (
        "import sys; import bond_server.app; from bond_server.telemetry.tracing import *; "
        "assert tracing_from({}) is NO_TRACING; "
        "assert tracing_from({'OTEL_SDK_DISABLED': 'true', "
        "'OTEL_EXPORTER_OTLP_ENDPOINT': 'http://localhost:1'}) is NO_TRACING; "
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert said.stdout.strip() == "[]"


def test_an_exporter_that_is_unknown_or_missing_is_said(monkeypatch):
    """
    The server does not start without the traces that it was told to write.
    """
    with pytest.raises(SetupError, match="can be otlp, console or none"):
        tracing_from({"OTEL_TRACES_EXPORTER": "zipkin"})
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(SetupError, match="OpenTelemetry is not installed") as caught:
        tracing_from({"OTEL_TRACES_EXPORTER": "otlp"})
    assert caught.value.fix == "pip install '.[server,otel]'"


def test_traces_are_written_where_they_are_asked_for(capsys):
    """
    `OTEL_TRACES_EXPORTER=console` writes spans to stderr, of a service called bond.
    """
    tracing = tracing_from({"OTEL_TRACES_EXPORTER": "console"})
    assert tracing is not NO_TRACING
    with tracing.span("compile"):
        pass
    tracing.close()

    said = capsys.readouterr().err
    assert '"name": "compile"' in said
    assert '"service.name": "bond"' in said
