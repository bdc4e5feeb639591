"""The routes below `/stream`, and what `/` and `/health` say of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bond_core.plugin import Answer, Asked, EventFlow, Host, Route
from bond_ibkr.config import limits_of
from bond_ibkr.server.asking import (
    DEFAULT_TYPE,
    FORMATS,
    TICK_TYPES,
    Key,
    read_contract_id,
    read_tick_type,
    read_wish,
)
from bond_ibkr.server.faults import not_streamed
from bond_ibkr.server.messages import Fault, Writer
from bond_ibkr.server.streams import Streams

_SAYS: Mapping[str, str] = {
    "Last": "Regular trades during market hours",
    "AllLast": "All trades including pre/post market",
    "BidAsk": "Real-time bid and ask quotes",
    "MidPoint": "Calculated midpoint between bid and ask",
}
_PARAMETERS: Mapping[str, str] = {
    "tick_type": f"One of {', '.join(TICK_TYPES)}; {DEFAULT_TYPE} unless said",
    "limit": "After how many ticks it ends; never, unless said",
    "timeout": "After how many seconds it ends",
    "format": "sse",
}
_EVENTS: Mapping[str, str] = {
    "info": "What is streamed, and what changes about it",
    "tick": "A tick of the contract",
    "error": "Something is wrong: an object with code, message and details",
    "complete": "This was all: limit_reached, timeout, stopped or error",
}


class IbServer:
    """The part of the server. Attributes: see bond_core.plugin.ServerPart."""

    def __init__(self, host: Host) -> None:
        self.streams = Streams(host, limits_of(host.config))
        self.routes = (
            Route("GET", "/stream/info", self.info, summary="What can be streamed"),
            Route("GET", "/stream/active", self.active, summary="What is streamed now"),
            Route(
                "GET", "/stream/{contract_id}", self.stream, by_token=True, gives="events",
                parameters=_PARAMETERS, summary="Stream a contract's ticks",
            ),
            Route(
                "GET", "/stream/{contract_id}/{tick_type}", self.stream, by_token=True,
                gives="events", parameters=_PARAMETERS,
                summary="Stream a contract's ticks of one type",
            ),
            Route(
                "DELETE", "/stream/all", self.stop_all, scope="admin",
                summary="Stop all streams, for all clients",
            ),
            Route(
                "DELETE", "/stream/{contract_id}", self.stop, scope="admin",
                summary="Stop a contract's streams, for all clients",
            ),
            Route(
                "DELETE", "/stream/{contract_id}/{tick_type}", self.stop, scope="admin",
                summary="Stop a contract's stream of one type, for all clients",
            ),
        )  # fmt: skip

    def about(self) -> dict[str, Any]:
        """Return where things are."""
        return {
            "info": "/stream/info",
            "stream": "/stream/{contract_id}?tick_type=Last",
            "stream_type": "/stream/{contract_id}/{tick_type}",
            "active": "/stream/active",
            "stop": "DELETE /stream/{contract_id}",
            "stop_all": "DELETE /stream/all",
            "token": "POST /stream/token",
            "simulated": self.streams.is_simulated,
        }

    def health(self) -> dict[str, Any]:
        """Return how TWS does, as far as anybody wants something of it, and what is streamed."""
        limits, counts = self.streams.limits, self.streams.counts()
        return {
            "tws": self._tws(),
            "simulated": self.streams.is_simulated,
            "active_streams": len(self.streams.running),
            "max_streams": limits.max_streams,
            **counts,
        }

    async def info(self, asked: Asked) -> Answer:
        """Say what can be asked for."""
        limits = self.streams.limits
        return Answer({
            "tick_types": dict(_SAYS),
            "parameters": {
                "limit": {"type": "integer", "default": None},
                "tick_type": {"enum": list(TICK_TYPES), "default": DEFAULT_TYPE},
                "timeout": {"type": "integer", "default": limits.timeout_s},
                "format": {"enum": list(FORMATS), "default": FORMATS[0]},
            },
            "events": dict(_EVENTS),
            "limits": {
                "max_concurrent_streams": limits.max_streams,
                "default_timeout": limits.timeout_s,
                "reconnect_attempts": limits.reconnect_attempts,
                "buffer_size": limits.buffer_size,
            },
            "active_streams": len(self.streams.running),
            "simulated": self.streams.is_simulated,
        })  # fmt: skip

    async def active(self, asked: Asked) -> Answer:
        """List what is streamed."""
        streams = self.streams.active()
        most = self.streams.limits.max_streams
        return Answer({
            "streams": streams, "total": len(streams), "max_streams": most,
            "simulated": self.streams.is_simulated,
        })  # fmt: skip

    async def stream(self, asked: Asked) -> EventFlow:
        """Stream; AnsweredError: 400, 404, 429 or 503."""
        streams = self.streams
        wish = read_wish(asked.path, asked.query, timeout_s=streams.limits.timeout_s)
        write = Writer(wish.key.contract_id, streams.is_simulated)

        def bye(word: str, sentence: str) -> bytes:
            fault = Fault(word.upper(), sentence, "The server ended the stream")
            return write.error(streams.clock.now_ns(), fault)

        headers = {"Bond-Simulated": "true"} if streams.is_simulated else {}
        return EventFlow(messages=await streams.listen(wish), bye=bye, headers=headers)

    async def stop(self, asked: Asked) -> Answer:
        """Stop what there is of a contract; AnsweredError: 400, or 404 where that is nothing."""
        contract_id = read_contract_id(asked.path["contract_id"])
        named = asked.path.get("tick_type", asked.query.get("tick_type"))
        tick_type = None if named is None else read_tick_type(named)
        stopped, clients = self.streams.stop(
            lambda key: key.contract_id == contract_id and tick_type in (None, key.tick_type)
        )
        if not stopped:
            raise not_streamed(f"contract {contract_id}" + (f", {tick_type}" if tick_type else ""))
        return Answer(_stopped(stopped, clients))

    async def stop_all(self, asked: Asked) -> Answer:
        """Stop everything."""
        return Answer(_stopped(*self.streams.stop(lambda _: True)))

    # Within

    def _tws(self) -> dict[str, Any]:
        """Return how TWS is, by what is heard; with no stream nobody is connected to it."""
        statuses = {upstream.status for upstream in self.streams.running.values()}
        if not statuses:
            return {"status": "idle", "connected": None}
        if "live" in statuses:
            return {"status": "connected", "connected": True}
        if "reconnecting" in statuses:
            return {"status": "disconnected", "connected": False}
        word = "connecting" if "starting" in statuses else "refused"
        return {"status": word, "connected": None}  # it has yet to say something that lasts


def _stopped(keys: list[Key], clients: int) -> dict[str, Any]:
    streams = [{"contract_id": key.contract_id, "tick_type": key.tick_type} for key in keys]
    return {"stopped": streams, "clients": clients}
