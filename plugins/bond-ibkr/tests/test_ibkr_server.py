"""`/stream`: what clients are sent, and that one upstream serves them all."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

AAPL = 265598
S = 1_795_000_000
CONTRACT = {
    "symbol": "AAPL", "type": "STK", "exchange": "SMART", "primary_exchange": "NASDAQ",
    "currency": "USD", "size_unit": "units",
}  # fmt: skip
AT = {"timestamp": "2026-11-18 11:06:40", "unix_time": S}
PAYLOADS = {
    "Last": {
        "type": "last", **AT, "price": 230.5, "size": 100.0, "exchange": "ARCA",
        "special_conditions": "", "past_limit": False, "unreported": False,
    },
    "AllLast": {
        "type": "all_last", **AT, "price": 230.5, "size": 100.0, "exchange": "ARCA",
        "special_conditions": "", "past_limit": True, "unreported": True,
    },
    "BidAsk": {
        "type": "bid_ask", **AT, "bid_price": 175.25, "ask_price": 175.26, "bid_size": 100.0,
        "ask_size": 200.0, "bid_past_low": False, "ask_past_high": False,
    },
    "MidPoint": {"type": "midpoint", **AT, "mid_point": 175.255},
}  # fmt: skip


def say(tws, tick_type, symbol="AAPL", at_s=S):
    """Let TWS tell the tick of PAYLOADS."""
    match tick_type:
        case "Last":
            tws.trade(symbol, 230.5, 100, at_s=at_s, exchange="ARCA")
        case "AllLast":
            tws.trade(
                symbol, 230.5, 100, at_s=at_s, exchange="ARCA", unreported=True, past_limit=True
            )
        case "BidAsk":
            tws.quote(symbol, 175.25, 175.26, 100, 200, at_s=at_s)
        case "MidPoint":
            tws.midpoint(symbol, 175.255, at_s=at_s)


async def started(kit, tws, stack, server, path, symbol="AAPL", tick_type="Last", **options):
    """Be a client of a stream that has begun: TWS gives it once it has said something."""
    entering = asyncio.create_task(stack.enter_async_context(server.stream(path, **options)))
    await kit.subscribed(tws, symbol, tick_type)
    say(tws, tick_type, symbol)
    return await entering


@pytest.mark.parametrize("tick_type", PAYLOADS)
def test_a_tick_is_what_the_seed_says(kit, serving, tick_type):
    """
    Each of the four types, the info before it and the complete after it, to the last key.
    """

    async def go():
        async with kit.tws() as tws, serving(tws) as server, AsyncExitStack() as stack:
            client = await started(
                kit, tws, stack, server, f"{AAPL}/{tick_type}?limit=2", tick_type=tick_type
            )
            say(tws, tick_type)
            await client.next("complete")
            return client.heard, client.answer.headers

    heard, headers = asyncio.run(go())
    assert headers["content-type"].startswith("text/event-stream")
    assert "bond-simulated" not in headers
    stamps = [message.pop("timestamp") for message in heard]
    assert all(len(stamp) == 24 and stamp.endswith("Z") for stamp in stamps)
    tick = {"type": "tick", "contract_id": AAPL, "data": PAYLOADS[tick_type]}
    info = {
        "status": "started", "tick_type": tick_type, "limit": 2, "timeout": 300,
        "source": "ibkr", "simulated": False, "contract": CONTRACT,
    }  # fmt: skip
    assert heard == [
        {"type": "info", "contract_id": AAPL, "data": info},
        tick,
        tick,
        {"type": "complete", "contract_id": AAPL, "reason": "limit_reached", "total_ticks": 2},
    ]


def test_what_nobody_offers_is_null(kit, serving):
    """
    A side without an offer has no price and no size, and prices in pence are in pounds.
    """

    async def go():
        async with kit.tws() as tws, serving(tws) as server, AsyncExitStack() as stack:
            entering = asyncio.create_task(
                stack.enter_async_context(server.stream("900001/BidAsk"))
            )
            await kit.subscribed(tws, "VOD", "BidAsk")
            tws.quote("VOD", 72.5, -1, 100, 0)
            return (await (await entering).next("tick"))["data"]

    data = asyncio.run(go())
    assert (data["bid_price"], data["bid_size"]) == (0.725, 100.0)
    assert (data["ask_price"], data["ask_size"]) == (None, None)


def test_fifty_clients_cost_one_upstream(kit, serving):
    """
    All hear every tick, TWS was asked once, and is told to stop when the last one leaves.
    """

    async def go():
        async with kit.tws() as tws, serving(tws) as server:
            async with AsyncExitStack() as stack:
                first = await started(kit, tws, stack, server, str(AAPL))
                others = await asyncio.gather(
                    *(stack.enter_async_context(server.stream(str(AAPL))) for _ in range(49))
                )
                clients = [first, *others]
                await asyncio.gather(*(client.next("info") for client in clients))
                for n in range(20):
                    tws.trade("AAPL", 300.0 + n, 1)
                last = [c.until(lambda m: m.get("data", {}).get("price") == 319.0) for c in clients]
                await asyncio.gather(*last)
                health = await server.health()
                lines = len(tws.lines("AAPL"))
            await kit.until(lambda: ("cancel", "AAPL", "Last") in tws.asked)
            return clients, health, lines, tws.asked, tws.dialled

    clients, health, lines, asked, dialled = asyncio.run(go())
    prices = [[m["data"]["price"] for m in c.heard if m["type"] == "tick"][-20:] for c in clients]
    assert prices == [[300.0 + n for n in range(20)]] * 50
    assert asked.count(("subscribe", "AAPL", "Last")) == lines == dialled == 1
    assert (health["active_streams"], health["clients"]) == (1, 50)


def test_a_stream_of_bond_shares_the_subscription(kit, serving):
    """
    A record stream of AAPL and clients of its contract id: one connection, one subscription.
    """

    async def go():
        async with kit.tws() as tws, serving(tws) as server, AsyncExitStack() as stack:
            source = {"type": "ibkr", "event_types": ["Last"]}
            body = {"spec": {"sources": [source], "symbols": ["AAPL"], "interval_sec": 1}}
            created = await server.http.post("/v1/streams", json=body)
            assert created.status_code == 201, created.text
            client = await started(kit, tws, stack, server, str(AAPL))
            await client.next("tick")
            return tws.asked, tws.dialled

    asked, dialled = asyncio.run(go())
    assert (asked.count(("subscribe", "AAPL", "Last")), dialled) == (1, 1)


def test_who_leaves_takes_nobody_along(kit, serving):
    """
    One of two clients hangs up; the other one's ticks go on.
    """

    async def go():
        async with kit.tws() as tws, serving(tws) as server, AsyncExitStack() as stack:
            stays = await started(kit, tws, stack, server, str(AAPL))
            async with server.stream(str(AAPL)) as leaves:
                await leaves.next("info")
            while (await server.health())["clients"] > 1:  # noqa: ASYNC110 -- nothing tells
                await asyncio.sleep(0.01)
            tws.trade("AAPL", 500.0, 1)
            await stays.until(lambda m: m.get("data", {}).get("price") == 500.0)
            return list(tws.asked)

    assert ("cancel", "AAPL", "Last") not in asyncio.run(go())


def test_a_stream_ends_when_its_time_is_over(kit, serving):
    """
    `timeout` counts from the start, whatever comes; the last message says so, and how many came.
    """

    async def go():
        async with kit.tws() as tws, serving(tws) as server, AsyncExitStack() as stack:
            client = await started(kit, tws, stack, server, f"{AAPL}?timeout=1")
            done = await client.next("complete")
            await kit.until(lambda: ("cancel", "AAPL", "Last") in tws.asked)
            return done

    done = asyncio.run(go())
    assert (done["reason"], done["total_ticks"]) == ("timeout", 1)


def test_a_drop_is_told_and_mended(kit, serving):
    """
    TWS breaks the connection: an error, then word that it is back, and ticks again.
    """

    async def go():
        async with kit.tws() as tws, serving(tws) as server, AsyncExitStack() as stack:
            client = await started(kit, tws, stack, server, str(AAPL))
            await client.next("tick")
            tws.drop()
            error = (await client.next("error"))["error"]
            down = (await server.health())["tws"]
            await kit.subscribed(tws, "AAPL")
            tws.trade("AAPL", 400.0, 1)
            back = await client.until(lambda m: m.get("data", {}).get("status") == "reconnected")
            await client.until(lambda m: m.get("data", {}).get("price") == 400.0)
            return error, down, back, (await server.health())["tws"], client.heard

    error, down, back, up, heard = asyncio.run(go())
    assert error["code"] == "TWS_DISCONNECTED"
    assert set(error) == {"code", "message", "details"}
    assert down == {"status": "disconnected", "connected": False}
    assert up == {"status": "connected", "connected": True}
    assert back["type"] == "info"
    assert any(m.get("data", {}).get("status") == "gap" for m in heard)


def test_a_tws_that_stays_away_ends_streams(kit, serving):
    """
    After three attempts: an error that says so, and complete; and a new client is told 503.
    """

    async def go():
        async with kit.tws() as tws, serving(tws) as server, AsyncExitStack() as stack:
            client = await started(kit, tws, stack, server, str(AAPL))
            await tws.stop()
            await client.next("error")
            refused = await server.http.get(f"/stream/{AAPL}")
            done = await client.next("complete")
            return client.heard, refused, done

    heard, refused, done = asyncio.run(go())
    codes = [message["error"]["code"] for message in heard if message["type"] == "error"]
    assert codes == ["TWS_DISCONNECTED", "TWS_UNAVAILABLE"]
    assert "3 attempts" in heard[-2]["error"]["details"]
    assert done["reason"] == "error"
    assert refused.status_code == 503


def test_streams_are_stopped_for_all(kit, serving):
    """
    DELETE of a contract, of one type of it, and of all: their clients are told `stopped`.
    """

    async def go():
        async with kit.tws() as tws, serving(tws) as server, AsyncExitStack() as stack:
            wanted = [("AAPL", AAPL, "Last"), ("AAPL", AAPL, "BidAsk"), ("MSFT", 272093, "Last"),
                      ("IBM", 8314, "Last")]  # fmt: skip
            clients = [
                await started(kit, tws, stack, server, f"{con_id}/{kind}", symbol, kind)
                for symbol, con_id, kind in wanted
            ]
            active = (await server.http.get("/stream/active")).json()
            said = []
            for path, ends in (
                (f"/stream/{AAPL}/BidAsk", [1]), (f"/stream/{AAPL}", [0]), ("/stream/all", [2, 3]),
            ):  # fmt: skip
                said.append((await server.http.delete(path)).json())
                said += [(await clients[n].next("complete"))["reason"] for n in ends]
            await kit.until(lambda: not any(client.lines for client in tws.clients))
            nothing = await server.http.delete(f"/stream/{AAPL}")
            return active, said, nothing, (await server.http.get("/stream/active")).json()

    active, said, nothing, left = asyncio.run(go())
    assert [(s["contract_id"], s["tick_type"]) for s in active["streams"]] == [
        (8314, "Last"), (AAPL, "BidAsk"), (AAPL, "Last"), (272093, "Last")
    ]  # fmt: skip
    assert active["streams"][0].keys() >= {"clients", "ticks", "status"}
    assert said == [
        {"stopped": [{"contract_id": AAPL, "tick_type": "BidAsk"}], "clients": 1}, "stopped",
        {"stopped": [{"contract_id": AAPL, "tick_type": "Last"}], "clients": 1}, "stopped",
        {"stopped": [{"contract_id": 8314, "tick_type": "Last"},
                     {"contract_id": 272093, "tick_type": "Last"}], "clients": 2},
        "stopped", "stopped",
    ]  # fmt: skip
    assert (nothing.status_code, nothing.json()["error"]["code"]) == (404, "STREAM_NOT_FOUND")
    assert left["streams"] == []


def test_simulated_data_is_labelled_everywhere(serving):
    """
    In a header, in the info, in each message, in `/`, `/health`, info and active.
    """

    async def go():
        async with serving(simulate=True) as server:
            async with server.stream(f"{AAPL}?limit=2") as client:
                active = (await server.http.get("/stream/active")).json()
                await client.next("complete")
            pages = [
                (await server.http.get("/")).json()["parts"]["ibkr.stream"],
                await server.health(), (await server.http.get("/stream/info")).json(), active,
            ]  # fmt: skip
            return client, pages

    client, pages = asyncio.run(go())
    assert client.answer.headers["bond-simulated"] == "true"
    assert client.heard[0]["data"]["simulated"] is True
    assert [message["simulated"] for message in client.heard] == [True] * 4
    assert [page["simulated"] for page in pages] == [True] * 4
