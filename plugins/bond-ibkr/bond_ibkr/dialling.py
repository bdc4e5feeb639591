"""Find TWS: try its ports in order, and client ids until one is free."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from bond_core.plugin import Context, Retryable
from bond_ibkr.config import Address
from bond_ibkr.refusals import ClosedError, InUseError
from bond_ibkr.session import Session

CONNECT_S = 4.0
CLIENT_IDS = 8

_START = (
    "Start TWS or IB Gateway, log in, and switch on Configure, API, Settings, "
    '"Enable ActiveX and Socket Clients"; IB_STREAM_HOST and IB_STREAM_PORTS say where else to look'
)


class _NobodyThereError(Exception):
    """No TWS answers at this port; the text says what does."""


async def connect(ctx: Context, ib: Any, at: Address) -> Session:
    """Return a session that is ready for requests, at the first port where TWS answers.

    Raises:
        Retryable: It answers nowhere, or no client id is free.
        Fatal: It is too old.
    """
    _hush()
    tried = []
    for port in at.ports:
        try:
            session = await _at_port(ctx, ib, at, port)
        except _NobodyThereError as error:
            tried.append(f"{port} ({error})")
        else:
            ctx.log.info("TWS answers at %s:%d", at.host, port)
            return session
    raise Retryable(f"no TWS answers at {at.host}: tried {', '.join(tried)}. {_START}")


async def _at_port(ctx: Context, ib: Any, at: Address, port: int) -> Session:
    ids = range(at.client_id, at.client_id + CLIENT_IDS)
    for client_id in ids:
        try:
            return await _dial(ctx, ib, at.host, port, client_id)
        except InUseError:
            ctx.log.info("client id %d is in use at %s:%d", client_id, at.host, port)
    # Another port is another account, maybe with real money: not taken in its place.
    raise Retryable(
        f"client ids {ids[0]} to {ids[-1]} are all in use at {at.host}:{port}: end other API "
        "programs, or set IB_STREAM_CLIENT_ID to a free one"
    )


async def _dial(ctx: Context, ib: Any, host: str, port: int, client_id: int) -> Session:
    session = Session(ctx, ib)
    # Left to itself it waits for its time-out where TWS refuses: so both are watched.
    dialling = asyncio.ensure_future(
        session.client.connectAsync(host, port, client_id, timeout=CONNECT_S)
    )
    is_ready = False
    try:
        await asyncio.wait({dialling, session.over}, return_when=asyncio.FIRST_COMPLETED)
        if not session.over.done():
            await dialling
            is_ready = True
            return session
        why = session.over.result()
    except ConnectionRefusedError:
        raise _NobodyThereError("nothing listens there") from None
    except TimeoutError:
        why_not = f"no answer in {CONNECT_S:g} s; does TWS ask whether to let it in?"
        raise _NobodyThereError(why_not) from None
    except OSError as error:
        raise _NobodyThereError(error.strerror or str(error)) from None
    finally:
        if not is_ready:
            dialling.cancel()
            await asyncio.gather(dialling, return_exceptions=True)
            await session.close()
    if isinstance(why, ClosedError):
        raise _NobodyThereError(
            "it closed the connection at once; is this machine among TWS's trusted IPs?"
        )
    raise why


def _hush() -> None:
    """Keep ib_async from logging as errors what is told here, in other words."""
    for name in ("ib_async.client", "ib_async.wrapper"):
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.CRITICAL)
