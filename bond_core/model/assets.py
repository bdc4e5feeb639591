"""Assets known offline: tickers and the names they go by, from the list beside this file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Literal

import attrs

Section = Literal["crypto", "stocks", "ambiguous"]


@attrs.frozen
class Asset:
    """Something with a ticker.

    Attributes:
        is_word: Whether the ticker is an English word too, and in lower case means that.
    """

    ticker: str
    kind: Literal["crypto", "stock"]
    names: tuple[str, ...]
    is_word: bool


@attrs.frozen(kw_only=True)
class Assets:
    """All of them, the most traded first.

    Attributes:
        by_ticker: Ticker → asset.
        by_name: Name in lower case → ticker.
        ambiguous: Name in lower case → the symbols it may mean.
    """

    by_ticker: Mapping[str, Asset]
    by_name: Mapping[str, str]
    ambiguous: Mapping[str, tuple[str, ...]]


@cache
def bundled_assets() -> Assets:
    """Return the assets of the bundled list."""
    text = resources.files(__package__).joinpath("assets.txt").read_text(encoding="utf-8")
    by_ticker: dict[str, Asset] = {}
    by_name: dict[str, str] = {}
    ambiguous: dict[str, tuple[str, ...]] = {}
    section = ""
    for line in text.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
            continue
        if not line or line.startswith("#"):
            continue
        head, _, tail = line.partition("|")
        names = tuple(name.strip() for name in tail.split(",") if name.strip())
        if section == "ambiguous":
            ambiguous[head.strip()] = names
            continue
        ticker = head.strip().rstrip("*")
        is_word = head.strip().endswith("*") or len(ticker) < 3
        kind: Literal["crypto", "stock"] = "stock" if section == "stocks" else "crypto"
        asset = Asset(ticker, kind, names, is_word)
        by_ticker.setdefault(ticker, asset)
        for name in names:
            by_name.setdefault(name, ticker)
    return Assets(by_ticker=by_ticker, by_name=by_name, ambiguous=ambiguous)
