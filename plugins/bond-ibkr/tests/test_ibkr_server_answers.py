"""`/stream`: statuses, defaults, settings, keys and health; and `bond ib`."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import subprocess
import sys
from contextlib import AsyncExitStack

import pytest

from bond_core.testing.manual_clock import ManualClock
from bond_ibkr.config import (
    Address,
    IbkrConfig,
    IbServerConfig,
    ServerLimits,
    address_of,
    limits_of,
)
from bond_ibkr.refusals import refusal_of
from bond_ibkr.server.asking import CHANNELS, Key, Wish, read_wish
from bond_ibkr.server.client import Client
from bond_ibkr.server.command import add_arguments, line_of, said_of
from bond_ibkr.server.streams import Streams
from bond_ibkr.server.upstream import Upstream
from bond_server.auth.keys import parse_keys
from bond_server.parts.host import PartHost

AAPL = 265598
READER, ADMIN = f"bk_reader_{'a' * 43}", f"bk_admins_{'b' * 43}"
DEFAULTS = ServerLimits(max_streams=50, timeout_s=300, reconnect_attempts=3, buffer_size=100)
VARIABLES = {
    "IB_STREAM_MAX_STREAMS": ("7", "max_concurrent_streams"),
    "IB_STREAM_STREAM_TIMEOUT": ("8", "default_timeout"),
    "IB_STREAM_RECONNECT_ATTEMPTS": ("9", "reconnect_attempts"),
    "IB_STREAM_BUFFER_SIZE": ("10", "buffer_size"),
}


def test_the_defaults_are_the_seeds(serving):
    """
    No limit, 300 s, Last, sse, client 2, the four ports, 50 streams, 3 attempts, 100 ticks.
    """

    async def go():
        async with serving() as server:
            return (await server.http.get("/stream/info")).json()

    info = asyncio.run(go())
    assert limits_of(IbServerConfig()) == DEFAULTS
    assert address_of(IbkrConfig(), None) == Address("127.0.0.1", (7497, 7496, 4002, 4001), 2)
    wish = read_wish({"contract_id": str(AAPL)}, {}, timeout_s=DEFAULTS.timeout_s)
    assert wish == Wish(key=Key(AAPL, "Last"), limit=None, timeout_s=300)
    assert {name: each["default"] for name, each in info["parameters"].items()} == {
        "limit": None, "tick_type": "Last", "timeout": 300, "format": "sse"
    }  # fmt: skip
    assert info["limits"] == {
        "max_concurrent_streams": 50, "default_timeout": 300, "reconnect_attempts": 3,
        "buffer_size": 100,
    }  # fmt: skip
    assert list(info["tick_types"]) == list(CHANNELS) == ["Last", "AllLast", "BidAsk", "MidPoint"]
    assert set(info["events"]) == {"info", "tick", "error", "complete"}


def test_the_environment_sets_each(serving, monkeypatch):
    """
    Each variable changes what it says, and nothing else.
    """

    async def go():
        async with serving() as server:
            return (await server.http.get("/stream/info")).json()["limits"]

    for variable, (value, _) in VARIABLES.items():
        monkeypatch.setenv(variable, value)
    assert asyncio.run(go()) == {name: int(value) for value, name in VARIABLES.values()}


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_setting_that_is_none_leaves_the_part_out(serving, monkeypatch, variable):
    """
    The server serves the rest, and `/health` names the variable and what it should be.
    """

    async def go():
        async with serving() as server:
            missing = await server.http.get("/stream/info")
            return (await server.health()), missing, await server.http.get("/v1/streams")

    monkeypatch.setenv(variable, "many")
    health, missing, streams = asyncio.run(go())
    assert health["status"] == "failed"
    assert variable in health["reason"]
    assert (missing.status_code, streams.status_code) == (404, 200)


BAD = {
    "abc": "contract_id", "0": "contract_id", "-1": "contract_id", "99999999999": "contract_id",
    "1.5": "contract_id", f"{AAPL}/last": "Did you mean Last?", f"{AAPL}/Ticks": "tick_type",
    f"{AAPL}?tick_type=bidask": "Did you mean BidAsk?", f"{AAPL}?limit=0": "limit",
    f"{AAPL}?limit=ten": "limit", f"{AAPL}?limit=": "limit", f"{AAPL}?timeout=0": "timeout",
    f"{AAPL}?timeout=86401": "timeout", f"{AAPL}?format=json": "format",
    f"{AAPL}?limits=5": "Did you mean limit?", f"{AAPL}/Last?tick_type=BidAsk": "tick_type",
}  # fmt: skip


def test_what_makes_no_sense_is_400(kit, serving):
    """
    Before anything is asked of TWS; what is wrong stands in the error's object.
    """

    async def go():
        async with kit.tws() as tws, serving(tws) as server:
            answers = {path: await server.http.get(f"/stream/{path}") for path in BAD}
            return answers, tws.dialled

    answers, dialled = asyncio.run(go())
    assert dialled == 0
    for path, answer in answers.items():
        error = answer.json()["error"]
        assert answer.status_code == 400, path
        assert answer.headers["content-type"] == "application/problem+json"
        assert set(error) == {"code", "message", "details"}
        assert error["code"] == "INVALID_PARAMETER"
        assert BAD[path] in error["message"] + error["details"], path


REFUSALS = {
    "unknown": (200, "No security definition has been found", 404, "CONTRACT_NOT_FOUND"),
    "lines": (10190, "Max number of tick-by-tick requests reached", 429, "TWS_LIMIT"),
    "tickers": (101, "Max number of tickers has been reached", 429, "TWS_LIMIT"),
    "unpaid": (354, "Not subscribed to market data", 503, "MARKET_DATA_UNAVAILABLE"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_tws_refuses_is_answered_before_the_first_byte(kit, serving, case):
    """
    By its code as 404, 429 or 503, and the slot is free again.
    """
    code, text, status, word = REFUSALS[case]

    async def go():
        async with kit.tws() as tws, serving(tws) as server:
            tws.refuse(code, text, symbol="AAPL", tick_type="Last")
            answer = await server.http.get(f"/stream/{AAPL}")
            return answer, (await server.health())["active_streams"]

    answer, active = asyncio.run(go())
    body = answer.json()
    assert (answer.status_code, body["status"], body["error"]["code"]) == (status, status, word)
    assert body["docs"] == f"/v1/errors/{word.lower()}"
    assert ("retry-after" in answer.headers) == (status != 404)
    assert active == 0


def test_who_asks_too_often_waits():
    """
    TWS takes one request for a contract in 15 s: it is asked anew, and nobody's stream ends.
    """

    async def go():
        upstream = Upstream(
            Key(AAPL, "Last"), clock=ManualClock(), log=logging.getLogger("test"),
            is_simulated=False, attempts=3,
        )  # fmt: skip
        client = Client(buffer_size=3)
        upstream.clients.add(client)
        settling = asyncio.create_task(upstream.settled())
        upstream.on_status("starting", None)
        upstream.on_notice("waiting", refusal_of(10200, "API pacing violation").reason)
        for _ in range(5):
            await asyncio.sleep(0)
        waits = not settling.done()
        upstream.on_status("live", None)
        return waits, await settling, client

    waits, fault, client = asyncio.run(go())
    (said,) = client.ready(None)[0]
    assert waits
    assert fault is None
    assert client.ending is None
    assert json.loads(said)["data"]["status"] == "waiting"


def test_a_quiet_contract_that_was_asked_for_too_soon_is_had_a_moment_later(
    kit, serving, monkeypatch
):
    """
    TWS takes it at the second try; with no tick yet the stream begins, and isn't told it failed.
    """
    monkeypatch.setattr("bond_ibkr.refusals.SAME_INSTRUMENT_S", 0.2)

    async def go():
        async with kit.tws() as tws, serving(tws) as server:
            tws.refuse(10200, "API pacing violation", symbol="AAPL", tick_type="Last", times=1)
            path = f"/stream/{AAPL}?timeout=1"
            async with server.http.stream("GET", path) as answer:
                lines = [line async for line in answer.aiter_lines() if line.startswith("data:")]
            return answer.status_code, [json.loads(line[5:]) for line in lines]

    status, told = asyncio.run(go())
    assert status == 200
    assert [each["type"] for each in told][-1] == "complete"
    assert "error" not in {each["type"] for each in told}
    (started,) = [each for each in told if each.get("data", {}).get("status") == "started"]
    assert started["data"]["contract"]["symbol"] == "AAPL"


def test_other_messages_that_are_not_read_in_time_are_counted():
    """
    Errors and gaps are few; where they aren't, the oldest go, and that is told.
    """
    client = Client(buffer_size=3)
    for n in range(25):
        client.take_news(b"%d" % n)

    news, _ = client.ready(None)
    assert news[-1] == b"24"
    assert client.told_of_dropped() == (0, 25 - len(news))
    assert client.told_of_dropped() == (0, 0)


def test_what_is_simulated_says_so_in_every_line():
    """
    `bond ib` labels what it says of a stream, too, not only its ticks.
    """
    fault = {"code": "TWS_LIMIT", "message": "no", "details": "more"}
    for body in ({"type": "error", "error": fault},
                 {"type": "complete", "reason": "timeout", "total_ticks": 0},
                 {"type": "info", "data": {"status": "gap", "message": "a hole"}}):  # fmt: skip
        assert said_of(body | {"simulated": True}).endswith(", simulated")
        assert "simulated" not in said_of(body)


def test_a_number_that_is_no_contract_is_404(kit, serving):
    """
    TWS describes none, and the words are the seed's.
    """

    async def go():
        async with kit.tws() as tws, serving(tws) as server:
            return await server.http.get("/stream/999")

    answer = asyncio.run(go())
    assert answer.status_code == 404
    assert answer.json()["error"] == {
        "code": "CONTRACT_NOT_FOUND",
        "message": "Could not find contract with ID 999",
        "details": "Verify contract ID using the contract lookup API",
    }


def test_without_a_tws_it_is_503(serving):
    """
    Nobody listens at its port: the answer says where it was looked for, and when to come again.
    """

    async def go():
        async with serving() as server:
            return await server.http.get(f"/stream/{AAPL}")

    answer = asyncio.run(go())
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert answer.json()["error"]["code"] == "TWS_UNAVAILABLE"
    assert "nothing listens there" in answer.json()["error"]["details"]


def test_more_streams_than_may_be_are_429(kit, serving, monkeypatch):
    """
    One contract and type is one stream however many listen; the next one is refused.
    """

    async def go():
        async with kit.tws(per_s=50.0) as tws, serving(tws) as server, AsyncExitStack() as stack:
            for _ in range(3):
                client = await stack.enter_async_context(server.stream(str(AAPL)))
                await client.next("tick")
            return await server.http.get("/stream/272093")

    monkeypatch.setenv("IB_STREAM_MAX_STREAMS", "1")
    answer = asyncio.run(go())
    body = answer.json()
    assert (answer.status_code, body["error"]["code"]) == (429, "TOO_MANY_STREAMS")
    assert (body["limit"], body["used"]) == (1, 1)
    assert "retry-after" in answer.headers


def test_who_reads_too_slowly_is_told_how_much_it_missed(kit, serving):
    """
    The oldest ticks of a full buffer go; the others come, behind the number of those that went.
    """

    async def go():
        async with kit.tws() as tws, serving(tws) as server:
            host = PartHost(
                clock=server.bond.clock, log=logging.getLogger("test"), config=None,
                is_simulated=False,
                catalog=server.bond.catalog, feeds=server.bond.feeds,
                environ={"IB_STREAM_PORTS": str(tws.port)},
            )  # fmt: skip
            streams = Streams(host, ServerLimits(buffer_size=3))
            waiting = asyncio.create_task(
                streams.listen(Wish(key=Key(AAPL, "Last"), limit=4, timeout_s=None))
            )
            await kit.subscribed(tws, "AAPL")
            tws.trade("AAPL", 100.0, 1)
            listening = await waiting
            for n in range(1, 10):
                tws.trade("AAPL", 100.0 + n, 1)
                await kit.until(lambda n=n: streams.counts()["ticks"] == n + 1)
            told = [*await listening.__anext__(), *await listening.__anext__()]
            tws.trade("AAPL", 110.0, 1)
            told += await listening.__anext__()
            counts = streams.counts()
            await listening.aclose()
            return [json.loads(message) for message in told], counts, streams.counts()

    told, counts, after = asyncio.run(go())
    assert [message["type"] for message in told] == [
        "info", "info", "tick", "tick", "tick", "tick", "complete"
    ]  # fmt: skip
    assert (told[1]["data"]["status"], told[1]["data"]["ticks"]) == ("dropped", 7)
    assert [m["data"]["price"] for m in told[2:6]] == [107.0, 108.0, 109.0, 110.0]
    assert told[6]["total_ticks"] == 4
    assert (counts["dropped"], after["dropped"], after["ticks"]) == (7, 7, 11)


def test_a_burst_is_kept_whole():
    """
    Ticks that come together are all kept by who was not behind, and push out older ones only.
    """
    client = Client(buffer_size=3)
    burst = [b"%d" % n for n in range(10)]
    client.take_ticks(burst)
    whole = client.ready(None)[1]
    client.take_ticks([b"old"])
    client.take_ticks(burst)
    client.end("stopped")
    client.take_ticks([b"late"])

    assert whole == burst
    assert client.ready(4)[1] == burst[:4]
    assert client.ready(None) == ([], burst[4:])
    assert (client.dropped_in_all, client.told_of_dropped(), client.told_of_dropped()) == (
        1, (1, 0), (0, 0),
    )  # fmt: skip


def test_where_keys_are_asked_for_a_key_or_token_opens_it(kit, serving):
    """
    Neither: 401; a key that may read, or the token that it gets: ticks; DELETE takes `admin`.
    """
    keys = parse_keys(f"{READER},{ADMIN}:admin")

    async def go():
        async with (
            kit.tws(per_s=50.0) as tws,
            serving(tws, api_keys=keys) as server,
            AsyncExitStack() as stack,
        ):
            http, path = server.http, f"/stream/{AAPL}"
            reader = {"Authorization": f"Bearer {READER}"}
            statuses = [
                (await http.get(path)).status_code,
                (await http.get(path, params={"token": "1.2"})).status_code,
                (await http.get("/stream/info")).status_code,
                (await http.get("/stream/info", headers=reader)).status_code,
                (await http.post("/stream/token")).status_code,
            ]
            token = (await http.post("/stream/token", headers=reader)).json()["token"]
            heard = []
            for options in ({"headers": reader}, {"params": {"token": token}}):
                client = await stack.enter_async_context(server.stream(str(AAPL), **options))
                heard.append((await client.next("tick"))["type"])
            statuses += [
                (await http.delete(path, headers=reader)).status_code,
                (await http.delete(path, headers={"Authorization": f"Bearer {ADMIN}"})).status_code,
            ]
            return statuses, heard, (await http.get("/health")).status_code

    statuses, heard, health = asyncio.run(go())
    assert statuses == [401, 401, 401, 200, 401, 403, 200]
    assert heard == ["tick", "tick"]
    assert health == 200


def test_health_says_how_tws_does(kit, serving):
    """
    Idle while nobody wants anything of it, connected while it tells something; and it counts.
    """

    async def go():
        async with kit.tws(per_s=50.0) as tws, serving(tws) as server:
            idle = await server.health()
            async with server.stream(AAPL) as client:
                await client.next("tick")
                live = await server.health()
            about = (await server.http.get("/")).json()
            return idle, live, about

    idle, live, about = asyncio.run(go())
    assert idle == {
        "status": "ok", "tws": {"status": "idle", "connected": None}, "simulated": False,
        "active_streams": 0, "max_streams": 50, "clients": 0, "ticks": 0, "dropped": 0,
        "errors": 0,
    }  # fmt: skip
    assert live["tws"] == {"status": "connected", "connected": True}
    assert (live["active_streams"], live["clients"]) == (1, 1)
    assert live["ticks"] > 0
    assert about["parts"]["ibkr.stream"]["info"] == "/stream/info"


def bond_ib(*words, **environ):
    """Run `bond ib` to its end."""
    command = "import sys; from bond_server.cli import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", command, "ib", *words], capture_output=True, text=True,
        timeout=60, check=False, env={**os.environ, **environ},
    )  # fmt: skip


def test_the_command_prints_ticks():
    """
    `--number`, `--type` and `--json` as the seed's command has them; simulated ones say so.
    """
    ran = bond_ib("265598", "--number", "3", "--type", "BidAsk", "--json", "--simulate")
    lines = [json.loads(line) for line in ran.stdout.splitlines()]

    assert ran.returncode == 0, ran.stderr
    assert [line["type"] for line in lines] == ["info", "tick", "tick", "tick", "complete"]
    assert all(line["simulated"] for line in lines)
    assert "SIMULATED" in ran.stderr


def test_the_command_says_what_is_wrong():
    """
    No TWS is 1, with what to start; what is no contract is 2, and so is what is no type.
    """
    away = bond_ib("265598", IB_STREAM_PORTS="1")

    assert away.returncode == 1
    assert "error[tws_unavailable]" in away.stderr
    assert bond_ib("AAPL").returncode == 2
    assert bond_ib("265598", "--type", "Lats").returncode == 2


def test_the_commands_defaults():
    """
    No end, Last, and lines for people: its time, then what the tick has; unknown is a dash.
    """
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args(["265598"])
    at = {"timestamp": "2025-01-15 10:30:00"}
    quote = {"type": "bid_ask", **at, "bid_price": 1.5, "bid_size": 100.0, "ask_price": None,
             "ask_size": None}  # fmt: skip
    trade = {"type": "last", **at, "price": 2.0, "size": 10.0, "exchange": "ARCA",
             "unreported": False}  # fmt: skip

    assert (args.contract, args.number, args.type, args.json) == (AAPL, None, "Last", False)
    assert line_of(quote) == "2025-01-15 10:30:00  bid 1.5 x 100  ask - x -"
    assert line_of(trade) == "2025-01-15 10:30:00  2 x 10  ARCA"
    assert line_of({"type": "midpoint", **at, "mid_point": 1.05}).endswith("midpoint 1.05")
