"""The composition root of the server: a Bond and its settings in, a web application out."""

from __future__ import annotations

from importlib import metadata
from typing import Any

from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from prometheus_client import CollectorRegistry, ProcessCollector

from bond_core.errors import BondError
from bond_core.runtime.stages import Latency
from bond_server.auth.project import project
from bond_server.auth.tokens import Tokens
from bond_server.delivery.counters import Counters
from bond_server.delivery.drain import Drain
from bond_server.local import Bond
from bond_server.logs import install_redaction
from bond_server.problems import answer_bond_error, answer_http_error, answer_unexpected
from bond_server.routes import catalog, explain, health, metrics, sse, streams, websocket
from bond_server.routes.options import options_handlers
from bond_server.settings import ServerSettings
from bond_server.telemetry.collector import BondCollector
from bond_server.telemetry.requests import Observed, Requests

HANDLERS = (
    health.about,
    health.health,
    health.live,
    health.ready,
    streams.create_stream,
    streams.list_streams,
    streams.show_stream,
    streams.delete_stream,
    streams.refresh_token,
    streams.stream_metrics,
    sse.stream_events,
    explain.explain,
    catalog.list_plugins,
    catalog.list_sources,
    metrics.metrics,
    websocket.stream_socket,
    websocket.no_socket,
)


def create_app(
    bond: Bond,
    settings: ServerSettings,
    drain: Drain | None = None,
    *,
    loop_lag: Latency | None = None,
) -> Litestar:
    """Return the web application of a Bond.

    Args:
        bond: Entered already, and left only after the server has stopped.
        settings: What the environment says.
        drain: Ends the sessions when the server leaves; without one they end with it.
        loop_lag: How late the event loop was, where somebody measures it.
    """
    install_redaction()
    tokens = Tokens(
        settings.secret, bond.clock, ttl_s=settings.token_ttl_s, previous=settings.secret_previous
    )
    counters, requests = Counters(), Requests()
    registry = CollectorRegistry()
    registry.register(BondCollector(bond, counters, requests, loop_lag or Latency()))
    ProcessCollector(registry=registry)
    app = Litestar(
        route_handlers=(*options_handlers(HANDLERS), *HANDLERS),
        dependencies={
            "project": Provide(project, sync_to_thread=False),
            "bond": _always(bond),
            "settings": _always(settings),
            "tokens": _always(tokens),
            "counters": _always(counters),
            "registry": _always(registry),
            "drain": _always(drain or Drain()),
        },
        exception_handlers={
            BondError: answer_bond_error,
            HTTPException: answer_http_error,
            Exception: answer_unexpected,
        },
        openapi_config=OpenAPIConfig(
            title="Bond",
            version=metadata.version("bond-streams"),
            description="A sentence in, a live and time-aligned stream of market data out.",
            path="/schema",
            render_plugins=[JsonRenderPlugin(path=["/", "/openapi.json"])],
            use_handler_docstrings=True,
        ),
        state=State({"started_ns": bond.clock.monotonic_ns()}),
        request_max_body_size=None,  # routes/body.py does it, and reads what it refuses
        logging_config=None,  # the process's own: logs.py
        debug=False,  # else LITESTAR_DEBUG decides whether errors show the source
    )
    # Around the router too, where the framework's middleware isn't: a 404 is an answer as well.
    app.asgi_handler = Observed(
        app.asgi_handler, clock=bond.clock, requests=requests, tracing=bond.tracing
    )
    return app


def _always(value: Any) -> Provide:
    return Provide(lambda: value, sync_to_thread=False)
