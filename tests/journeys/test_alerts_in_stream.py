"""From a sentence to records held back and alerts told, over a server's WebSocket and in sinks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.journeys.command_line import bond, serving

PATIENCE_S = 30.0
Record = dict[str, Any]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Return the address of a simulating server."""
    with serving(tmp_path_factory.mktemp("server")) as address:
        yield address


def listened(
    server: str, sentence: str, done: Callable[[Record], bool]
) -> tuple[dict[str, Any], list[Record], dict[str, Any]]:
    """Ask for a sentence's stream; return the answer, its records until one fits, its metrics."""

    async def run() -> tuple[dict[str, Any], list[Record], dict[str, Any]]:
        records: list[Record] = []
        async with (
            asyncio.timeout(PATIENCE_S),
            httpx.AsyncClient(base_url=server, trust_env=False, timeout=PATIENCE_S) as http,
        ):
            answer = await http.post("/v1/streams", json={"natural_language": sentence})
            assert answer.status_code == 201, answer.text
            created = answer.json()
            async with connect(created["ws_url"] + "&after=0-0", proxy=None) as socket:
                while not (records and done(records[-1])):
                    records.append(json.loads(await socket.recv()))
            shown = await http.get(f"/v1/streams/{created['stream_id']}/metrics")
            await http.delete(f"/v1/streams/{created['stream_id']}")
        return created, records, shown.json()

    return asyncio.run(run())


def told(records: list[Record]) -> list[tuple[str, str, str]]:
    """Return the alerts in records: of what symbol, how, and which."""
    return [
        (record["symbol"], notice["code"], notice["alert"])
        for record in records
        for notice in record["notices"]
        if notice["code"].startswith("alert")
    ]


def tells(code: str) -> Callable[[Record], bool]:
    """Return what looks for a record with a notice."""
    return lambda record: any(notice["code"] == code for notice in record["notices"])


def test_an_alert_of_a_sentence_comes_with_the_record_it_is_about(server: str) -> None:
    """
    It comes, is over and comes again, each time in turn; the stream's metrics count it.
    """
    sentence = "BTC trades every 100ms on binance, alert me when trades > 0"
    seen: list[Record] = []

    def is_enough(record: Record) -> bool:
        seen.append(record)
        return len(told(seen)) >= 3

    _, records, metrics = listened(server, sentence, is_enough)

    assert [code for _, code, _ in told(records)][:3] == ["alert", "alert_resolved", "alert"]
    assert {which for _, _, which in told(records)} == {"trades > 0"}
    for record in records:
        if tells("alert")(record):
            assert record["trades"] > 0
        if tells("alert_resolved")(record):
            assert record["trades"] == 0
    assert metrics["alerts"] >= 2


def test_an_alert_about_one_symbol_is_told_of_no_other(server: str) -> None:
    """
    Of `BTC above … or ETH below …` each looks at its own.
    """
    sentence = (
        "BTC and ETH price every 500ms on binance, alert me when BTC is above 1k or ETH is below 1"
    )
    _, records, _ = listened(server, sentence, tells("alert"))

    assert told(records) == [("BTC/USDT", "alert", "price_avg > 1000")]


def test_a_filter_of_a_sentence_holds_back_what_does_not_pass(server: str) -> None:
    """
    And lets through what an alert has to tell, labelled as not passing.
    """
    sentence = (
        "BTC price every 500ms on binance only when price is below 1, "
        "alert me when price is above 1"
    )
    created, records, metrics = listened(server, sentence, tells("alert"))

    assert created["spec"]["filter"] == "price_avg < 1"
    assert {record["passes"] for record in records} == {False}
    assert metrics["skipped"] >= sum(record.get("skipped", 0) for record in records)


def test_what_passes_is_sent_and_says_what_was_held_back(server: str) -> None:
    """
    Every record has a trade, and the windows without one are counted.
    """
    sentence = "BTC trades every 100ms on binance only when trades > 0"
    _, records, metrics = listened(server, sentence, lambda r: r.get("skipped", 0) > 0)

    assert all(record["trades"] > 0 for record in records)
    assert metrics["skipped"] >= sum(record.get("skipped", 0) for record in records)


def test_a_condition_that_can_not_be_had_is_refused_with_what_can(server: str) -> None:
    """
    A filter about one of two symbols; and a field that the stream hasn't.
    """
    url = f"{server}/v1/streams"
    sentence = "BTC and ETH price every 1s only when BTC is above 70k"
    refused = httpx.post(url, json={"natural_language": sentence}, trust_env=False)
    spec = {"sources": [{"type": "ccxt"}], "symbols": ["BTC/USDT"], "filter": "price_avgg > 1"}
    unknown = httpx.post(url, json={"spec": spec}, trust_env=False)

    assert (refused.status_code, refused.json()["code"]) == (422, "unsupported")
    again = httpx.post(f"{server}/v1/explain", json={"natural_language": refused.json()["fix"]},
                       trust_env=False)  # fmt: skip
    assert again.status_code == 200
    assert unknown.status_code == 422
    (error,) = unknown.json()["errors"]
    assert (error["pointer"], error["did_you_mean"]) == ("/spec/filter", ["price_avg > 1"])


def test_a_sink_gets_the_alerts(tmp_path) -> None:
    """
    What is delivered is the records, with the notices they carry.
    """
    spec = {
        "sources": [{"type": "ccxt", "exchanges": ["binance"]}],
        "symbols": ["BTC/USDT"],
        "interval_sec": "500ms",
        "alerts": [{"name": "any", "when": "symbol == 'BTC/USDT'"}],
        "sinks": [{"type": "files", "folder": "records"}],
    }
    (tmp_path / "stream.json").write_text(json.dumps(spec))

    done = bond("listen", "stream.json", "--simulate", "--limit", "6", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    (file,) = (tmp_path / "records").iterdir()
    written = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    assert told(written) == [("BTC/USDT", "alert", "any")]
