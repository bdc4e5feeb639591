"""Make the web framework's handlers of the routes that plugins add."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from litestar import Request, Response, delete, post, route
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import OpenAPIType, Operation, Parameter, Schema

from bond_core.plugin.serving import Asked, EventFlow, Route
from bond_server.auth.access import Access, TokenRequest
from bond_server.auth.listeners import Admission
from bond_server.auth.project import OPEN, needs
from bond_server.delivery.drain import Drain
from bond_server.parts.callers import admit, token_id_of
from bond_server.parts.loading import Part
from bond_server.parts.session import FlowSession, while_there
from bond_server.routes.given import Given
from bond_server.routes.operations import guarded_answers
from bond_server.routes.sse import EventStream
from bond_server.service import Service

_OPENS = ("token", "ticket")
"""What in a query opens a route: none of the plugin's business."""

_PARAMETER = re.compile(r"\{([a-z_]+)\}")


def part_handlers(parts: Iterable[Part]) -> list[HTTPRouteHandler]:
    """Return the handlers of all parts."""
    handlers = []
    for part in parts:
        handlers += [_handler(part, each) for each in part.routes]
        if any(each.by_token for each in part.routes):
            handlers += _token_handlers(part)
    return handlers


def _handler(part: Part, described: Route) -> HTTPRouteHandler:
    by_token = described.by_token

    def admission_of(request: Request[Any, Any, Any], access: Access, bond: Service) -> Admission:
        return admit(
            request, access, bond.clock, part=part.spec.name, prefix=part.spec.prefix,
            scope=described.scope,
        )  # fmt: skip

    @route(
        _PARAMETER.sub(r"{\1:str}", described.path),
        http_method=described.method,
        status_code=200,
        summary=described.summary,
        operation_id=_operation_id(described),
        operation_class=_operation(described),
        media_type="text/event-stream" if described.gives == "events" else "application/json",
        opt=needs(OPEN if by_token else described.scope),
        responses=guarded_answers(400, 404, 503),
    )
    async def answer(
        request: Request[Any, Any, Any], bond: Given[Service], access: Given[Access],
        drain: Given[Drain],
    ) -> Response[Any]:  # fmt: skip
        admission = None
        if by_token or described.gives == "events":  # before anything is opened upstream
            admission = admission_of(request, access, bond)
        path = {name: str(value) for name, value in request.path_params.items()}
        query = dict(request.query_params.multi_items())  # the last of those named alike
        if by_token:
            query = {name: value for name, value in query.items() if name not in _OPENS}
        asked = Asked(path=path, query=query)
        if described.gives == "events" and admission is not None:
            with admission:
                said = await while_there(described.handler(asked), request.receive, drain)
        else:
            said = await described.handler(asked)
        if not isinstance(said, EventFlow):
            return Response(said.body, status_code=said.status, headers=dict(said.headers))
        try:
            if admission is None:
                admission = admission_of(request, access, bond)
            return EventStream(
                FlowSession(
                    flow=said, admission=admission, drain=drain, clock=bond.clock,
                    scope=request.scope,
                )
            )  # fmt: skip
        except BaseException:
            await said.messages.aclose()
            raise

    return answer


def _operation(described: Route) -> type[Operation]:
    """Return what writes a route's query into the schema; the route reads it itself."""
    said = dict(described.parameters)
    if described.by_token:
        said |= {"token": "Opens it, in place of an API key"}
    schema = Schema(type=OpenAPIType.STRING)

    @dataclass
    class Described(Operation):
        def __post_init__(self) -> None:
            self.parameters = [
                *(self.parameters or ()),
                *(
                    Parameter(name=name, param_in="query", description=what, schema=schema)
                    for name, what in said.items()
                ),
            ]

    return Described


def _operation_id(described: Route) -> str:
    """Return what tells it apart in the schema: `get/acme/{city}`."""
    return f"{described.method.lower()}{described.path}"


def _token_handlers(part: Part) -> list[HTTPRouteHandler]:
    """Return the routes that give tokens for a part, and revoke them."""
    prefix, token_id = part.spec.prefix, token_id_of(part.spec.name)
    alike: dict[str, Any] = {"opt": needs("tokens:mint"), "responses": guarded_answers(503)}

    @post(
        f"{prefix}/token",
        status_code=200,
        summary=f"Get a token that opens what is below {prefix}",
        operation_id=f"post{prefix}/token",
        **alike,
    )
    async def token(access: Given[Access], project: Given[str]) -> Response[dict[str, Any]]:
        """Return a fresh token, for clients that can't send an API key: `?token=…`."""
        fresh, _ = await access.issue(token_id, project, TokenRequest(is_short=True))
        body = {"token": fresh.text, "expires_in_sec": fresh.expires_in_s}
        return Response(body, headers={"Cache-Control": "no-store"})

    @delete(
        f"{prefix}/tokens",
        status_code=204,
        summary=f"Revoke all tokens that open what is below {prefix}",
        operation_id=f"delete{prefix}/tokens",
        **alike,
    )
    async def revoke(access: Given[Access]) -> None:
        """Let no token count that was given until now, and end who listens with one."""
        await access.revoke_all(token_id)

    return [token, revoke]
