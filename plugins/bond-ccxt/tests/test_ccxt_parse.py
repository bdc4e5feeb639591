"""Times, sizes, symbols, errors and the specs: what needs no connection."""

from __future__ import annotations

import math

import ccxt.pro
import pytest

from bond_ccxt import plugin
from bond_ccxt.config import CcxtConfig, TickerConfig
from bond_ccxt.errors import translate
from bond_ccxt.parse import base_units, read_trade, to_ns
from bond_ccxt.symbols import nearest, why_not
from bond_ccxt.venues import ALIASES, PROVEN, UNPROVEN, VENUES, unproven
from bond_core.plugin import Fatal, Retryable, structure
from bond_core.settings import SettingsError


@pytest.mark.parametrize(
    ("said", "ns"),
    [
        (1_786_538_760, 1_786_538_760_000_000_000),
        (1_786_538_760_218, 1_786_538_760_218_000_000),
        ("1786538760218", 1_786_538_760_218_000_000),
        (1_786_538_760_218_123, 1_786_538_760_218_123_000),
        (1_786_538_760_218_123_456, 1_786_538_760_218_123_456),
        ("2026-08-12T19:27:47Z", 1_786_562_867_000_000_000),
        ("2026-08-12T19:27:47.5Z", 1_786_562_867_500_000_000),
        ("2026-08-12T19:27:47.532655Z", 1_786_562_867_532_655_000),
        ("2026-08-12T19:27:48.098821666Z", 1_786_562_868_098_821_666),
        ("2026-08-12T19:27:48.0988216669Z", 1_786_562_868_098_821_666),
        (None, None),
        (True, None),
        (1.5, None),
        ("", None),
        ("soon", None),
        ("2026-08-12T19:27:48.x1Z", None),
    ],
)
def test_times_are_exact(said, ns):
    """
    A time in any unit a venue uses comes out to the nanosecond, without a float on the way.
    """
    assert to_ns(said) == ns


@pytest.mark.parametrize(
    ("amount", "market", "expected"),
    [
        (0.5, {"contract": False}, (0.5, None)),
        (3.0, {"contract": True, "linear": True, "contractSize": 0.1}, (0.3, None)),
        (0.001, {"contract": True, "linear": True, "contractSize": 1.0}, (0.001, None)),
        (7.0, {"contract": True, "inverse": True, "contractSize": 100.0, "quote": "USD"},
         (7.0, "100 USD contracts")),
        (7.0, {"contract": True, "inverse": True, "contractSize": None, "quote": "USD"},
         (7.0, "1 USD contracts")),
        (None, {"contract": True, "linear": True, "contractSize": 0.1}, (None, None)),
    ],
)  # fmt: skip
def test_sizes_are_in_base_units(amount, market, expected):
    """
    Linear contracts are multiplied out exactly; inverse ones say what one of them is.
    """
    assert base_units(amount, market) == expected


def test_a_trade_without_a_price_is_left_for_the_runtime_to_reject():
    """
    What the venue left out becomes NaN, never a zero that looks like a price.
    """
    trade = {"info": {}, "symbol": "BTC/USDT", "timestamp": None, "price": None, "amount": None,
             "side": None, "id": None}  # fmt: skip

    event = read_trade(trade, VENUES["binance"], {})

    assert math.isnan(event.price)
    assert math.isnan(event.size)
    assert event.ts == 0


def test_a_symbol_is_never_substituted_only_suggested():
    """
    The nearest symbols share the base asset, spot before contracts.
    """
    markets = ["ETH/USD", "BTC/USDT:USDT", "BTC/USDT", "BTC/EUR"]

    assert nearest("BTC/USD", markets)[-1] == "BTC/USDT:USDT"
    assert set(nearest("BTC/USD", markets)) == {"BTC/USDT", "BTC/EUR", "BTC/USDT:USDT"}
    assert nearest("ETH/UDS", markets) == ["ETH/USD"]
    assert nearest("ZZZZ", []) == []


def test_a_market_that_coinbase_reports_under_another_name():
    """
    BTC/USDC at Coinbase Advanced Trade never speaks under its own name, and the reason says so.
    """
    markets = {"BTC/USDC": {"info": {"alias": "BTC-USD"}}, "BTC/USD": {"info": {"alias": ""}}}

    assert why_not("BTC/USD", "coinbase", markets) is None
    reason = why_not("BTC/USDC", "coinbase", markets)
    assert reason == "coinbase reports BTC/USDC under BTC/USD only; ask for that"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ccxt.NetworkError("gone"), Retryable),
        (ccxt.RequestTimeout("slow"), Retryable),
        (ccxt.ExchangeNotAvailable("503"), Retryable),
        (ccxt.DDoSProtection("418"), Retryable),
        (ccxt.RateLimitExceeded("429"), Retryable),
        (ccxt.ExchangeError("code 5"), Retryable),
        (ccxt.AuthenticationError("key"), Fatal),
        (ccxt.PermissionDenied("no"), Fatal),
        (ccxt.BadSymbol("FOO/BAR"), Fatal),
        (ccxt.NotSupported("watchTrades"), Fatal),
        (ccxt.RestrictedLocation("your country"), Fatal),
    ],
)
def test_what_ccxt_errors_mean(error, kind):
    """
    Each of ccxt's errors becomes what the supervisor acts on, naming the venue.
    """
    said = translate(error, "okx")

    assert type(said) is kind
    assert said.detail.startswith("okx ")
    assert str(error) in said.detail


def test_errors_that_are_not_ccxt_s_stay_what_they_are():
    """
    A bug is not dressed up as a network problem.
    """
    bug = KeyError("x")

    assert translate(bug, "okx") is bug


def test_no_secret_in_an_error():
    """
    A signed address in an error's text loses its signature and key.
    """
    said = translate(ccxt.NetworkError("GET https://x/?apiKey=abc&signature=def&a=1"), "okx")

    assert "abc" not in str(said)
    assert "def" not in str(said)
    assert "a=1" in str(said)


def test_the_specs():
    """
    Three connectors for the six venues or some of them, with every alias naming one of them.
    """
    ccxt_, liquidations, ticker = plugin.bond_connectors()

    assert (ccxt_.name, ticker.name) == ("ccxt", "ccxt.ticker")
    assert ccxt_.venues == ticker.venues == (*PROVEN, *UNPROVEN)
    assert len(set(ccxt_.venues)) == len(ccxt_.venues)
    assert set(ccxt_.venues) <= set(ccxt.pro.exchanges)
    assert set(liquidations.venues) == {id for id in PROVEN if "liquidations" in VENUES[id].feeds}
    assert set(ALIASES.values()) <= {*PROVEN, *UNPROVEN}
    assert ccxt_.fields[:10] == (
        "price_avg", "price_open", "price_high", "price_low", "price_close", "vwap",
        "volume_sum", "trades", "bid_avg", "ask_avg",
    )  # fmt: skip
    assert ticker.polls_every_s == 5.0
    assert not ticker.channel("ticker").default


def test_the_settings():
    """
    A venue is all that must be said; an interval too short is refused.
    """
    assert structure(CcxtConfig, {"venue": "okx"}).timeout_s == 10.0
    assert structure(TickerConfig, {"venue": "okx"}).every_s == 5.0
    with pytest.raises(SettingsError, match="every_s"):
        structure(TickerConfig, {"venue": "okx", "every_s": 0.1})


@pytest.mark.parametrize("id", PROVEN)
def test_ccxt_still_has_what_the_table_names(id):
    """
    Every method and attribute that the table of venues names exists in the installed ccxt.
    """
    import ccxt.pro

    exchange = getattr(ccxt.pro, id)()

    for feed in VENUES[id].feeds.values():
        for method in filter(None, (feed.watch, *feed.also)):
            assert callable(getattr(exchange, method))
        assert feed.kept_in is None or isinstance(getattr(exchange, feed.kept_in), dict)
    assert set(unproven(id, exchange.has).feeds) == {"trades", "quotes", "book"}
