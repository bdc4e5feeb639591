"""`bond demo`: the whole way on one machine, with no key and no network."""

from __future__ import annotations

import asyncio
import json
import math
import re
import signal

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.journeys.command_line import bond, start


def test_piped_it_prints_a_json_record_a_window():
    """
    Within a few seconds there are records with finite prices, of both venues, all labelled.
    """
    done = bond("demo", "--for", "4s")

    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    priced = [r for r in records if r["price_avg"] is not None]
    assert len(priced) >= 3
    for record in records:
        assert record["symbol"] == "BTC/USDT"
        assert all(source["simulated"] for source in record["sources"].values())
        assert {"binance", "okx"} <= record["sources"].keys()
    for record in priced:
        assert math.isfinite(record["price_avg"])
        assert record["price_low"] <= record["price_avg"] <= record["price_high"]
        assert record["volume_sum"] > 0
    ids = [tuple(map(int, record["id"].split("-"))) for record in records]
    assert ids == sorted(set(ids))
    assert done.stderr.strip() == (
        f"{len(records)} records · late 0 · duplicates 0 · rejected 0 · gaps 0"
    )


def test_as_a_table_it_fits_80_columns_and_says_that_it_is_simulated():
    """
    What was understood, where the data come from and what to try stand on stderr; the table has
    a badge in its head and a mark in each row.
    """
    done = bond("demo", "--for", "3s", "--format", "table", env={"COLUMNS": "80"})

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].strip().startswith("SIMULATED")
    assert lines[1].split()[:5] == ["time", "symbol", "price_avg", "high", "low"]
    rows = [line for line in lines if line.startswith("SIM ")]
    assert len(rows) >= 3
    assert all("BTC/USDT" in row and "binance" in row for row in rows)
    assert max(map(len, lines)) <= 80
    assert "understood  BTC/USDT price + volume every 1s" in done.stderr
    assert "SIMULATED" in done.stderr
    assert 'curl -N "http://127.0.0.1:' in done.stderr
    assert '"ws://127.0.0.1:' in done.stderr


async def one_event(url: str) -> dict:
    """Return the first event that a Server-Sent Events address gives."""
    async with (
        asyncio.timeout(20),
        httpx.AsyncClient(trust_env=False, timeout=20) as client,
        client.stream("GET", url) as answer,
    ):
        async for line in answer.aiter_lines():
            if line.startswith("data:"):
                return json.loads(line.removeprefix("data:"))
    raise AssertionError(f"{answer.status_code}: no event")


async def one_frame(url: str) -> dict:
    """Return the first record that a WebSocket address gives."""
    async with asyncio.timeout(20), connect(url, proxy=None) as socket:
        return json.loads(await socket.recv())


def test_what_it_says_to_try_works_and_ctrl_c_ends_it():
    """
    The addresses it prints give records while it runs; Ctrl-C ends it with a summary and 0.
    """
    with start("demo", "--format", "table") as demo:
        try:
            said = "".join(demo.stderr.readline() for _ in range(5))
            addresses = re.findall(r'"((?:http|ws)://[^"]+)"', said)
            while not demo.stdout.readline().startswith("SIM "):
                assert demo.poll() is None, demo.stderr.read()
            event = asyncio.run(one_event(addresses[0]))
            frame = asyncio.run(one_frame(addresses[1]))
            demo.send_signal(signal.SIGINT)
            _, rest = demo.communicate(timeout=30)
        finally:
            demo.kill()

    assert event["symbol"] == frame["symbol"] == "BTC/USDT"
    assert event["stream_id"] == frame["stream_id"]
    assert demo.returncode == 0, rest
    assert re.search(r"\d+ records · late", rest)
    assert "Traceback" not in rest


def test_it_shows_what_it_is_asked_for():
    """
    A sentence names symbols and fields; each symbol has its record in each window.
    """
    done = bond("demo", "ETH and SOL price, bid and ask every 2s", "--for", "5s")

    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [r["symbol"] for r in records[:4]] == ["ETH/USDT", "SOL/USDT"] * 2
    assert all(r["timeframe"] == "2s" for r in records)
    assert records[-1]["bid_avg"] < records[-1]["ask_avg"]


def test_a_fault_shows_in_the_records():
    """
    Frames that a venue sends twice are counted as duplicates, and the summary adds them up.
    """
    done = bond("demo", "--for", "2s", "--fault", "duplicate:binance/trades/BTCUSDT*1000")

    assert done.returncode == 0, done.stderr
    sources = [json.loads(line)["sources"]["binance"] for line in done.stdout.splitlines()]
    duplicates = sum(source["duplicates"] for source in sources)
    assert duplicates > 0
    assert f"duplicates {duplicates} ·" in done.stderr


WRONG = [
    (["BTC price on kucoin every 1s"], 1, "error[not_simulated]"),
    (["BCT price every 1s"], 1, "error[unknown_symbol]"),
    (["--recording", "no-such-file"], 1, "error[bad_recording]"),
    (["--fault", "explode:binance"], 1, "error[bad_fault]"),
    (["--speed", "max"], 2, "--speed is about a recording"),
    (["--speed", "fast", "--recording", "x"], 2, "a speed is a number above 0, or max"),
    (["--for", "soon"], 2, "a time is written 20s, 10m or 1h30m"),
    (["--format", "xml"], 2, "--format"),
]


@pytest.mark.parametrize(("words", "status", "said"), WRONG, ids=[w[2] for w in WRONG])
def test_what_is_wrong_is_said(words, status, said):
    """
    A mistake is named on stderr, with what would work, and nothing is printed.
    """
    done = bond("demo", *words)

    assert done.returncode == status, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


OKX = "wss://ws.okx.com:8443/ws/v5/public"


def okx_trade(n: int, ms: int) -> str:
    """Return a line of a recording: a trade at `ms`, received 100 ms later."""
    row = {"instId": "BTC-USDT", "tradeId": str(n), "px": f"{100 + n}", "sz": "0.5",
           "side": "buy", "ts": str(ms)}  # fmt: skip
    frame = {"arg": {"channel": "trades", "instId": "BTC-USDT"}, "data": [row]}
    return f"{(ms + 100) / 1000:.3f}: {json.dumps(frame)}"


@pytest.fixture
def small_recording(tmp_path):
    """Return a made recording: a trade every half second, for four seconds."""
    begin_ms = 1_700_000_000_200
    lines = [f"{OKX} <-> {begin_ms / 1000}"]
    lines += [okx_trade(n, begin_ms + 500 * n) for n in range(8)]
    path = tmp_path / "small"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_recording_is_played_at_its_own_times(small_recording):
    """
    Records have the recording's times and its sums, and the demo ends when it ends.
    """
    done = bond("demo", "--recording", str(small_recording), "--format", "json")

    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    by_start = {r["window_start"]: r for r in records}
    first = by_start["2023-11-14T22:13:20Z"]
    assert (first["trades"], first["volume_sum"]) == (2, 1.0)
    assert (first["price_open"], first["price_close"]) == (100.0, 101.0)
    assert first["partial"]
    assert not by_start["2023-11-14T22:13:21Z"]["partial"]
    assert sum(r["trades"] or 0 for r in records) == 8


def test_a_recording_as_a_table_says_that_it_is_played(small_recording):
    """
    The table's head names the file, and each row is marked as not being real.
    """
    done = bond(
        "demo", "--recording", str(small_recording), "--format", "table", "--speed", "20",
        env={"COLUMNS": "80"},
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert done.stdout.lstrip().startswith("PLAYED from small")
    assert "PLAYED      okx from small" in done.stderr
    assert sum(line.startswith("SIM ") for line in done.stdout.splitlines()) >= 4


def test_an_empty_recording_is_refused(tmp_path):
    """
    A file without trades, and a file that is no recording, are refused with a reason.
    """
    empty = tmp_path / "empty"
    empty.write_text("")
    noise = tmp_path / "noise"
    noise.write_text("hello\n")

    for path in (empty, noise):
        done = bond("demo", "--recording", str(path))
        assert done.returncode == 1
        assert "error[bad_recording]" in done.stderr
        assert "Traceback" not in done.stderr
