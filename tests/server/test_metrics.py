from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import connect

from bond_core.runtime.stages import Latency, Stages
from bond_server.routes.metrics import may_read_metrics
from tests.server.running import receive, serving
from tests.server.test_serve_process import bond_serve, create

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def read(text):
    """Return by name and labels what a scrape says."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def scrape(http):
    """Return what a scrape says, and see that it is one."""
    answer = await http.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return read(answer.text)


def test_a_real_stream_is_seen_in_all_its_stages_and_no_sum_falls_when_it_goes(tmp_path):
    """
    Events by venue, clients, records and each stage's delays are what happened; and they stay
    what happened when the stream is deleted. In the log, each line is JSON.
    """
    venue = (("connector", "ccxt"), ("simulated", "true"), ("venue", "binance"))

    async def run():
        async with bond_serve(tmp_path, "--log-format", "json") as program:
            created = await create(program)
            async with (
                httpx.AsyncClient(base_url=f"http://{program.address}", trust_env=False) as http,
                connect(created["ws_url"], proxy=None) as client,
            ):
                ids = await receive(client, 3)
                during = await scrape(http)
                shown = await http.get(f"/v1/streams/{created['stream_id']}/metrics")
                await http.delete(f"/v1/streams/{created['stream_id']}")
                after = await scrape(http)
            program.process.terminate()
            await program.read_to_the_end()
            return ids, during, shown.json(), after, program.said.decode(), created

    ids, during, shown, after, said, created = asyncio.run(run())

    assert len(ids) == 3
    assert during["bond_events_total", *venue] > 0
    assert during["bond_sources", venue[0], venue[1], ("status", "live"), venue[2]] == 2
    assert during["bond_feeds", venue[0], venue[1], ("status", "live"), venue[2]] == 2
    assert during["bond_streams", ("state", "running")] == 1
    assert during["bond_clients", ("transport", "websocket")] == 1
    assert during["bond_records_sent_total",] >= 3
    assert during["bond_sent_bytes_total",] > 100 * during["bond_records_sent_total",]
    assert during["bond_records_total",] == during["bond_log_entries",] >= 3
    for stage in ("source", "window", "append", "write"):
        assert during["bond_stage_seconds_count", ("stage", stage)] > 0
        assert shown["stages"][stage]["p50_ms"] <= shown["stages"][stage]["p95_ms"]
    assert shown["latency_samples"] == shown["stages"]["source"]["samples"] > 0
    fallen = {
        key: (value, after[key])
        for key, value in during.items()
        if key[0].startswith("bond_") and key[0].endswith(("_total", "_count", "_bucket", "_sum"))
        and after[key] < value
    }  # fmt: skip
    assert fallen == {}
    assert after["bond_streams", ("state", "running")] == after["bond_log_entries",] == 0

    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    assert len(lines) > 3
    assert all({"ts", "level", "logger", "message"} <= set(line) for line in lines)
    [deleting] = [line for line in lines if "DELETE /v1/streams/" in line["message"]]
    assert re.fullmatch(r"req_[0-9a-f]{16}", deleting["request_id"])
    assert deleting["stream_id"] == created["stream_id"]
    assert created["access_token"] not in said


def test_nothing_of_a_user_is_ever_a_label(monkeypatch):
    """
    Not a stream, a token, a symbol, an address that was made up or a method that nobody knows.
    """

    async def run():
        async with serving(monkeypatch) as server:
            created = await server.create()
            async with server.socket(created) as client:
                await server.publish(created["stream_id"], (1_000_000, 1))
                await receive(client, 1)
            await server.http.get("/made-up-address", params={"token": "made-up-token"})
            await server.http.get(f"/v1/streams/{created['stream_id']}")
            await server.http.request("PROPFIND", "/v1/streams")
            return created, (await server.http.get("/metrics")).text

    created, text = asyncio.run(run())

    told = read(text)
    route = ("route", "/v1/streams/{stream_id}")
    assert told["bond_http_requests_total", ("method", "GET"), route, ("status", "200")] == 1
    unknown = ("method", "other"), ("route", "none"), ("status", "405")
    assert told["bond_http_requests_total", *unknown] == 1
    for secret in (created["stream_id"], created["access_token"], "BTC", "made-up", "PROPFIND"):
        assert secret not in text


def test_values_that_aggregators_failed_to_give_are_counted(monkeypatch):
    """
    Over all streams, and still when a stream is gone.
    """

    async def run():
        async with serving(monkeypatch) as server:
            told = [await scrape(server.http)]
            created = await server.create()
            told.append(await scrape(server.http))
            await server.http.delete(f"/v1/streams/{created['stream_id']}")
            return [each["bond_field_errors_total",] for each in (*told, await scrape(server.http))]

    assert asyncio.run(run()) == [0, 2, 2]


def test_the_page_names_every_metric_and_no_other(monkeypatch):
    """
    `docs/metrics.md` has a row for each metric that is served, with its type.
    """

    async def run():
        async with serving(monkeypatch) as server:
            text = (await server.http.get("/metrics")).text
            return dict(re.findall(r"^# TYPE (\S+) (\w+)$", text, re.MULTILINE))

    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)

    served = asyncio.run(run())
    # What is told of the process stands in /proc, which not every system has.
    process = {name for name, _ in rows if name.startswith("process_")}
    assert {n: t for n, t in rows if n not in process - set(served)} == served


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:8000"}, 200),
        ({"Host": "[::1]:8000"}, 200),
        ({"Host": "bond.example.com"}, 403),
        ({"Host": "127.0.0.1.example.com"}, 421),
        ({"X-Forwarded-For": "127.0.0.1"}, 403),
        ({"Forwarded": "for=127.0.0.1"}, 403),
    ],
)
def test_metrics_are_for_this_machine(monkeypatch, headers, status):
    """
    What another name or a proxy brought here isn't, though it comes from here.
    """

    async def run():
        known = frozenset({"bond.example.com"})
        async with serving(monkeypatch, allowed_hosts=known) as server:
            return await server.http.get("/metrics", headers=headers)

    answer = asyncio.run(run())

    assert answer.status_code == status
    if status == 403:
        assert answer.json()["code"] == "metrics_refused"


@pytest.mark.parametrize("host", ["10.0.0.7", "::ffff:10.0.0.7", "unix", ""])
def test_metrics_are_for_no_other_machine(host):
    """
    Whoever asks from elsewhere is refused, whatever name it uses.
    """
    request = SimpleNamespace(client=SimpleNamespace(host=host), headers={"host": "localhost"})

    assert not may_read_metrics(request)


def test_a_request_id_is_in_the_answer_its_problem_and_no_other(monkeypatch):
    """
    The client's own is kept where it can be one; each other request gets a new one.
    """

    async def run():
        async with serving(monkeypatch) as server:
            given = await server.http.get("/nothing", headers={"X-Request-Id": "mine-1"})
            bad = await server.http.get("/health", headers={"X-Request-Id": "no spaces, please"})
            other = await server.http.get("/v1/streams/none")
            return given, bad, other

    given, bad, other = asyncio.run(run())

    assert given.headers["x-request-id"] == given.json()["request_id"] == "mine-1"
    assert re.fullmatch(r"req_[0-9a-f]{16}", bad.headers["x-request-id"])
    assert other.headers["x-request-id"] == other.json()["request_id"]
    assert other.headers["x-request-id"] != bad.headers["x-request-id"]


def test_delays_are_counted_by_size_and_the_newest_kept():
    """
    Of 3000 delays all are in buckets, and quantiles are those of the newest 512.
    """
    seen = Latency()
    for ms in range(3000):
        seen.saw(ms * 1_000_000)

    assert sum(seen.counts) == 3000
    assert seen.counts[0] == 1  # 0 ms; 1 ms is in the next one, which ends there
    assert seen.sum_ns == sum(range(3000)) * 1_000_000
    assert seen.samples == 512
    assert seen.quantiles_ms(0, 0.5, 1) == [2488.0, 2744.0, 2999.0]


def test_a_clock_that_is_ahead_takes_nothing_off_a_sum():
    """
    A venue's clock may run ahead of ours; a counter may not fall.
    """
    seen = Latency()
    seen.saw(5_000_000)
    seen.saw(-2_000_000)

    assert seen.sum_ns == 5_000_000
    assert sum(seen.counts) == 2
    assert seen.quantiles_ms(0) == [-2.0]


def test_only_what_is_written_live_counts_as_written():
    """
    A replayed window has waited for its reader, not the reader for it.
    """
    stages = Stages()
    stages.mark(1_000, 10)
    for end_ms in range(2_000, 200_000, 1_000):
        stages.mark(end_ms, 20)

    stages.wrote(1_000, 500)
    stages.wrote(199_000, 5_000_020)

    assert stages.write.samples == 1
    assert stages.write.quantiles_ms(0.5) == [5.0]
