"""Say what market data you want, and get it as it happens: the Python SDK of Bond.

`async for event in listen("BTC price + tweets every 5s")` is the whole of it for most programs,
`listen_sync` for those without asyncio; `EkkoClient` and `EkkoClientSync` do the rest.
`DataStream` streams by symbol, without sentences.
"""

from __future__ import annotations

from ekko.backoff import Backoff
from ekko.client import EkkoClient
from ekko.datastream import DataStream, StreamMessage
from ekko.drops import ResumePolicy
from ekko.errors import (
    APIConnectionError,
    APIError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    EkkoError,
    LocalModeError,
    MissingLibraryError,
    NotFoundError,
    PermissionDeniedError,
    Problem,
    RateLimitError,
    RunningLoopError,
    ServerError,
    StreamDeletedError,
    StreamError,
    StreamRefusedError,
    UnexpectedAnswerError,
)
from ekko.event import Event, Gap, Stream, Token
from ekko.iterator import Events
from ekko.listening import listen
from ekko.records import Records
from ekko.sync import EkkoClientSync, EventsSync, listen_sync

__all__ = [
    "APIConnectionError",
    "APIError",
    "AuthenticationError",
    "Backoff",
    "BadRequestError",
    "ConflictError",
    "DataStream",
    "EkkoClient",
    "EkkoClientSync",
    "EkkoError",
    "Event",
    "Events",
    "EventsSync",
    "Gap",
    "LocalModeError",
    "MissingLibraryError",
    "NotFoundError",
    "PermissionDeniedError",
    "Problem",
    "RateLimitError",
    "Records",
    "ResumePolicy",
    "RunningLoopError",
    "ServerError",
    "Stream",
    "StreamDeletedError",
    "StreamError",
    "StreamMessage",
    "StreamRefusedError",
    "Token",
    "UnexpectedAnswerError",
    "listen",
    "listen_sync",
]
