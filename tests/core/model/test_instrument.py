"""Unified symbols and their parts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bond_core.model.instrument import Instrument, base_asset, parse_symbol


@pytest.mark.parametrize(
    ("symbol", "parts"),
    [
        ("BTC/USDT", Instrument("BTC", "USDT")),
        ("BTC/USDT:USDT", Instrument("BTC", "USDT", "USDT")),
        ("BTC/USD:BTC", Instrument("BTC", "USD", "BTC")),
        ("BTC/USD:BTC-220527", Instrument("BTC", "USD", "BTC", "220527")),
        ("BTC/USD:BTC-260626-60000-C", Instrument("BTC", "USD", "BTC", "260626")),
        ("AAPL", Instrument("AAPL")),
        ("BRK.B", Instrument("BRK.B")),
        ("$PAC/USDT", Instrument("$PAC", "USDT")),
        ("1000SHIB/USDT", Instrument("1000SHIB", "USDT")),
    ],
)
def test_a_symbol_has_parts(symbol, parts):
    """Spot, linear and inverse swaps, futures, stocks and assets."""
    assert parse_symbol(symbol) == parts
    assert base_asset(symbol) == parts.base


@pytest.mark.parametrize(
    "symbol",
    ["", "/", "BTC/", "/USDT", "btc/usdt", "BTC USDT", "BTC/USDT/EUR", "BTC/USDT:", "BTC:USDT",
     "BTC/USDT\n", "BTC/USD:BTC-22", "Ⅷ/USDT", "A" * 31],
)  # fmt: skip
def test_what_is_no_symbol(symbol):
    """Anything else is none, and its own base."""
    assert parse_symbol(symbol) is None
    assert base_asset(symbol) == symbol


def test_an_inverse_contract_settles_in_what_it_trades():
    """Only then its sizes count contracts and not base units."""
    inverse = {s: parse_symbol(s).is_inverse for s in ("BTC/USD:BTC", "BTC/USDT:USDT", "BTC/USDT")}

    assert inverse == {"BTC/USD:BTC": True, "BTC/USDT:USDT": False, "BTC/USDT": False}


@given(st.text(max_size=80))
def test_no_text_breaks_the_reader(text):
    """Whatever is sent, the answer is an instrument or None."""
    found = parse_symbol(text)

    assert found is None or text.startswith(found.base)
