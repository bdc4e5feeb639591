"""Say which venues can be reached from here, how fast, and whether this clock agrees with them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime

import httpx

from bond_server.cli.doctor import Check

# Public addresses that answer without a key; small answers, so that the time is the way there.
PUBLIC: Mapping[str, str] = {
    "binance": "https://api.binance.com/api/v3/ping",
    "okx": "https://www.okx.com/api/v5/public/time",
    "bybit": "https://api.bybit.com/v5/market/time",
    "coinbase": "https://api.exchange.coinbase.com/time",
    "coinbaseexchange": "https://api.exchange.coinbase.com/time",
    "kraken": "https://api.kraken.com/0/public/Time",
}
WITHIN_S = 5.0
MOST_SKEW_S = 2.0
_BLOCKED = (403, 451)


async def reach(venues: Iterable[str], *, places: Mapping[str, str] = PUBLIC) -> list[Check]:
    """Return how each venue answers, all asked at once, and how far this clock is off."""
    asked = [venue for venue in dict.fromkeys(venues) if venue in places]
    async with httpx.AsyncClient(timeout=WITHIN_S) as client:
        answers = await asyncio.gather(*(_ask(client, v, places[v]) for v in asked))
    checks = [check for check, _ in answers]
    skews = [skew for _, skew in answers if skew is not None]
    if skews:
        # A venue's header is cut to whole seconds; the middle of several is not one's mistake.
        skew_s = sorted(skews)[len(skews) // 2]
        is_off = abs(skew_s) > MOST_SKEW_S
        said = f"{skew_s:+.1f} s against the venues"
        checks.append(
            Check("FAIL", "clock", f"{said}: let the system set it (NTP); events would be refused")
            if is_off
            else Check("ok", "clock", said)
        )
    return checks


async def _ask(client: httpx.AsyncClient, venue: str, url: str) -> tuple[Check, float | None]:
    began = time.perf_counter()
    try:
        answer = await client.get(url)
    except httpx.HTTPError as error:
        return Check("FAIL", venue, f"can't be reached: {type(error).__name__}"), None
    took_ms = round(1000 * (time.perf_counter() - began))
    if answer.status_code in _BLOCKED:
        said = f"HTTP {answer.status_code}: it does not serve this place"
        return Check("FAIL", venue, said, "export BOND_DEFAULT_EXCHANGES=kraken"), None
    if answer.is_error:
        return Check("warn", venue, f"answers HTTP {answer.status_code}"), None
    return Check("ok", venue, f"{took_ms} ms"), _skew_s(answer.headers.get("date"))


def _skew_s(date: str | None) -> float | None:
    """Return how far this clock is ahead of an answer's Date, seconds; None where it has none."""
    try:
        there = parsedate_to_datetime(date or "").timestamp() + 0.5
    except ValueError:
        return None
    return time.time() - there
