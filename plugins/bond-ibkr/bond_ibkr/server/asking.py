"""Read what a client asks for, and refuse what makes no sense before anything is opened."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

import attrs

from bond_core.plugin import AnsweredError
from bond_ibkr.config import LONGEST_S

CHANNELS: Mapping[str, str] = {
    "Last": "raw_last",
    "AllLast": "raw_all_last",
    "BidAsk": "raw_bid_ask",
    "MidPoint": "raw_midpoint",
}
"""By tick type, which of the connector's channels brings it."""

TICK_TYPES = tuple(CHANNELS)
DEFAULT_TYPE = "Last"
FORMATS = ("sse",)
PARAMETERS = ("limit", "tick_type", "timeout", "format")
_CREDENTIALS = ("token", "ticket")
_HIGHEST_ID = 2**31 - 1
_MOST = 1_000_000_000


@attrs.frozen(order=True)
class Key:
    """What has one subscription at TWS: a contract and a tick type."""

    contract_id: int
    tick_type: str


@attrs.frozen(kw_only=True)
class Wish:
    """What one client wants.

    Attributes:
        limit: How many ticks; None for no end.
        timeout_s: For how many seconds at most; None for no end.
    """

    key: Key
    limit: int | None = None
    timeout_s: int | None = None


def read_wish(path: Mapping[str, str], query: Mapping[str, str], *, timeout_s: int) -> Wish:
    """Return what is asked for.

    Args:
        path: `contract_id`, and `tick_type` where the address has it.
        query: Of PARAMETERS.
        timeout_s: For how long where nobody says.

    Raises:
        AnsweredError: 400.
    """
    contract_id = read_contract_id(path["contract_id"])
    for name in query:
        if name not in (*PARAMETERS, *_CREDENTIALS):
            raise _unknown("parameter", name, PARAMETERS)
    _one_of("format", query.get("format", FORMATS[0]), FORMATS)
    named = query.get("tick_type", path.get("tick_type", DEFAULT_TYPE))
    tick_type = _one_of("tick_type", path.get("tick_type", named), TICK_TYPES)
    if named != tick_type:
        raise bad_parameter(f"The address says {tick_type}, and tick_type says {named[:40]!r}")
    limit = None if "limit" not in query else _whole("limit", query["limit"], _MOST)
    if "timeout" in query:
        timeout_s = _whole("timeout", query["timeout"], LONGEST_S)
    return Wish(key=Key(contract_id, tick_type), limit=limit, timeout_s=timeout_s)


def read_contract_id(text: str) -> int:
    """Return a contract's number. AnsweredError: 400."""
    return _whole("contract_id", text, _HIGHEST_ID)


def read_tick_type(text: str) -> str:
    """Return a tick type. AnsweredError: 400."""
    return _one_of("tick_type", text, TICK_TYPES)


def bad_parameter(message: str, details: str | None = None) -> AnsweredError:
    """Return what is answered to a request that makes no sense."""
    details = details or "Try /stream/265598?tick_type=BidAsk&limit=100"
    error = {"code": "INVALID_PARAMETER", "message": message, "details": details}
    return AnsweredError(message, status=400, code="invalid_parameter", more={"error": error})


def _whole(name: str, text: str, highest: int) -> int:
    if text.isascii() and text.isdecimal() and len(text) < 20 and 1 <= int(text) <= highest:
        return int(text)
    raise bad_parameter(f"{name} is a whole number from 1 to {highest}, not {text[:40]!r}")


def _one_of(name: str, text: str, known: Sequence[str]) -> str:
    if text in known:
        return text
    raise _unknown(name, text, known)


def _unknown(what: str, text: str, known: Sequence[str]) -> AnsweredError:
    by_small = {word.lower(): word for word in known}
    near = difflib.get_close_matches(text.lower(), by_small, n=1, cutoff=0.4)
    details = f"Did you mean {by_small[near[0]]}?" if near else None
    return bad_parameter(f"There is no {what} {text[:40]!r}; there is {', '.join(known)}", details)
