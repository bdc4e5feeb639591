"""The composition root of the server: a Bond and its settings in, a web application out."""

from __future__ import annotations

from importlib import metadata
from typing import Any

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme
from prometheus_client import CollectorRegistry, ProcessCollector

from bond_core.errors import BondError
from bond_core.runtime.stages import Latency
from bond_server.auth.access import Access
from bond_server.auth.door import Door
from bond_server.auth.project import OPEN, check_scope, needs, project
from bond_server.delivery.counters import Counters
from bond_server.delivery.drain import Drain
from bond_server.delivery.hub import Hub
from bond_server.logs import install_redaction
from bond_server.parts.handlers import part_handlers
from bond_server.parts.loading import load_parts
from bond_server.problems import answer_bond_error, answer_http_error, answer_unexpected
from bond_server.proposals.proposer import Proposer
from bond_server.roles import roles_of
from bond_server.routes import (
    catalog,
    errors,
    explain,
    health,
    metrics,
    sse,
    streams,
    tokens,
    websocket,
)
from bond_server.routes.connections import Asking, Socket
from bond_server.routes.options import options_handlers
from bond_server.routes.plugin_examples import WithPluginExamples
from bond_server.service import Service
from bond_server.settings import ServerSettings
from bond_server.telemetry.collector import BondCollector
from bond_server.telemetry.requests import Observed, Requests

_EVERYWHERE = (
    health.about,
    health.health,
    health.live,
    health.ready,
    metrics.metrics,
    catalog.list_plugins,
    catalog.rescan_plugins,
    errors.list_errors,
    errors.show_error,
)
_API = (
    streams.create_stream,
    streams.list_streams,
    streams.show_stream,
    streams.delete_stream,
    streams.stream_metrics,
    tokens.refresh_token,
    tokens.list_tokens,
    tokens.revoke_tokens,
    tokens.revoke_token,
    explain.explain,
    catalog.list_sources,
)
_BROKER = (
    tokens.get_ticket,  # a ticket is known to the process that gave it
    sse.stream_events,
    websocket.stream_socket,
    websocket.no_socket,
)


def handlers_of(role: str) -> tuple[Any, ...]:
    """Return what a process of a role answers."""
    roles = roles_of(role)
    return (
        *_EVERYWHERE,
        *(_API if "api" in roles else ()),
        *(_BROKER if "broker" in roles else ()),
    )


_API_KEY = SecurityScheme(
    type="http", scheme="bearer", description="An API key, where the server asks for one"
)


def create_app(
    bond: Service,
    settings: ServerSettings,
    drain: Drain | None = None,
    *,
    access: Access | None = None,
    loop_lag: Latency | None = None,
) -> Litestar:
    """Return the web application of a Bond.

    Args:
        bond: Entered already, and left only after the server has stopped.
        settings: What the environment says.
        drain: Ends the sessions when the server leaves; without one they end with it.
        access: Who may do what; None makes it from the settings.
        loop_lag: How late the event loop was, where somebody measures it.
    """
    install_redaction()
    is_broker = "broker" in roles_of(settings.role)
    parts = load_parts(bond, is_simulated=settings.simulate) if is_broker else ()
    handlers = (*handlers_of(settings.role), *part_handlers(parts))
    access = access or Access(settings, bond.clock)
    counters, requests = Counters(), Requests()
    registry = CollectorRegistry()
    registry.register(BondCollector(bond, counters, requests, loop_lag or Latency()))
    ProcessCollector(registry=registry)
    app = Litestar(
        route_handlers=(*options_handlers(handlers), *handlers),
        dependencies={
            "project": Provide(project, sync_to_thread=False),
            "bond": _always(bond),
            "settings": _always(settings),
            "access": _always(access),
            "counters": _always(counters),
            "hub": _always(Hub(bond.clock)),
            "registry": _always(registry),
            "proposer": _always(Proposer(settings.model, bond.clock)),
            "drain": _always(drain or Drain()),
            "parts": _always(parts),
        },
        guards=[check_scope],
        request_class=Asking,
        websocket_class=Socket,
        exception_handlers={
            BondError: answer_bond_error,
            HTTPException: answer_http_error,
            Exception: answer_unexpected,
        },
        openapi_config=OpenAPIConfig(
            title="Bond",
            version=metadata.version("bond-streams"),
            description="A sentence in, a live and time-aligned stream of market data out.",
            openapi_router=Router(
                "/schema", route_handlers=[], opt=needs(OPEN), include_in_schema=False
            ),
            security=[{"ApiKey": []}, {}],
            components=Components(security_schemes={"ApiKey": _API_KEY}),
            render_plugins=[WithPluginExamples(bond, path=["/", "/openapi.json"])],
            use_handler_docstrings=True,
        ),
        state=State({"started_ns": bond.clock.monotonic_ns(), "access": access}),
        request_max_body_size=None,  # routes/body.py does it, and reads what it refuses
        logging_config=None,  # the process's own: logs.py
        debug=False,  # else LITESTAR_DEBUG decides whether errors show the source
    )
    # Around the router too, where the framework's middleware isn't: a 404 is an answer as well.
    guarded = Door(app.asgi_handler, access)
    app.asgi_handler = Observed(guarded, clock=bond.clock, requests=requests, tracing=bond.tracing)
    return app


def _always(value: Any) -> Provide:
    return Provide(lambda: value, sync_to_thread=False)
