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

from bond_core.errors import BondError
from bond_server.auth.project import project
from bond_server.auth.tokens import Tokens
from bond_server.delivery.counters import Counters
from bond_server.delivery.drain import Drain
from bond_server.delivery.hub import Hub
from bond_server.local import Bond
from bond_server.logs import install_redaction
from bond_server.problems import answer_bond_error, answer_http_error, answer_unexpected
from bond_server.routes import catalog, explain, health, sse, streams, websocket
from bond_server.settings import ServerSettings

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
    websocket.stream_socket,
    websocket.no_socket,
)


def create_app(bond: Bond, settings: ServerSettings, drain: Drain | None = None) -> Litestar:
    """Return the web application of a Bond.

    Args:
        bond: Entered already, and left only after the server has stopped.
        settings: What the environment says.
        drain: Ends the sessions when the server leaves; without one they end with it.
    """
    install_redaction()
    tokens = Tokens(
        settings.secret, bond.clock, ttl_s=settings.token_ttl_s, previous=settings.secret_previous
    )
    return Litestar(
        route_handlers=HANDLERS,
        dependencies={
            "project": Provide(project, sync_to_thread=False),
            "bond": _always(bond),
            "settings": _always(settings),
            "tokens": _always(tokens),
            "counters": _always(Counters()),
            "hub": _always(Hub(bond.clock)),
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


def _always(value: Any) -> Provide:
    return Provide(lambda: value, sync_to_thread=False)
