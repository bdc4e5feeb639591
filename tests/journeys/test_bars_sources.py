"""What a stream manager makes of sources that differ: by symbol, by exchange, by a server."""

from __future__ import annotations

import asyncio

import attrs
import pytest

from bond_core.clock import NS
from bond_core.testing.virtual_clock import VirtualClock
from ekko.bars import StreamManagerConfig
from ekko.bars import hearing as hearing_of
from ekko.bars.hearing import Trade, hear_from_server
from ekko.bars.inbox import Inbox
from ekko.bars.market import Market
from ekko.bars.specs import specs_of
from ekko.errors import StreamError
from tests.journeys.spoken_venue import T0

BTC, ETH = "BTC/USDT", "ETH/USDT"


@attrs.define
class Wall:
    """A clock that is set by hand."""

    at_ns: int = T0

    def now_ns(self) -> int:
        """Return the time that was set."""
        return self.at_ns


def market_of(*exchanges, clock):
    """Return a market of two symbols, and where it leaves what is to be told."""
    inbox = Inbox(100)
    config = StreamManagerConfig(exchanges=exchanges)
    made = Market(
        config, [BTC, ETH], inbox=inbox, clock=clock, tick_callbacks=[], adds_up=True
    )  # fmt: skip
    return made, inbox


def told(inbox):
    """Return what was told of sources: status and count."""
    items = iter(inbox.take, None)
    return [(item.argument.data.status, item.argument.data.count) for item in items]


def trade_at(at_ns, symbol=BTC):
    """Return a trade that is heard when it happens."""
    return Trade(symbol, at_ns, 100.0, 1.0, "buy", None, at_ns)


def hear(monkeypatch, listener, *, bars=None, raw=None):
    """Hear what a server sends in its two streams until it ends one; returns what is raised."""

    async def sends(items):
        for item in () if items is None else items:
            yield item
        if items is None:
            await asyncio.Event().wait()

    class Client:
        def __init__(self, *_, **__):
            pass

        async def explain(self, spec):
            pass

        def listen(self, spec):
            return sends(raw if "mode" in spec else bars)

    async def bounded():
        async with asyncio.timeout(10):
            await hear_from_server(
                spec, listener, lambda: None, config=config, api_url="http://localhost",
                api_key=None, clock=VirtualClock(T0),
            )  # fmt: skip

    monkeypatch.setattr(hearing_of, "EkkoClient", Client)
    config = StreamManagerConfig()
    (spec,) = specs_of(config, [BTC, ETH], [], simulate=False)
    with pytest.raises(ExceptionGroup) as raised:
        asyncio.run(bounded())
    (error,) = raised.value.exceptions
    return error


def status(worst, reason=None, **more):
    """Return a status item of a server with one source."""
    return {"kind": "status", "sources": {"binance": {"status": worst, "reason": reason, **more}}}


def test_a_symbol_that_does_well_beside_one_that_is_down_is_left_alone(monkeypatch):
    """
    The server says the worst status and who does otherwise, again and again: nothing came back.
    """
    clock = Wall()
    market, inbox = market_of("binance", clock=clock)

    def items():
        for _ in range(5):
            yield status("failed", "no such symbol", symbols={BTC: "live"})
            clock.at_ns += 15 * NS

    hear(monkeypatch, market, raw=items())
    market.on_trades("binance", [trade_at(clock.at_ns)])

    assert told(inbox) == [("failed", 0)]
    assert market.counts["reconnects"] == 0
    assert market.current(BTC, "1m").partial is False


def test_a_symbol_that_a_server_leaves_open_stays_as_it_was(monkeypatch):
    """
    Beside `other_symbols` nobody knows which ones do otherwise.
    """
    market, inbox = market_of("binance", clock=Wall())
    items = [status("live"), status("failed", "gone", symbols={ETH: "live"}, other_symbols=7)]

    hear(monkeypatch, market, raw=items)

    assert told(inbox) == []
    assert market.health.report()["binance"]["status"] == "live"


@pytest.mark.parametrize("which", ["bars", "raw"])
def test_a_server_that_ends_one_of_the_two_streams_is_told(monkeypatch, which):
    """
    Bars without ticks, or ticks without bars, would look as if all were well.
    """
    market, _ = market_of("binance", clock=Wall())

    error = hear(monkeypatch, market, **{which: ()})

    assert isinstance(error, StreamError)
    assert "the server ended it" in str(error)


def test_the_bar_that_is_being_built_is_whole_only_once_every_exchange_is_heard():
    """
    One that is heard since the middle of a bar, or is down, leaves it partial.
    """
    clock = Wall()
    market, _ = market_of("binance", "okx", clock=clock)
    partial = []

    def at(s, **statuses):
        clock.at_ns = T0 + s * NS
        for source, now in statuses.items():
            market.on_status(source, BTC, now, None)
        market.on_trades("binance", [trade_at(clock.at_ns)])
        partial.append(market.current(BTC, "1m").partial)

    at(-5, binance="starting", okx="starting")
    at(-4, binance="live")
    at(30, okx="live")  # half of it lacks okx
    at(61)
    at(90, okx="reconnecting", binance="stale")
    at(91, binance="live")
    at(121)  # okx is still away
    at(130, okx="live")
    at(181)

    assert partial == [True, True, True, False, True, True, True, True, False]


def test_a_symbol_that_begins_is_no_source_that_came_back():
    """
    ETH was given up: BTC's first time live says nothing of that, and the reason stays.
    """
    market, inbox = market_of("binance", clock=Wall())

    market.on_status("binance", ETH, "failed", "no such symbol")
    market.on_status("binance", BTC, "live", None)
    (given_up,) = (item.argument.data for item in iter(inbox.take, None))
    assert (given_up.status, given_up.symbol) == ("failed", ETH)
    assert market.health.report()["binance"]["reason"] == "no such symbol"

    market.on_status("binance", BTC, "reconnecting", "hung up")
    market.on_status("binance", BTC, "live", None)
    assert told(inbox) == [("live", 1)]


def test_a_source_is_back_once_all_its_symbols_are():
    """
    Two that went away and came back are one reconnect.
    """
    market, inbox = market_of("binance", clock=Wall())

    for now in ("live", "reconnecting", "starting", "live"):
        for symbol in (BTC, ETH):
            market.on_status("binance", symbol, now, "hung up" if now == "reconnecting" else None)

    events = [item.argument.data for item in iter(inbox.take, None)]
    assert [(event.status, event.count, event.reason) for event in events] == [
        ("live", 1, "hung up")
    ]
    assert market.health.report()["binance"]["reason"] is None
