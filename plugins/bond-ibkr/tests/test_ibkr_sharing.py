"""One connection and one subscription, however many listen; and what is left when they leave."""

from __future__ import annotations

import asyncio

ALL = ("trades", "all_trades", "quotes", "midpoints", "candles")


def test_a_contract_of_two_names_is_one_subscription(kit):
    """
    Who asks by symbol and who asks by contract id share a line, and it stays for who is left.
    """

    async def go():
        wanted = ("trades", "AAPL"), ("trades", "265598")
        async with kit.tws() as tws, kit.hearing(*wanted, at=tws.url) as heard:
            await kit.subscribed(tws, "AAPL")
            ears = [heard.ears[each] for each in wanted]
            await kit.until(lambda: tws.trade("AAPL", 230.0, 5) and all(e.events for e in ears))
            heard.drop("trades", "AAPL")
            heard.want("trades", "MSFT")
            await kit.subscribed(tws, "MSFT")
            before = len(ears[1].events)
            tws.trade("AAPL", 231.0, 5)
            await kit.until(lambda: len(ears[1].events) > before)
            asked = list(tws.asked)
            heard.drop("trades", "265598")
            await kit.until(lambda: ("cancel", "AAPL", "Last") in tws.asked)
            return asked

    asked = asyncio.run(go())
    assert asked.count(("subscribe", "AAPL", "Last")) == 1
    assert ("cancel", "AAPL", "Last") not in asked


def test_every_tick_type_is_a_subscription_of_its_own(kit):
    """
    The five kinds of data of one contract are five requests on one connection, after one look-up.
    """

    async def go():
        async with kit.tws() as tws, kit.hearing(*((c, "AAPL") for c in ALL), at=tws.url):
            await kit.until(lambda: len(tws.lines("AAPL")) == 5, lambda: tws.asked)
            return tws.asked, tws.dialled

    asked, dialled = asyncio.run(go())
    assert dialled == 1
    assert asked.count(("describe", "AAPL", "")) == 1
    assert {a[2] for a in asked if a[0] == "subscribe"} == {
        "Last", "AllLast", "BidAsk", "MidPoint", ""
    }  # fmt: skip


def test_leaving_cancels_every_subscription_and_the_connection(kit):
    """
    Cancelled, the connector takes back each request, disconnects, and leaves no task behind.
    """

    async def go():
        async with kit.tws(per_s=200.0) as tws:
            async with kit.hearing(*((c, "AAPL") for c in ALL), at=tws.url) as heard:
                await kit.until(lambda: len(tws.lines("AAPL")) == 5)
                await kit.until(lambda: len(heard.ears["trades", "AAPL"].events) > 20)
            await kit.until(lambda: not tws.clients)
            return tws.asked

    asked = asyncio.run(go())
    assert {a[2] for a in asked if a[0] == "cancel"} == {
        "Last", "AllLast", "BidAsk", "MidPoint", ""
    }  # fmt: skip


def test_it_may_be_cancelled_while_it_connects(kit):
    """
    Cancelled at any moment of its start, it is gone in time (`hearing` looks) and hangs up.
    """

    async def go():
        async with kit.tws() as tws:
            for pauses in range(0, 60, 3):
                async with kit.hearing(("trades", "AAPL"), at=tws.url):
                    for _ in range(pauses):
                        await asyncio.sleep(0)
            await kit.until(lambda: not tws.clients)

    asyncio.run(go())


def test_what_is_wanted_again_is_asked_for_again(kit):
    """
    A symbol is dropped and wanted anew while another stays: its own request, no new connection.
    """

    async def go():
        wanted = ("trades", "AAPL"), ("trades", "MSFT")
        async with kit.tws() as tws, kit.hearing(*wanted, at=tws.url) as heard:
            await kit.subscribed(tws, "AAPL")
            heard.drop("trades", "AAPL")
            await kit.until(lambda: not tws.lines("AAPL"))
            heard.want("trades", "AAPL")
            await kit.subscribed(tws, "AAPL")
            tws.trade("AAPL", 230.0, 5)
            await heard.status("live")
            return tws.dialled

    assert asyncio.run(go()) == 1


def test_a_quiet_contract_is_live_once_it_was_not_refused(kit):
    """
    TWS confirms nothing: what it has not refused for two seconds stands.
    """

    async def go():
        async with kit.tws() as tws, kit.hearing(("trades", "AAPL"), at=tws.url) as heard:
            await heard.status("live")
            return tws.asked

    assert ("subscribe", "AAPL", "Last") in asyncio.run(go())
