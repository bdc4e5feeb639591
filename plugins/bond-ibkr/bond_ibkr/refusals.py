"""Say what TWS's message codes mean, and what somebody who meets one can do.

Source: https://interactivebrokers.github.io/tws-api/message_codes.html, and for codes that it
does not list what TWS writes beside them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs

from bond_core.plugin import Fatal, Retryable

AGAIN_S = 60.0
"""After how long a request is made again that was refused for what may pass."""

SAME_INSTRUMENT_S = 15.0
"""TWS takes one tick-by-tick request for an instrument in so many seconds."""

PACE_S = 10.0
"""How long to stay away after too many messages."""

BUST = 10225
"""A correction has ended the subscription: ask for it again."""

BUST_S = 1.0

BROKEN_FARMS = frozenset({2103, 2105, 2157})
"""TWS has lost its servers of market data, of history, of contracts; it looks for them."""

_HARMLESS = frozenset({300, 366, 10167})
"""Answers to cancelling what is over already; and that delayed data are shown, not these."""

_SUBSCRIBE = (
    "subscribe to the exchange's market data (Client Portal: Settings, Market Data Subscriptions), "
    "accept its API agreement there, and for a paper account share them with it"
)

_SYMBOLS: Mapping[int, str] = {
    200: "TWS knows no such contract: check the symbol, or name the contract id instead of it",
    203: "this account may not trade it: ask IBKR for the trading permission",
    354: f"this account has no market data for it: {_SUBSCRIBE}",
    420: f"this account has no real-time bars of it: {_SUBSCRIBE}",
    10089: f"this account has no market data for the API: {_SUBSCRIBE}",
    10090: f"this account has only a part of its market data: {_SUBSCRIBE}",
    10168: f"this account has no market data for it: {_SUBSCRIBE}",
    10186: f"this account has no market data for it: {_SUBSCRIBE}",
    10189: f"this account has no tick-by-tick data for it: {_SUBSCRIBE}",
}
"""By code, why one contract can't be had; asking again changes nothing."""

_LINES = (
    "TWS gives no more tick-by-tick data at once (5 streams of it with the usual 100 market data "
    'lines): listen to less, such as "event_types": ["Last"], or buy a quote booster pack'
)
_TOO_OFTEN = "TWS was asked for it too often"
_TICKERS = "all market data lines are in use: close some in TWS, or buy a quote booster pack"


@attrs.frozen
class Refusal:
    """Why one request brings nothing.

    Attributes:
        reason: For people: what happened, and what to do.
        again_s: After how long to ask again; None is not at all.
        fails: Whether what it is about fails meanwhile.
    """

    reason: str
    again_s: float | None = None
    fails: bool = True


class InUseError(Retryable):
    """Another client goes by this client id."""


class ClosedError(Retryable):
    """TWS closed the connection without a word."""


def refusal_of(code: int, text: str) -> Refusal:
    """Return what TWS's answer to one request means."""
    said = f" (TWS: {_short(text)}, code {code})"
    lower = text.lower()
    if "pacing violation" in lower or "same instrument" in lower:
        why = f"{_TOO_OFTEN}; again in {SAME_INSTRUMENT_S:g} s"
        return Refusal(why + said, SAME_INSTRUMENT_S)
    if code == 10190 or "number of tick-by-tick" in lower:
        return Refusal(f"{_LINES}; asked for again every minute{said}", AGAIN_S)
    if code == 101:
        return Refusal(f"{_TICKERS}; asked for again every minute{said}", AGAIN_S)
    if code == BUST:
        return Refusal(f"its bars were corrected; asked for again{said}", BUST_S, fails=False)
    known = _SYMBOLS.get(code)
    if known is not None:
        return Refusal(known + said)
    return Refusal(f"TWS refuses it; asked for again every minute{said}", AGAIN_S)


def is_pace(reason: str) -> bool:
    """Whether a refusal only means that it is asked for again in a moment."""
    return reason.startswith(_TOO_OFTEN)


def code_in(reason: str) -> int | None:
    """Return TWS's code in a refusal's reason, or None if TWS said nothing."""
    found = re.search(r", code ([0-9]+)\)", reason)
    return int(found[1]) if found else None


def ending_of(code: int, text: str) -> Exception | None:
    """Return why the connection is of no use any more, or None if it still is."""
    said = f" (TWS: {_short(text)}, code {code})"
    match code:
        case 326:
            return InUseError(f"the client id is in use{said}")
        case 503:
            return Fatal(f"TWS is too old for its API: update TWS or IB Gateway{said}")
        case 100:
            return Retryable(f"TWS was sent too many messages{said}", retry_after_s=PACE_S)
        case 1100 | 2110:
            return Retryable(
                "TWS has lost its connection to IBKR (each night for its reset; else see "
                f"whether TWS is logged in and no other session has taken over){said}"
            )
        case 1101:
            return Retryable(f"TWS was away from IBKR and lost what it was asked for{said}")
        case 10197:
            return Retryable(
                "another session of this user has the market data: log out of the other TWS, "
                f"mobile or web session{said}", retry_after_s=AGAIN_S,
            )  # fmt: skip
        case 502 | 504 | 507 | 1300:
            return Retryable(f"TWS ends the connection{said}")
        case _:
            return None


def is_notice(code: int) -> bool:
    """Whether a message refuses nothing: warnings, and how TWS's data farms are."""
    return code in _HARMLESS or (2100 <= code < 2200 and code != 2110)


def _short(text: str) -> str:
    flat = " ".join(text.split()).rstrip(".")
    return flat if len(flat) <= 200 else flat[:200] + "..."
