"""Requests and sockets whose queries are not remembered: tokens are in them.

The framework keeps what the last 1,024 different queries meant, in its own process-wide cache: of
good tokens as of any text that anybody sends, and read it is up to thirty times as large.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from litestar import Request, WebSocket
from litestar.datastructures import MultiDict


class _OwnQuery:
    """What reads its query by itself, each time anew."""

    __slots__ = ()

    scope: Any

    @property
    def query_params(self) -> MultiDict[Any]:
        """Return the query's names and values."""
        text = self.scope["query_string"].decode("latin-1")
        return MultiDict(parse_qsl(text, keep_blank_values=True))


class Asking(_OwnQuery, Request[Any, Any, Any]):
    """A request over HTTP."""

    __slots__ = ()


class Socket(_OwnQuery, WebSocket[Any, Any, Any]):
    """A WebSocket."""

    __slots__ = ()
