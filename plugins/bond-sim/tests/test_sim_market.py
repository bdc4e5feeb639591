"""The synthetic market is a function of its seed and the time."""

import pytest

from bond_core.clock import NS
from bond_sim.instruments import (
    binance_instrument,
    coinbase_instrument,
    okx_instrument,
    synthetic_markets,
)
from bond_sim.market import SLOT_NS, SyntheticMarket

NOW_NS = 1_750_000_000 * NS


def market(seed=1):
    """Return a market over all instruments."""
    return SyntheticMarket(seed, {(i.venue, i.id): i for i in synthetic_markets()})


def minute(seed, venue="binance", id="BTCUSDT"):
    """Return a minute's trades."""
    made, first = market(seed), NOW_NS // SLOT_NS
    instrument = made.instruments[venue, id]
    return [t for slot in range(first, first + 1200) for t in made.trades(instrument, slot)]


def test_a_seed_gives_the_same_trades():
    """Two markets of one seed agree, those of two seeds do not."""
    assert minute(5) == minute(5)
    assert minute(5) != minute(6)


def test_trades_are_plausible():
    """BTC trades several times a second, within a percent, ids and times growing."""
    trades = minute(1)
    assert 100 < len(trades) < 1500
    assert [t.id for t in trades] == sorted({t.id for t in trades})
    assert [t.at_ns for t in trades] == sorted(t.at_ns for t in trades)
    prices = [float(t.price) for t in trades]
    assert max(prices) / min(prices) < 1.01
    assert len(set(prices)) > 20


def test_every_market_has_a_quote_on_its_ticks():
    """Bid is below ask everywhere, and both have the market's decimals."""
    made = market()
    for instrument in made.instruments.values():
        quote = made.quote(instrument, NOW_NS)
        assert 0 < float(quote.bid) < float(quote.ask), instrument
        places = len(instrument.tick.partition(".")[2])
        assert len(quote.bid.partition(".")[2]) == places
        assert float(quote.bid_size) > 0


def test_venues_agree_on_a_price_but_not_exactly():
    """One asset has nearly one price on all venues."""
    made = market()
    quotes = {
        made.quote(i, NOW_NS).bid for i in made.instruments.values() if i.symbol == "BTC/USDT"
    }
    assert len(quotes) == 6
    assert max(map(float, quotes)) / min(map(float, quotes)) < 1.001


def test_a_burst_keeps_ids_growing():
    """The trades after a burst have greater ids than it, and none is used twice."""
    made, slot = market(), NOW_NS // SLOT_NS
    instrument = made.instruments["okx", "BTC-USDT"]
    slot = next(n for n in range(slot, slot + 100) if made.trades(instrument, n))
    before = [t.id for n in range(slot - 20, slot) for t in made.trades(instrument, n)]
    burst = [t.id for t in made.burst(instrument, slot * SLOT_NS + 7, 500)]
    after = [t.id for n in range(slot, slot + 20) for t in made.trades(instrument, n)]
    ids = before + burst + after
    assert before
    assert after
    assert ids == sorted(set(ids))


@pytest.mark.parametrize(
    ("id", "symbol", "kind", "size", "inverse"),
    [
        ("BTC-USDT", "BTC/USDT", "spot", "", False),
        ("BTC-USDT-SWAP", "BTC/USDT:USDT", "swap", "0.01", False),
        ("UNI-USD-SWAP", "UNI/USD:UNI", "swap", "10", True),
        ("BTC-USD-220527", "BTC/USD:BTC-220527", "future", "100", True),
    ],
)
def test_okx_ids_are_read(id, symbol, kind, size, inverse):
    """An OKX instrument id tells kind, unified symbol and contract."""
    read = okx_instrument(id)
    assert (read.symbol, read.kind, read.contract_size) == (symbol, kind, size)
    assert read.inverse is inverse


def test_other_ids_are_read():
    """Binance's and Coinbase's names are split into base and quote, or refused."""
    assert binance_instrument("NKNUSDT").symbol == "NKN/USDT"
    assert binance_instrument("RUNEEUR").symbol == "RUNE/EUR"
    assert coinbase_instrument("SKL-GBP").symbol == "SKL/GBP"
    for read, wrong in (
        (binance_instrument, "NKN"),
        (coinbase_instrument, "SKL"),
        (okx_instrument, "BTC"),
    ):
        with pytest.raises(ValueError, match=wrong):
            read(wrong)
