"""Requests and sockets whose queries are not remembered: tokens are in them.

The framework keeps what the last 1,024 different queries meant, in its own process-wide cache: of
good tokens as of any text that anybody sends, and read it is up to thirty times as large.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from litestar import Request, WebSocket
from litestar.datastructures import MultiDict


class Asking(Request[Any, Any, Any]):
    """A request over HTTP."""

    __slots__ = ()

    @property
    def query_params(self) -> MultiDict[Any]:
        """Read the query, each time anew."""
        return _query_of(self.scope)


class Socket(WebSocket[Any, Any, Any]):
    """A WebSocket."""

    __slots__ = ()

    @property
    def query_params(self) -> MultiDict[Any]:
        """Read the query, each time anew."""
        return _query_of(self.scope)


def _query_of(scope: Any) -> MultiDict[Any]:
    return MultiDict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
