"""What goes wrong between here and IBKR: seen, named, told what to do, and recovered from."""

from __future__ import annotations

import asyncio
import logging
import socket

import pytest

from bond_core.clock import ManualClock
from bond_ibkr.market import LISTED

TRADES = ("trades", "AAPL")


@pytest.mark.parametrize(
    ("code", "text", "told"),
    [
        (354, "Requested market data is not subscribed.", "Market Data Subscriptions"),
        (10089, "Requested market data requires additional subscription for API.", "for the API"),
        (10090, "Part of requested market data is not subscribed.", "only a part"),
        (10168, "Requested market data is not subscribed. Delayed market data is not enabled.",
         "no market data for it"),
        (10186, "Requested market data is not subscribed.", "no market data for it"),
        (10189, "Failed to request tick-by-tick data. No market data permissions for NYSE STK.",
         "no tick-by-tick data"),
        (203, "The security AAPL is not available or allowed for this account.", "permission"),
    ],
)  # fmt: skip
def test_what_the_account_may_not_have_fails_alone(kit, code, text, told):
    """
    The symbol fails with TWS's words and what to do; the others go on, and it isn't asked again.
    """

    async def go():
        async with kit.tws() as tws:
            tws.refuse(code, text, symbol="AAPL", tick_type="Last")
            async with kit.hearing(TRADES, ("trades", "MSFT"), at=tws.url) as heard:
                reason = await heard.status("failed")
                await kit.subscribed(tws, "MSFT")
                tws.trade("MSFT", 420.0, 5)
                await kit.until(lambda: heard.ears["trades", "MSFT"].events)
                return reason, tws.asked.count(("subscribe", "AAPL", "Last")), tws.dialled

    reason, asked, dialled = asyncio.run(go())
    assert told in reason
    assert str(code) in reason
    assert text.rstrip(".") in reason
    assert (asked, dialled) == (1, 1)


@pytest.mark.parametrize("symbol", ["ZZZZ", "424242"])
def test_a_contract_that_is_not_there_fails_alone(kit, symbol):
    """
    Neither an unknown symbol nor an unknown contract id is ever replaced by another.
    """

    async def go():
        wanted = ("trades", symbol), TRADES
        async with kit.tws() as tws, kit.hearing(*wanted, at=tws.url) as heard:
            reason = await heard.status("failed", symbol=symbol)
            await kit.subscribed(tws, "AAPL")
            return reason

    reason = asyncio.run(go())
    assert "knows no such contract" in reason
    assert "code 200" in reason


def test_a_symbol_of_two_contracts_names_both(kit, monkeypatch):
    """
    What a symbol may be is told by contract ids, and none is chosen for the user.
    """
    import attrs

    from bond_ibkr import tws_client

    (aapl,) = (each for each in LISTED if each.symbol == "AAPL")
    other = attrs.evolve(aapl, con_id=77, primary="MEXI")
    monkeypatch.setattr(tws_client, "LISTED", (*LISTED, other))

    async def go():
        async with kit.tws() as tws, kit.hearing(TRADES, at=tws.url) as heard:
            return await heard.status("failed")

    reason = asyncio.run(go())
    assert "265598 (NASDAQ)" in reason
    assert "77 (MEXI)" in reason


@pytest.mark.parametrize(
    ("code", "text", "told"),
    [
        (10190, "Max number of tick-by-tick requests has been reached.", "quote booster"),
        (322, "Max number of tick-by-tick requests has been reached", "quote booster"),
        (101, "Max number of tickers has been reached.", "market data lines"),
        (420, "Invalid Real-time Query: Historical data request pacing violation", "too often"),
        (10190, "One request for the same instrument within 15 seconds", "too often"),
        (4711, "Something new.", "TWS refuses it"),
    ],
)
def test_what_may_pass_is_asked_for_again(kit, code, text, told):
    """
    A limit fails its symbol for the while, is told, and asked for again, at TWS's pace.
    """

    async def go():
        clock = ManualClock()
        async with kit.tws() as tws:
            tws.refuse(code, text, times=1, tick_type="Last")
            async with kit.hearing(TRADES, at=tws.url, clock=clock) as heard:
                reason = await heard.status("failed")
                await clock.advance(14.0)
                before = tws.asked.count(("subscribe", "AAPL", "Last"))
                async with asyncio.timeout(20):
                    while not tws.lines("AAPL"):
                        await clock.advance(1.0)
                        await asyncio.sleep(0.01)
                tws.trade("AAPL", 230.0, 5, at_s=clock.now_ns() // kit.NS)
                await heard.status("live")
                return reason, before, tws.dialled, heard.ears[TRADES].gaps

    reason, before, dialled, gaps = asyncio.run(go())
    assert told in reason
    assert (before, dialled) == (1, 1)
    assert len(gaps) == 1
    assert "was failed for" in gaps[0].detail


def test_a_contract_that_could_not_be_looked_up_is_looked_up_again(kit):
    """
    What TWS said to the look-up is not kept: it is asked again, as for any other refusal.
    """

    async def go():
        clock = ManualClock()
        async with kit.tws() as tws:
            tws.refuse(4711, "Something new.", tick_type="details", times=1)
            async with kit.hearing(TRADES, at=tws.url, clock=clock) as heard:
                await heard.status("failed")
                async with asyncio.timeout(20):
                    while not tws.lines("AAPL"):
                        await clock.advance(1.0)
                        await asyncio.sleep(0.01)
                return tws.asked.count(("describe", "AAPL", ""))

    assert asyncio.run(go()) == 2


def test_the_sixth_line_is_one_too_many(kit):
    """
    With five lines the sixth tick-by-tick subscription is refused, and real-time bars are not.
    """
    symbols = ["AAPL", "MSFT", "NVDA", "AMZN", "GOOG", "META"]

    async def go():
        wanted = [("trades", symbol) for symbol in symbols]
        every = (*wanted, ("candles", "AAPL"))
        async with kit.tws(lines=5) as tws, kit.hearing(*every, at=tws.url) as heard:
            await kit.until(lambda: len([a for a in tws.asked if a[0] == "subscribe"]) == 7)
            ears = [heard.ears[each] for each in wanted]
            await kit.until(lambda: [ear.status for ear in ears].count("failed") == 1)
            return len(tws.lines("AAPL", "")), [ear.reason for ear in ears if ear.reason]

    bars, (reason,) = asyncio.run(go())
    assert bars == 1
    assert "5 streams" in reason


def test_a_taken_client_id_gives_way_to_the_next(kit):
    """
    Two client ids are in use: the third is gone by, on the same port.
    """

    async def go():
        async with kit.tws() as tws:
            tws.taken |= {2, 3}
            async with kit.hearing(TRADES, at=tws.url) as heard:
                await kit.subscribed(tws, "AAPL")
                await heard.status("starting")
                return [client.number for client in tws.clients], tws.dialled

    assert asyncio.run(go()) == ([4], 3)


def test_without_a_free_client_id_no_other_account_is_taken(kit):
    """
    All ids in use: that is told, and the next port, another account, is not tried.
    """

    async def go():
        async with kit.tws() as paper, kit.tws() as real:
            paper.taken |= set(range(20))
            ports = f"{paper.port},{real.port}"
            async with kit.hearing(TRADES, ports=ports, client_id="5") as heard:
                return await heard.status("reconnecting"), real.dialled

    reason, dialled = asyncio.run(go())
    assert "client ids 5 to 12 are all in use" in reason
    assert "IB_STREAM_CLIENT_ID" in reason
    assert dialled == 0


def test_ports_are_tried_in_order(kit):
    """
    Nothing listens at the first port; of the two that answer the earlier one is taken.
    """

    async def go():
        async with kit.tws() as first, kit.tws() as second:
            ports = f"{unused_port()},{first.port},{second.port}"
            async with kit.hearing(TRADES, ports=ports):
                await kit.subscribed(first, "AAPL")
                return second.dialled

    assert asyncio.run(go()) == 0


def test_without_tws_all_ports_are_named_and_it_is_waited_for(kit):
    """
    What was tried and what to start stands in the reason; once TWS is there, it is heard.
    """

    async def go():
        async with kit.tws() as tws:
            await tws.stop()
            closed = unused_port()
            async with kit.hearing(TRADES, ports=f"{closed},{tws.port}") as heard:
                reason = await heard.status("reconnecting")
                await tws.start()
                await kit.subscribed(tws, "AAPL")
                tws.trade("AAPL", 230.0, 5)
                await heard.status("live")
                return reason, closed, tws.port

    reason, *ports = asyncio.run(go())
    for port in ports:
        assert f"{port} (nothing listens there)" in reason
    assert "Start TWS or IB Gateway" in reason
    assert "Enable ActiveX and Socket Clients" in reason


def test_what_listens_but_is_no_tws_is_told(kit):
    """
    A server that takes the connection and closes it is not TWS, or does not trust this machine.
    """

    async def go():
        async def shut(reader, writer):
            await reader.read(4)
            writer.close()

        async with await asyncio.start_server(shut, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with kit.hearing(TRADES, ports=str(port)) as heard:
                return await heard.status("reconnecting")

    assert "trusted IPs" in asyncio.run(go())


def test_a_server_that_says_nothing_is_left(kit, monkeypatch):
    """
    A port where nobody answers the handshake is given up in its time.
    """
    from bond_ibkr import dialling

    monkeypatch.setattr(dialling, "CONNECT_S", 0.1)

    async def go():
        async def mute(reader, writer):
            await reader.read()
            writer.close()

        async with kit.tws() as tws, await asyncio.start_server(mute, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with kit.hearing(TRADES, ports=f"{port},{tws.port}"):
                await kit.subscribed(tws, "AAPL")

    asyncio.run(go())


def test_a_tws_that_is_too_old_is_fatal(kit):
    """
    A protocol that ib_async doesn't speak is not tried again.
    """

    async def go():
        async with kit.tws(version=100) as tws, kit.hearing(TRADES, at=tws.url) as heard:
            return await heard.status("failed"), tws.dialled

    reason, dialled = asyncio.run(go())
    assert "update TWS" in reason
    assert dialled == 1


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"ports": "7497,paper"}, "IB_STREAM_PORTS"),
        ({"ports": "70000"}, "IB_STREAM_PORTS"),
        ({"ports": " , "}, "IB_STREAM_PORTS"),
        ({"client_id": "-1"}, "IB_STREAM_CLIENT_ID"),
    ],
)
def test_a_setting_that_makes_no_sense_is_fatal(kit, settings, told):
    """
    What the environment has wrong is named, with what would be right.
    """

    async def go():
        async with kit.hearing(TRADES, **settings) as heard:
            return await heard.status("failed")

    reason = asyncio.run(go())
    assert told in reason
    assert "export" in reason


def test_the_nightly_restart_is_survived(kit):
    """
    IBKR goes (1100), TWS goes, both come back: told at each step, one gap, and data again.
    """

    async def go():
        async with kit.tws() as tws, kit.hearing(TRADES, at=tws.url) as heard:
            ear = heard.ears[TRADES]
            await kit.subscribed(tws, "AAPL")
            tws.trade("AAPL", 230.0, 5)
            await heard.status("live")

            tws.is_away = True
            tws.say(1100, "Connectivity between IB and Trader Workstation has been lost.")
            lost = await heard.status("reconnecting")
            # TWS is there, and says that it is on its own.
            await kit.until(lambda: "code 2110" in (ear.reason or ""), lambda: ear.statuses)

            await tws.stop()
            await kit.until(lambda: "nothing listens" in (ear.reason or ""), lambda: ear.statuses)

            tws.is_away = False
            await tws.start()
            await kit.subscribed(tws, "AAPL")
            tws.trade("AAPL", 231.0, 5)
            await heard.status("live")
            await kit.until(lambda: len(ear.events) == 2)
            return lost, ear, tws.lines("AAPL")

    lost, ear, lines = asyncio.run(go())
    assert "lost its connection to IBKR" in lost
    assert [e.price for e in ear.events] == [230.0, 231.0]
    assert len(ear.gaps) == 1
    assert ear.duplicates == 0
    assert len(lines) == 1


def test_data_that_tws_lost_are_asked_for_anew(kit):
    """
    1101: what was subscribed is gone, and is asked for again; 1102: nothing is lost or doubled.
    """

    async def go():
        async with kit.tws() as tws, kit.hearing(TRADES, at=tws.url) as heard:
            await kit.subscribed(tws, "AAPL")
            tws.say(1102, "Connectivity restored - data maintained.")
            tws.trade("AAPL", 230.0, 5)
            await heard.status("live")
            first = tws.asked.count(("subscribe", "AAPL", "Last"))

            tws.say(1101, "Connectivity restored - data lost.")
            await heard.status("reconnecting")
            await kit.subscribed(tws, "AAPL")
            tws.trade("AAPL", 231.0, 5)
            await heard.status("live")
            return first, tws.asked.count(("subscribe", "AAPL", "Last")), heard.ears[TRADES]

    first, then, ear = asyncio.run(go())
    assert (first, then) == (1, 2)
    assert [e.price for e in ear.events] == [230.0, 231.0]


def test_a_broken_connection_is_taken_up_again(kit):
    """
    The socket breaks: told, connected anew, the gap is told, and no tick counts twice.
    """

    async def go():
        async with kit.tws() as tws, kit.hearing(TRADES, at=tws.url) as heard:
            await kit.subscribed(tws, "AAPL")
            tws.trade("AAPL", 230.0, 5)
            await heard.status("live")
            tws.drop()
            reason = await heard.status("reconnecting")
            await kit.subscribed(tws, "AAPL")
            tws.trade("AAPL", 231.0, 5)
            await heard.status("live")
            return reason, heard.ears[TRADES]

    reason, ear = asyncio.run(go())
    assert "TWS closed the connection" in reason
    assert [e.price for e in ear.events] == [230.0, 231.0]
    assert len(ear.gaps) == 1


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (502, "Couldn't connect to TWS."),
        (504, "Not connected"),
        (507, "Bad Message Length (EOF)"),
        (1300, "TWS socket port has been reset and this connection is being dropped."),
    ],
)
def test_what_tws_ends_is_begun_anew(kit, code, text):
    """
    TWS says that the connection is over: told in its words, and connected to anew.
    """

    async def go():
        async with kit.tws() as tws, kit.hearing(TRADES, at=tws.url) as heard:
            await kit.subscribed(tws, "AAPL")
            tws.say(code, text)
            reason = await heard.status("reconnecting")
            await kit.until(lambda: tws.dialled == 2)
            return reason

    assert text.rstrip(".") in asyncio.run(go())


def test_a_tws_that_calls_itself_too_old_is_fatal(kit):
    """
    503 is not tried again.
    """

    async def go():
        async with kit.tws() as tws, kit.hearing(TRADES, at=tws.url) as heard:
            await kit.subscribed(tws, "AAPL")
            tws.say(503, "The TWS is out of date and must be upgraded.")
            return await heard.status("failed")

    assert "update TWS" in asyncio.run(go())


def test_another_session_of_the_user_is_told(kit):
    """
    10197: the data are another session's; that is told, and TWS is left alone for a while.
    """

    async def go():
        clock = ManualClock()
        async with kit.tws() as tws, kit.hearing(TRADES, at=tws.url, clock=clock) as heard:
            await kit.subscribed(tws, "AAPL")
            tws.fail("AAPL", 10197, "No market data during competing live session")
            reason = await heard.status("reconnecting")
            await clock.advance(59.0)
            return reason, tws.dialled

    reason, dialled = asyncio.run(go())
    assert "another session" in reason
    assert dialled == 1


def test_too_many_messages_are_told(kit):
    """
    Error 100 ends the session, which comes back after a pause.
    """

    async def go():
        clock = ManualClock()
        async with kit.tws() as tws, kit.hearing(TRADES, at=tws.url, clock=clock) as heard:
            await kit.subscribed(tws, "AAPL")
            tws.say(100, "Max rate of messages per second has been exceeded")
            reason = await heard.status("reconnecting")
            await clock.advance(9.0)
            before = tws.dialled
            async with asyncio.timeout(20):
                while not tws.lines("AAPL"):
                    await clock.advance(0.5)
                    await asyncio.sleep(0.01)
            return reason, before

    reason, before = asyncio.run(go())
    assert "too many messages" in reason
    assert before == 1


def test_a_hundred_symbols_keep_the_pace(kit):
    """
    TWS hangs up on whoever sends more than 50 messages a second: many subscriptions don't.
    """

    async def go():
        wanted = [(channel, listed.symbol) for listed in LISTED if listed.kind == "STK"
                  and listed.currency == "USD" for channel in ("trades", "quotes", "midpoints",
                                                               "all_trades")]  # fmt: skip
        wanted = [(channel, symbol.replace(" ", ".")) for channel, symbol in wanted]
        async with kit.tws(lines=1000) as tws, kit.hearing(*wanted, at=tws.url):
            subscriptions = lambda: [a for a in tws.asked if a[0] == "subscribe"]  # noqa: E731
            await kit.until(lambda: len(subscriptions()) == len(wanted))
            return tws.dialled, len(wanted)

    dialled, wanted = asyncio.run(go())
    assert dialled == 1
    assert wanted > 50


def test_a_feed_that_freezes_is_stale(kit):
    """
    TWS answers but nothing comes, in trading hours: stale, and asked anew; data make it live.
    """

    async def go():
        async with kit.tws() as tws, kit.hearing(TRADES, at=tws.url, stale_s=0.5) as heard:
            await kit.subscribed(tws, "AAPL")
            tws.trade("AAPL", 230.0, 5)
            await heard.status("live")
            reason = await heard.status("stale")
            ear = heard.ears[TRADES]
            # The connection of before may still be there; and only a new second is progress.
            await kit.until(lambda: tws.trade("AAPL", 231.0, 5) >= 0 and ear.status == "live")
            return reason, ear, tws.dialled

    reason, ear, dialled = asyncio.run(go())
    assert "nothing new on trades" in reason
    assert ear.gaps
    assert dialled > 1


def test_outside_of_trading_hours_silence_is_no_fault(kit):
    """
    The market is closed: its feed is live and beats, for minutes, on one connection, whatever
    else there is on its channel that can't be had.
    """
    closed = "20231115:0900-20231115:2100"  # ManualClock begins on 2023-11-14 at 22:13:20

    async def go():
        clock = ManualClock()
        async with (
            kit.tws(clock=clock, hours=closed) as tws,
            kit.hearing(TRADES, ("trades", "ZZZZ"), at=tws.url, clock=clock) as heard,
        ):
            ear = heard.ears[TRADES]
            await kit.subscribed(tws, "AAPL")
            for _ in range(200):
                await clock.advance(1.5)
                await asyncio.sleep(0.003)
            return ear.statuses, len(ear.heartbeats), tws.dialled

    statuses, beats, dialled = asyncio.run(go())
    assert [status for status, _ in statuses] == ["starting", "live"]
    assert beats > 5
    assert dialled == 1


def test_a_tws_that_hangs_is_left(kit):
    """
    TWS is connected and answers nothing: told after ten seconds.
    """

    async def go():
        clock = ManualClock()
        async with kit.tws() as tws, kit.hearing(TRADES, at=tws.url, clock=clock) as heard:
            await kit.subscribed(tws, "AAPL")
            for client in tws.clients:
                client.hang()
            async with asyncio.timeout(20):
                while heard.ears[TRADES].status != "reconnecting":
                    await clock.advance(0.5)
                    await asyncio.sleep(0.003)
            return heard.ears[TRADES].reason

    assert "does not answer" in asyncio.run(go())


@pytest.mark.parametrize(("ahead_s", "told"), [(60, "s behind"), (-60, "s ahead of")])
def test_a_clock_that_is_off_is_told(kit, ahead_s, told):
    """
    TWS's clock and this machine's differ: told once, with which way, and ticks of the future are
    counted as rejected.
    """

    async def go():
        async with kit.tws(ahead_s=ahead_s) as tws, kit.hearing(TRADES, at=tws.url) as heard:
            ear = heard.ears[TRADES]
            await kit.until(lambda: tws.trade("AAPL", 230.0, 5) and (ear.events or ear.rejected))
            heard.want("quotes", "AAPL")  # whatever else happens on the connection
            await heard.status("live", "quotes")
            return ear

    ear = asyncio.run(go())
    ((code, detail),) = [(notice.code, notice.detail) for notice in ear.notices]
    assert code == "clock_off"
    assert told in detail
    assert bool(ear.rejected) is (ahead_s > 0)


def test_a_data_farm_that_was_away_leaves_a_gap(kit):
    """
    TWS's data farm breaks (2103) and comes back (2104): what lies between is told as a gap.
    """

    async def go():
        async with kit.tws() as tws, kit.hearing(TRADES, at=tws.url) as heard:
            await kit.subscribed(tws, "AAPL")
            tws.say(2103, "Market data farm connection is broken:usfarm")
            tws.say(2104, "Market data farm connection is OK:usfarm")
            ear = heard.ears[TRADES]
            await kit.until(lambda: ear.gaps)
            return ear.gaps[0].detail, tws.dialled

    detail, dialled = asyncio.run(go())
    assert "usfarm" in detail
    assert dialled == 1


def test_what_tws_says_of_itself_is_in_the_log(kit, caplog):
    """
    Also what ends nothing and leaves no gap; that it has lost a server of its own is a warning.
    """
    said = {
        2105: "HMDS data farm connection is broken:ushmds",
        2106: "HMDS data farm connection is OK:ushmds",
        2157: "Sec-def data farm connection is broken:secdefil",
        2169: "This account's market data end in 7 days",
    }

    async def go():
        async with kit.tws() as tws, kit.hearing(TRADES, at=tws.url) as heard:
            await kit.subscribed(tws, "AAPL")
            for code, text in said.items():
                tws.say(code, text)
            await kit.until(lambda: tws.trade("AAPL", 230.0, 5) and heard.ears[TRADES].events)
            return heard.ears[TRADES]

    with caplog.at_level(logging.INFO, logger="bond.connector.ibkr"):
        ear = asyncio.run(go())
    logged = {r.getMessage(): r.levelname for r in caplog.records if "TWS: " in r.getMessage()}
    levels = {2105: "WARNING", 2106: "INFO", 2157: "WARNING", 2169: "INFO"}
    assert (
        logged.items() >= {f"TWS: {t} ({code})": levels[code] for code, t in said.items()}.items()
    )
    assert (ear.gaps, ear.status) == ([], "live")


def test_corrected_bars_are_subscribed_to_again(kit):
    """
    10225 ends a subscription to bars: it is asked for again at once, and nothing fails.
    """

    async def go():
        async with kit.tws() as tws, kit.hearing(("candles", "AAPL"), at=tws.url) as heard:
            await kit.subscribed(tws, "AAPL", "")
            tws.fail("AAPL", 10225, "Bust event occurred, current subscription is deactivated.")
            await kit.subscribed(tws, "AAPL", "")
            tws.bar("AAPL", 1_700_000_000, (1.0, 2.0, 0.5, 1.5), 10)
            await heard.status("live", "candles")
            return [status for status, _ in heard.ears["candles", "AAPL"].statuses]

    assert asyncio.run(go()) == ["starting", "live"]


def unused_port():
    """Return a port where nothing listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
