"""Answer OPTIONS with all that an address takes.

The framework does so by itself, but where two handlers share an address its answer names only
the methods of the first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from litestar import HttpMethod, Response, route
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler

from bond_server.auth.project import OPEN, needs


def options_handlers(handlers: Iterable[BaseRouteHandler]) -> list[HTTPRouteHandler]:
    """Return a handler of OPTIONS for every address; they must be registered before the others."""
    methods: defaultdict[str, set[str]] = defaultdict(set)
    for handler in handlers:
        if isinstance(handler, HTTPRouteHandler):
            for path in handler.paths:
                methods[path] |= set(handler.http_methods)
    return [_options(path, ", ".join(sorted({*m, "OPTIONS"}))) for path, m in methods.items()]


def _options(path: str, allow: str) -> HTTPRouteHandler:
    @route(
        path,
        http_method=HttpMethod.OPTIONS,
        include_in_schema=False,
        status_code=204,
        opt=needs(OPEN),
    )
    async def options() -> Response[None]:
        """Say what is allowed here."""
        return Response(None, status_code=204, headers={"Allow": allow})

    return options
