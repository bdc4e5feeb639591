"""Words that ask for one record field, and not for a whole feed: built in, or a plugin's."""

import pytest

from bond_core.plugin import AggregatorSpec
from bond_server.language.compile import understand
from bond_server.language.vocabulary import bundled, with_plugins

TRADES = ["price_avg", "price_open", "price_high", "price_low", "price_close",
          "vwap", "volume_sum", "trades"]  # fmt: skip
FLOW = AggregatorSpec(
    name="acme.flow", kind="trade", fields=("acme_flow",), factory="m:C", summary="s",
    words={"order flow": "acme_flow", "Pressure": "acme_flow"},
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("BTC volatility every 1m", ["volatility"]),
        ("BTC price + volatility every 1m", [*TRADES, "volatility"]),
        ("BTC buy volume + sell volume every 1m", ["buy_volume", "sell_volume"]),
        ("BTC mid + imbalance every 1s", ["mid", "imbalance"]),
        ("ETH spread every 1s", ["bid_avg", "ask_avg", "spread"]),
        ("ETH spread between binance and okx every 1s", ["bid_avg", "ask_avg", "venue_spread"]),
        ("log returns of BTC every 1m", ["return_log"]),
        ("BTC p99 every 1m", ["price_p99"]),
        ("authors of BTC tweets every 1m", ["tweets", "authors"]),
    ],
)
def test_a_word_becomes_its_field(text, fields):
    """Under `fields`; a feed that is asked for by its own words comes whole beside it."""
    understood = understand(text, bundled())

    assert understood.spec["fields"] == fields
    assert understand(understood.sentence, bundled()).spec == understood.spec


def test_beside_all_market_data_a_field_is_added():
    """`fields` would narrow the stream to it; `derived` doesn't."""
    spec = understand("BTC market data + volatility every 5s", bundled()).spec

    assert "fields" not in spec
    assert spec["derived"] == ["volatility"]


def test_a_plugin_brings_words_of_its_own():
    """In any case, without a change to the language."""
    vocabulary = with_plugins(bundled(), (), (FLOW,))

    spec = understand("BTC order flow every 5s", vocabulary).spec

    assert spec["fields"] == ["acme_flow"]
    assert understand("btc PRESSURE every 5s", vocabulary).spec == spec
