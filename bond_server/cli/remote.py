"""Listen to a stream of a server, as any client would: HTTP to ask for it, a WebSocket to hear it.

A connection that drops is opened again behind the last record that came, so that none is
missing and none comes twice.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack
from typing import Any, Self
from urllib.parse import urlsplit

import attrs
import httpx
import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from bond_core.errors import BondError, Problem, RequestError, Retryable
from bond_core.runtime.backoff import Backoff
from bond_server.proposals.proposer import Proposal
from bond_server.proposals.refusal import ProposedError

_ATTEMPTS = 8
"""How often in a row connecting may fail before the command gives up."""

_COMPLETE, _BAD_TOKEN, _GONE = 1000, 1008, 4404
_LARGEST_RECORD = 4 * 2**20


class ServerError(BondError):
    """The server could not be reached, or ended the stream."""

    default_code = "server"


class _Id(msgspec.Struct):
    """The part of a record by which a reader goes on."""

    id: str


@attrs.frozen(kw_only=True)
class Subscribed:
    """A stream that a server runs for us.

    Attributes:
        body: All that the server said of it: `spec`, `understood`, `warnings` and so on.
    """

    stream_id: str
    ws_url: str = attrs.field(repr=False)
    sse_url: str = attrs.field(repr=False)
    body: Mapping[str, Any] = attrs.field(repr=False)


class Server:
    """A server, as its client sees it. Use as an async context manager.

    Args:
        url: Its base URL, such as `http://localhost:8000`.
        api_key: Sent as `Authorization: Bearer`; None where it asks for none.
    """

    def __init__(self, url: str, *, api_key: str | None = None) -> None:
        self.url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._is_here = is_here(self.url)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Open no connection yet."""
        # No proxy leads to this machine; to others it is the environment's to say.
        client = httpx.AsyncClient(headers=self._headers, timeout=20.0, trust_env=not self._is_here)
        self._http = await self._stack.enter_async_context(client)
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Close what is open."""
        await self._stack.aclose()

    async def create(self, request: Mapping[str, Any]) -> Subscribed:
        """Ask for a stream.

        Raises:
            RequestError: The server refuses, with all that it says is wrong.
            ServerError: Nobody answers there, or no server of this kind.
        """
        body = await self._post("/v1/streams", request)
        return Subscribed(
            stream_id=body["stream_id"], ws_url=body["ws_url"], sse_url=body["sse_url"], body=body
        )

    async def records(self, stream: Subscribed, *, start: str = "") -> AsyncGenerator[bytes]:
        """Yield the stream's records, each as the bytes of its JSON, until it is complete.

        Args:
            stream: From `create`.
            start: Where to begin, as the server's query takes it: `after=ID`, `from=now-60s`;
                empty: only what is new.

        Raises:
            ServerError: The stream is gone, or connecting failed too often in a row.
        """
        backoff, chance = Backoff(cap_s=5.0), random.Random()  # noqa: S311 -- jitter is no secret
        url, failures, why = stream.ws_url, 0, ""
        while failures < _ATTEMPTS:
            if failures:
                await asyncio.sleep(backoff.pause_s(failures - 1, chance))
            try:
                async with await self._dial(url, start) as socket:
                    async for data in socket_frames(socket):
                        start = f"after={msgspec.json.decode(data, type=_Id).id}"
                        failures = 0
                        yield data
            except ConnectionClosed as closed:
                code = closed.rcvd.code if closed.rcvd else None
                why = f"closed with {code} {closed.rcvd.reason}" if closed.rcvd else "broke off"
                if code == _COMPLETE:
                    return
                if code == _GONE:
                    raise ServerError("the stream was deleted", code="stream_deleted") from None
                if code == _BAD_TOKEN:
                    url = await self._fresh_url(stream.stream_id)
            except (OSError, TimeoutError, WebSocketException) as error:
                why = _brief(error)
            failures += 1
        raise ServerError(f"the stream can't be heard any more: the connection {why}")

    async def _dial(self, url: str, start: str) -> ClientConnection:
        return await connect(
            f"{url}&{start}" if start else url,
            compression=None,
            max_size=_LARGEST_RECORD,
            close_timeout=1.0,
            proxy=None if self._is_here else True,
        )

    async def _fresh_url(self, stream_id: str) -> str:
        return str((await self._post(f"/v1/streams/{stream_id}/token", {}))["ws_url"])

    async def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        try:
            answer = await self._http.post(f"{self.url}{path}", json=body)
            said = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ServerError(
                f"no answer from {self.url}: {_brief(error)}", code="no_server", fix="bond serve"
            ) from error
        except ValueError:
            said = None
        if not isinstance(said, dict):
            detail = f"{self.url} answers, but not as a Bond server does"
            raise ServerError(detail, code="no_server")
        if answer.is_error:
            raise problem_of(said, answer.status_code)
        return said


def is_here(url: str) -> bool:
    """Return whether a URL leads to this machine; one that is none leads nowhere."""
    try:
        return urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")
    except ValueError:
        return False


async def socket_frames(socket: ClientConnection) -> AsyncGenerator[bytes]:
    """Yield text frames as bytes. ConnectionClosed: whatever the reason, also a good one."""
    while True:
        data = await socket.recv(decode=False)
        yield data if isinstance(data, bytes) else data.encode()


def problem_of(said: Mapping[str, Any], status: int) -> BondError:
    """Return the error that a problem document (RFC 9457) describes."""
    kind = Retryable if said.get("retryable") else RequestError
    problems = [
        Problem(
            detail=found.get("detail", said.get("detail", "")),
            pointer=found.get("pointer"),
            span=tuple(found["span"]) if found.get("span") else None,
            text=found.get("text"),
            did_you_mean=tuple(found.get("did_you_mean", ())),
        )
        for found in said.get("errors", ())
    ]
    error = kind(str(said.get("detail", f"HTTP {status}")), fix=said.get("fix"))
    error.code = str(said.get("code", f"http_{status}"))
    error.problems = tuple(problems)
    proposal = said.get("proposal")
    if isinstance(proposal, dict) and isinstance(error, RequestError):
        return ProposedError(error, Proposal.of_json(proposal))
    return error


def _brief(error: Exception) -> str:
    """Return what went wrong, without the address: its query holds the token."""
    if isinstance(error, InvalidStatus):
        return f"was refused with HTTP {error.response.status_code}"
    return getattr(error, "strerror", None) or type(error).__name__
