"""What TWS says, and the events that are made of it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from bond_ibkr.contracts import choose
from bond_ibkr.wire import frame

S = 1_700_000_000  # some second


def heard_of(kit, channel, symbol, act, n=1, **options):
    """Return the events of one subscription after `act(tws)`, and its ear."""

    async def go():
        async with kit.tws(**options) as tws, kit.hearing((channel, symbol), at=tws.url) as heard:
            name = {"265598": "AAPL", "12087792": "EUR", "900001": "VOD", "900002": "ES",
                    "BRK.B": "BRK B"}.get(symbol, symbol)  # fmt: skip
            await kit.until(lambda: tws.lines(name))
            act(tws)
            ear = heard.ears[channel, symbol]
            await kit.until(lambda: len(ear.events) >= n, lambda: (ear.statuses, ear.rejected))
            return ear

    return asyncio.run(go())


def test_a_trade_has_the_second_of_tws_and_shares(kit):
    """
    Price and size are as sent, the time is the second that TWS tells, and there is no id.
    """

    def act(tws):
        tws.trade("AAPL", 230.11, 37, at_s=S, exchange="ARCA")

    (trade,) = heard_of(kit, "trades", "AAPL", act).events

    assert (trade.symbol, trade.ts, trade.price, trade.size) == ("AAPL", S * kit.NS, 230.11, 37.0)
    assert (trade.id, trade.side, trade.venue, trade.size_unit) == (None, None, "ARCA", None)
    assert trade.recv_ts > trade.ts


def test_trades_of_one_second_keep_their_order(kit):
    """
    Equal times are told apart by `seq`, which rises as they were sent.
    """

    def act(tws):
        for price in (3.0, 1.0, 2.0):
            tws.trade("AAPL", price, 1, at_s=S)

    events = heard_of(kit, "trades", "AAPL", act, n=3).events

    assert [e.price for e in sorted(events, key=lambda e: (e.ts, e.seq))] == [3.0, 1.0, 2.0]


def test_the_same_trade_twice_is_two(kit):
    """
    Two equal trades in one second count twice: without ids nobody could call one a repeat.
    """

    def act(tws):
        tws.trade("AAPL", 230.0, 100, at_s=S)
        tws.trade("AAPL", 230.0, 100, at_s=S)

    ear = heard_of(kit, "trades", "AAPL", act, n=2)

    assert len(ear.events) == 2
    assert ear.duplicates == 0


@pytest.mark.parametrize("flags", [{"unreported": True}, {"past_limit": True}])
def test_what_sets_no_price_has_none(kit, flags):
    """
    An unreported trade, or one past its limit, has its size and no price.
    """

    def act(tws):
        tws.trade("AAPL", 999.0, 7, at_s=S, **flags)
        tws.trade("AAPL", 230.0, 100, at_s=S)

    ear = heard_of(kit, "all_trades", "AAPL", act, n=2)

    assert [(e.price, e.size) for e in ear.events] == [(None, 7.0), (230.0, 100.0)]
    assert ear.rejected == {}


def test_a_quote_without_a_side_leaves_it_unknown(kit):
    """
    A price of 0 or -1 means that nobody offers, and is never taken for a price.
    """

    def act(tws):
        tws.quote("AAPL", 230.0, 230.02, 300, 200, at_s=S)
        tws.quote("AAPL", 0.0, 230.02, 0, 200, at_s=S)
        tws.quote("AAPL", 230.0, -1.0, 300, 0, at_s=S)

    events = heard_of(kit, "quotes", "AAPL", act, n=3).events

    assert [(q.bid, q.ask, q.bid_size, q.ask_size) for q in events] == [
        (230.0, 230.02, 300.0, 200.0),
        (None, 230.02, None, 200.0),
        (230.0, None, 300.0, None),
    ]
    assert {q.ts for q in events} == {S * kit.NS}


def test_a_midpoint_is_a_sample_of_the_price(kit):
    """
    MidPoint brings a price without bid, ask and size.
    """
    ear = heard_of(kit, "midpoints", "AAPL", lambda tws: tws.midpoint("AAPL", 230.005, at_s=S))

    (quote,) = ear.events
    assert (quote.last, quote.bid, quote.ask, quote.ts) == (230.005, None, None, S * kit.NS)


def test_a_bar_is_a_candle_of_five_seconds(kit):
    """
    A real-time bar begins at the time that TWS tells.
    """

    def act(tws):
        tws.bar("AAPL", S, (230.0, 231.0, 229.5, 230.5), 1200)

    (candle,) = heard_of(kit, "candles", "AAPL", act).events

    assert (candle.open, candle.high, candle.low, candle.close) == (230.0, 231.0, 229.5, 230.5)
    assert (candle.volume, candle.length_ns, candle.start_ts) == (1200.0, 5 * kit.NS, S * kit.NS)


def test_a_contract_goes_by_its_id_too(kit):
    """
    A number is a contract id, and the events keep it as their symbol.
    """
    ear = heard_of(kit, "trades", "265598", lambda tws: tws.trade("AAPL", 230.0, 5, at_s=S))

    assert [(e.symbol, e.price) for e in ear.events] == [("265598", 230.0)]


def test_a_share_class_is_written_as_tws_has_it(kit):
    """
    `BRK.B` is `BRK B` to TWS.
    """
    ear = heard_of(kit, "trades", "BRK.B", lambda tws: tws.trade("BRK B", 460.0, 5, at_s=S))

    assert [e.symbol for e in ear.events] == ["BRK.B"]


def test_a_contract_at_several_exchanges_is_asked_for_at_smart():
    """
    One contract, described once for each exchange, is one, and SMART is where it is asked for.
    """
    found = [
        SimpleNamespace(
            contract=SimpleNamespace(conId=7, exchange=exchange, secType="STK"), priceMagnifier=0,
            tradingHours="", timeZoneId="",
        )
        for exchange in ("NASDAQ", "SMART", "ARCA")
    ]  # fmt: skip

    listed = choose("X", found)

    assert (listed.contract.exchange, listed.magnifier) == ("SMART", 1)
    assert choose("X", found[:1]).contract.exchange == "NASDAQ"
    assert "name a contract id" in choose("X", []).reason


def test_pence_become_pounds(kit):
    """
    Prices are in the contract's currency where TWS tells them magnified.
    """

    def act(tws):
        tws.trade("VOD", 72.5, 1000, at_s=S)

    (trade,) = heard_of(kit, "trades", "900001", act).events

    assert (trade.price, trade.size, trade.size_unit) == (0.725, 1000.0, None)


def test_a_future_counts_contracts(kit):
    """
    Sizes that are no shares say so, and a quote's are unknown.
    """
    ear = heard_of(kit, "trades", "900002", lambda tws: tws.trade("ES", 5900.25, 3, at_s=S))
    assert [(e.size, e.size_unit) for e in ear.events] == [(3.0, "contracts")]

    ear = heard_of(kit, "quotes", "900002", lambda tws: tws.quote("ES", 5900.0, 5900.25, at_s=S))
    assert [(e.bid, e.bid_size) for e in ear.events] == [(5900.0, None)]


def test_what_cannot_be_read_is_counted_and_survived(kit):
    """
    A tick that is none is told as rejected; the next one is heard on the same connection.
    """

    async def go():
        async with kit.tws() as tws, kit.hearing(("trades", "AAPL"), at=tws.url) as heard:
            await kit.subscribed(tws, "AAPL")
            tws.garble("AAPL")
            tws.trade("AAPL", 230.0, 100)
            ear = heard.ears["trades", "AAPL"]
            await kit.until(lambda: ear.events)
            return ear.rejected, tws.dialled

    assert asyncio.run(go()) == ({"a message of TWS can't be read": 1}, 1)


def test_what_concerns_orders_is_none_of_our_business(kit):
    """
    TWS tells of an execution of the same client id: nothing is rejected for it.
    """

    def act(tws):
        for client in tws.clients:
            client.writer.write(frame(59, 1, "0001", 1.0, "USD", 0, 0, ""))  # a commission
        tws.trade("AAPL", 230.0, 5, at_s=S)

    assert heard_of(kit, "trades", "AAPL", act).rejected == {}


def test_thousands_of_ticks_in_one_go_all_arrive(kit):
    """
    A burst is taken whole and in order.
    """

    def act(tws):
        for n in range(5000):
            tws.trade("AAPL", 200.0 + n / 100, 1, at_s=S)

    events = heard_of(kit, "trades", "AAPL", act, n=5000).events

    assert [e.price for e in events] == [200.0 + n / 100 for n in range(5000)]
