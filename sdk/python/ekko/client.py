"""Create streams on a Bond server, list, delete and subscribe to them: `EkkoClient`."""

from __future__ import annotations

import copy
import datetime as dt
import os
import re
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import quote, urlsplit

import attrs

from ekko.drops import ResumePolicy
from ekko.errors import StreamDeletedError, UnexpectedAnswerError
from ekko.event import Frozen, Stream, Token
from ekko.iterator import Events
from ekko.resume import Dial, Subscription, Ticket
from ekko.transport import Transport, shown_url
from ekko.websocket import dial as dial_websocket

Moment = str | int | dt.datetime
"""`now-60s`, ISO 8601, epoch ms, or an aware datetime."""

Slow = Literal["disconnect", "conflate"]
"""What the server does when a client reads too slowly: close with 4008, or leave records out."""

_DEFAULT_URL = "http://localhost:8000"
_RENEW_BEFORE_S = 60.0
_NOT_YET = "(not created yet)"
_USERINFO = re.compile("//[^/@]*@")


class EkkoClient:
    """A Bond server's streams.

    Works with and without `async with`: inside, connections are kept and used again; outside,
    each call opens and closes its own.

    Args:
        api_url: Where the server is; else EKKO_API_URL, else http://localhost:8000.
        ws_url: Where its WebSockets are, such as `ws://localhost:8080`, when that is neither
            what the server says nor beside `api_url`.
        api_key: The API key; else EKKO_API_KEY. A server on this machine asks for none.
        retries: How often a call that may be repeated is repeated.
        policy: How patient subscriptions are.
        dial: Opens a WebSocket; for tests, and for sockets of another make.

    Raises:
        ValueError: A URL is none.
    """

    def __init__(
        self,
        api_url: str | None = None,
        ws_url: str | None = None,
        api_key: str | None = None,
        *,
        retries: int = 2,
        policy: ResumePolicy | None = None,
        dial: Dial | None = None,
    ) -> None:
        api_url = api_url or os.environ.get("EKKO_API_URL") or _DEFAULT_URL
        if api_url == "local":
            raise ValueError("local mode has no server to be a client of: use listen(local=True)")
        _check_url("api_url", api_url, {"http", "https"})
        if ws_url is not None:
            _check_url("ws_url", ws_url, {"ws", "wss"})
        self._ws_url = ws_url
        self._policy = policy or ResumePolicy()
        self._dial = dial or dial_websocket
        self._tickets: dict[str, Ticket] = {}
        self._transport = Transport(
            api_url=api_url.rstrip("/"),
            api_key=api_key or os.environ.get("EKKO_API_KEY") or None,
            retries=retries,
        )

    def __repr__(self) -> str:
        return f"EkkoClient({self.api_url!r})"

    @property
    def api_url(self) -> str:
        """Where the server is, without credentials."""
        return shown_url(self._transport.api_url)

    async def __aenter__(self) -> Self:
        self._transport.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections that are kept; the client stays usable."""
        await self._transport.close()

    def twin(self) -> Self:
        """Return a client of the same server for another event loop; tokens are shared."""
        twin = copy.copy(self)
        twin._transport = attrs.evolve(self._transport)  # noqa: SLF001 - its own connections
        return twin

    async def health(self) -> Frozen:
        """Return how the server is. Raises ServerError when it isn't ready."""
        return Frozen(await self._transport.request("GET", "/health"))

    async def explain(self, text_or_spec: str | Mapping[str, Any]) -> Frozen:
        """Return what the server understands, assumes and needs. Creates nothing."""
        body = _request(text_or_spec, {})
        return Frozen(await self._transport.request("POST", "/v1/explain", body))

    async def create_stream(self, text_or_spec: str | Mapping[str, Any], **options: Any) -> Stream:
        """Return the stream for a sentence or a spec; the same request gives the same stream.

        Args:
            text_or_spec: `"BTC price + tweets every 5s"`, or a spec as a mapping.
            **options: Keys of the spec that don't change what the stream is: `ephemeral`,
                `duration_sec`, `replay_sec`, `label`.

        Raises:
            BadRequestError: The request makes no sense; its text says where, and what works.
            RateLimitError: There are as many streams as the server allows.
            APIError: The server said no for another reason.
            APIConnectionError: Nobody answered.
        """
        # Repeatable: the stream's id is a hash of what was asked.
        answer = await self._transport.request(
            "POST", "/v1/streams", _request(text_or_spec, options)
        )
        stream = Stream(self._checked(answer, "stream_id", "access_token"))
        self._remember(stream.stream_id, stream.access_token, stream)
        return stream

    async def list_streams(self) -> list[Stream]:
        """Return the project's streams."""
        answer = await self._transport.request("GET", "/v1/streams")
        found = answer.get("streams") if isinstance(answer, Mapping) else answer
        if not isinstance(found, list):
            raise UnexpectedAnswerError(self.api_url, "answered with no list of streams")
        return [Stream(stream) for stream in found]

    async def list_sources(self) -> list[Frozen]:
        """Return the sources that a spec may name there, with their venues, feeds and settings."""
        found = await self._transport.request("GET", "/v1/sources")
        if not isinstance(found, list):
            raise UnexpectedAnswerError(self.api_url, "answered with no list of sources")
        return [Frozen(source) for source in found]

    async def delete_stream(self, stream_id: str) -> None:
        """Delete a stream: its clients are told, and it ends. Raises NotFoundError."""
        self._tickets.pop(stream_id, None)
        await self._transport.request("DELETE", _path(stream_id))

    async def refresh_token(
        self, stream_id: str, *, persistent: bool = False, label: str | None = None
    ) -> Token:
        """Return a fresh token for a stream.

        Args:
            stream_id: The stream.
            persistent: Ask for a long-lived one, which the server registers and can revoke.
            label: What to call it in the server's list of registered tokens.
        """
        asked = {"persistent": persistent or None, "label": label}
        body = {key: value for key, value in asked.items() if value is not None}
        answer = await self._transport.request(
            "POST", f"{_path(stream_id)}/token", body or None, repeatable=not persistent
        )
        token = Token(self._checked(answer, "token"))
        self._remember(stream_id, token.token, token)
        return token

    async def metrics(self, stream_id: str) -> Frozen:
        """Return a stream's counts and latencies."""
        return Frozen(await self._transport.request("GET", f"{_path(stream_id)}/metrics"))

    def subscribe(
        self,
        stream_id: str,
        token: str | None = None,
        *,
        after: str | None = None,
        from_: Moment | None = None,
        slow: Slow | None = None,
        seconds: float | None = None,
        limit: int | None = None,
    ) -> Events:
        """Yield a stream's records as they come: each once, in order, across dropped connections.

        Where the server has lost some, a `Gap` comes before the next record.

        Args:
            stream_id: The stream.
            token: Its token; None to ask the server for one.
            after: Start after the record with this id; exact. A record's `ts` does, too, and
                repeats that window when it held more than one record.
            from_: Start at this moment; `after` wins.
            slow: What the server does when this client reads too slowly.
            seconds: End after so many seconds.
            limit: End after so many events.

        Raises:
            ValueError: An argument makes no sense.
            StreamDeletedError: The stream was deleted.
            StreamError: The subscription ended, and connecting again can't help.
            AuthenticationError: The token is refused, and fresh ones are, too.
            APIConnectionError: There never was a connection. Once there was one, it is sought
                until it is back; each attempt is logged as a warning.
        """
        records = self._subscription(stream_id, token, after, from_, slow).records()
        return Events(records, seconds=seconds, limit=limit)

    def listen(
        self,
        text_or_spec: str | Mapping[str, Any],
        *,
        from_: Moment | None = None,
        slow: Slow | None = None,
        seconds: float | None = None,
        limit: int | None = None,
        **options: Any,
    ) -> Events:
        """Create a stream that ends with its last client, and yield its records.

        Args and errors are those of `create_stream` and `subscribe`.
        """
        options = {"ephemeral": True} | options
        subscription = self._subscription(_NOT_YET, None, None, from_, slow)

        async def create() -> None:
            stream = await self.create_stream(text_or_spec, **options)
            subscription.stream_id = stream.stream_id
            subscription.ticket = self._tickets[stream.stream_id]

        async def renew() -> Ticket:
            await self.refresh_token(subscription.stream_id)
            return self._tickets[subscription.stream_id]

        async def revive() -> Ticket:
            again = await self.create_stream(text_or_spec, **options)
            if again.stream_id != subscription.stream_id:
                said = f"it ended, and what was asked for is now stream {again.stream_id}"
                raise StreamDeletedError(subscription.stream_id, said, subscription.after)
            return self._tickets[again.stream_id]

        subscription.opening, subscription.renew, subscription.revive = create, renew, revive
        return Events(subscription.records(), seconds=seconds, limit=limit)

    def _subscription(
        self,
        stream_id: str,
        token: str | None,
        after: str | None,
        from_: Moment | None,
        slow: Slow | None,
    ) -> Subscription:
        if slow not in {None, "disconnect", "conflate"}:
            raise ValueError(f'slow is "disconnect" or "conflate", was {slow!r}')

        async def renew() -> Ticket:
            await self.refresh_token(stream_id)
            return self._tickets[stream_id]

        ticket = self._tickets.get(stream_id)
        if token is not None and (ticket is None or ticket.token != token):
            ticket = Ticket(ticket.endpoint if ticket else self._endpoint(stream_id, None), token)
        return Subscription(
            stream_id=stream_id,
            dial=self._dial,
            renew=renew,
            ticket=ticket,
            after=after,
            from_=None if from_ is None else _moment(from_),
            slow=slow,
            policy=self._policy,
        )

    def _remember(self, stream_id: str, token: str, answer: Mapping[str, Any]) -> None:
        lifetime_s = answer.get("expires_in_sec")
        renew_at_s = None
        if isinstance(lifetime_s, int | float) and lifetime_s > 0:
            early_s = min(_RENEW_BEFORE_S, lifetime_s / 5)
            renew_at_s = self._policy.now() + lifetime_s - early_s
        endpoint = self._endpoint(stream_id, answer.get("ws_url"))
        self._tickets[stream_id] = Ticket(endpoint, token, renew_at_s)

    def _endpoint(self, stream_id: str, told: Any) -> str:
        """Return the WebSocket's address: what the caller said, else the server, else beside it."""
        if self._ws_url is None and isinstance(told, str) and told.startswith(("ws://", "wss://")):
            return told.partition("?")[0]
        base = self._ws_url or "ws" + self._transport.api_url.removeprefix("http")
        base = base.rstrip("/").removesuffix("/ws")
        return f"{base}/ws/{quote(stream_id, safe='')}"

    def _checked(self, answer: Any, *fields: str) -> Mapping[str, Any]:
        """Return an answer that has these fields as text."""
        if isinstance(answer, Mapping) and all(isinstance(answer.get(f), str) for f in fields):
            return answer
        raise UnexpectedAnswerError(self.api_url, f"answered without {' and '.join(fields)}")


def _request(text_or_spec: str | Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body that asks for a stream: options stand beside a sentence, but in a spec."""
    if isinstance(text_or_spec, str):
        return {"natural_language": text_or_spec, **options}
    if isinstance(text_or_spec, Mapping):
        return {"spec": {**text_or_spec, **options}}
    raise TypeError(f"a stream is a sentence or a spec (a mapping), was {text_or_spec!r}")


def _path(stream_id: str) -> str:
    return f"/v1/streams/{quote(stream_id, safe='')}"


def _moment(value: Moment) -> str:
    """Return a moment as the server reads it."""
    if isinstance(value, dt.datetime):
        if value.tzinfo is None:
            raise ValueError(f"from_ needs a time zone, was {value.isoformat()}")
        return value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
    return str(value)


def _check_url(name: str, url: str, schemes: set[str]) -> None:
    parts = urlsplit(url)
    if parts.scheme not in schemes or not parts.hostname:
        example = "ws://localhost:8000" if "ws" in schemes else _DEFAULT_URL
        shown = _USERINFO.sub("//", url.partition("?")[0])
        raise ValueError(f"{name} is an address such as {example}, was {shown!r}")
