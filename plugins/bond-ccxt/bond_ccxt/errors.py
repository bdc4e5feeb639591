"""Say what ccxt's errors mean for a source: try again, or mend something first."""

from __future__ import annotations

import re
from typing import Any, cast

from bond_core.plugin import Fatal, Retryable

_SECRET = re.compile(r"(?i)\b(signature|api-?key|token|passphrase)=[^&\s\"]+")
_BLOCKED = (403, 451)


def translate(error: BaseException, venue: str) -> BaseException:
    """Return what a connector should raise for an error of ccxt's; others come back as they are.

    The order of the tests is that of ccxt's own classes (`ccxt.base.errors`): what it calls
    OperationFailed may work later, what is left of ExchangeError is the venue saying no.
    """
    import ccxt  # noqa: PLC0415 -- loaded only where a connector runs

    text = _text(error)
    if not isinstance(error, ccxt.BaseError):
        return error
    if isinstance(error, ccxt.RestrictedLocation) or _status(error) in _BLOCKED:
        return blocked(venue, text)
    if isinstance(error, ccxt.OperationFailed):
        return Retryable(f"{venue} can't be reached or doesn't answer: {text}")
    if isinstance(error, ccxt.AuthenticationError):
        return Fatal(
            f"{venue} wants a login for this, and Bond reads public market data only: name "
            f"another venue. {text}",
        )
    if isinstance(error, ccxt.BadSymbol):
        return Fatal(
            f"{venue} doesn't know a symbol that was asked for: ask for one that it lists. {text}",
        )
    if isinstance(error, ccxt.NotSupported | ccxt.ArgumentsRequired | ccxt.InvalidProxySettings):
        return Fatal(f"{venue} can't be heard this way: name another venue. {text}")
    if isinstance(error, ccxt.ExchangeError):
        return Retryable(f"{venue} answered with an error: {text}")
    return cast("BaseException", error)


def blocked(venue: str, text: str) -> Fatal:
    """Return the error for a venue that refuses to serve this place."""
    return Fatal(
        f"{venue} refuses connections from here (HTTP 403 or 451, often by country): name a venue "
        f"that serves yours, not {venue}. {text}",
        fix='"exchanges": ["kraken"]',
    )


def _status(error: Any) -> int | None:
    """Return the HTTP status of a refused WebSocket: ccxt wraps aiohttp's error in its own."""
    inner = error.args[0] if error.args else None
    status = getattr(inner, "status", None)
    return status if isinstance(status, int) else None


def _text(error: BaseException) -> str:
    """Return an error's text, short, on one line and without anything secret."""
    text = _SECRET.sub(r"\1=***", " ".join(str(error).split())) or type(error).__name__
    return text if len(text) <= 300 else text[:300] + "..."
