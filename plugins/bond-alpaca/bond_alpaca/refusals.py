"""Say what Alpaca's errors mean: try again and when, or mend something first.

Source of the codes: https://docs.alpaca.markets/docs/streaming-market-data#errors.
"""

from __future__ import annotations

from bond_core.plugin import Fatal, Retryable

LIMIT = 405
"""One subscription too many for the plan; those before it stand."""

OF_THE_REQUEST = frozenset({400, LIMIT, 410})
"""What is wrong with the last request, and with nothing else."""

HARMLESS = 403
"""Already authenticated."""

_KEYS = "ALPACA_API_KEY and ALPACA_SECRET_KEY"
_TAKEN_PAUSE_S = 15.0
_SLOW_PAUSE_S = 5.0


def error_of(code: int, said: str, *, feed: str) -> Exception:
    """Return what to raise for an error that ends the connection.

    Args:
        code: Alpaca's.
        said: Its own words.
        feed: `iex`, `sip`, … or `crypto`.
    """
    what = f"Alpaca says: {said} ({code})"
    if code == 402:
        return Fatal(
            f"Alpaca does not accept the key in {_KEYS}: app.alpaca.markets shows them, and a new "
            f"key has a new secret. {what}",
            fix="export ALPACA_API_KEY=… ALPACA_SECRET_KEY=…",
        )
    if code == 406:
        return Retryable(
            f"another program has this key's one connection to Alpaca's feed {feed}: end it, or "
            f"let it listen to this server. All streams here share one. {what}",
            retry_after_s=_TAKEN_PAUSE_S,
        )
    if code == 407:
        return Retryable(
            "Alpaca hung up because its messages were not taken fast enough: ask for fewer "
            f"symbols, or for trades without quotes. {what}",
            retry_after_s=_SLOW_PAUSE_S,
        )
    if code in (409, 411):
        return Fatal(
            f"this key's plan has no feed {feed}: app.alpaca.markets sells one that has. {what}",
            fix="export ALPACA_FEED=iex",
        )
    return Retryable(what)


def why_refused(code: int, said: str) -> str:
    """Return why one subscription was refused, with what to do."""
    if code == LIMIT:
        return (
            "the key's plan allows no more symbols at once (the free one 30): ask for fewer, or "
            f"take another plan. Alpaca says: {said} ({code})"
        )
    return f"Alpaca refuses to be asked for this: {said} ({code})"
