"""Sinks of a stream that was asked for over REST: delivered, shown, refused, and after a crash."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys

import httpx
import pytest
from standardwebhooks import Webhook

from bond_core.clock import SystemClock
from bond_core.log.offset import Offset
from bond_core.plugin.addresses import PRIVATE
from bond_core.plugin.egress import Egress, EgressPolicy
from bond_core.runtime.binding import Defaults
from bond_core.runtime.sink_policy import SinkPolicy
from bond_server import engine, local
from bond_server.app import create_app
from bond_server.cli import main
from tests.server.hooks import taking_hooks
from tests.server.running import SPEC, SilentPipeline, some_settings
from tests.server.test_serve_process import bond_serve

SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"
FAST = SPEC | {"simulate": True, "interval_sec": "200ms"}


def files(**changes):
    """Return the entry of a sink that writes files."""
    return {"type": "files", "folder": "records", **changes}


def webhook(url, **changes):
    """Return the entry of a sink that posts."""
    return {"type": "webhook", "url": url, "secret": {"$env": "HOOK_SECRET"},
            "batch_wait_sec": "300ms", **changes}  # fmt: skip


async def until(ask, done):
    """Ask until the answer is as wanted, and return it."""
    async with asyncio.timeout(60):
        while not done(found := await ask()):  # noqa: ASYNC110 -- it asks over HTTP
            await asyncio.sleep(0.05)
    return found


@pytest.fixture(name="rest")
def _rest(monkeypatch, tmp_path):
    """Return what runs a story with a server's HTTP, its Bond and an endpoint."""
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    monkeypatch.setattr(engine, "Pipeline", SilentPipeline)

    def run(story, **options):
        async def go():
            settings = some_settings(data_dir=tmp_path)
            egress = Egress(EgressPolicy(private=PRIVATE))
            bond = local.Bond(
                clock=SystemClock(), egress=egress,
                defaults=Defaults(simulate=True, sinks=SinkPolicy(folder=tmp_path)), **options,
            )  # fmt: skip
            async with bond, taking_hooks() as hooks:
                app = httpx.ASGITransport(create_app(bond, settings), client=("127.0.0.1", 1))
                base = "http://127.0.0.1"
                async with httpx.AsyncClient(transport=app, base_url=base) as http:
                    return await story(http, bond, hooks)

        return asyncio.run(go())

    return run


async def publish(bond, stream_id, *ends_ms):
    """Append a window of one record for each end."""
    for ms in ends_ms:
        data = f'{{"id":"{ms}-0","ts":"2025-10-21T13:30:05Z"}}'.encode()
        await bond.log.append(stream_id, [(Offset(ms, 0), data)])


def test_sinks_are_shown_and_counted(rest, tmp_path):
    """The stream says how each sink does, as do its metrics and Prometheus; secrets don't show."""

    async def story(http, bond, hooks):
        hooks.statuses = [503]
        spec = {**SPEC, "sinks": [webhook(hooks.url), files()]}
        created = (await http.post("/v1/streams", json={"spec": spec})).json()
        again = await http.post("/v1/streams", json={"spec": created["spec"]})
        path = f"/v1/streams/{created['stream_id']}"
        await publish(bond, created["stream_id"], 1000, 2000)

        async def metrics():
            return (await http.get(f"{path}/metrics")).json()["sinks"]

        found = await until(
            metrics, lambda sinks: all(sink["delivered"] == 2 for sink in sinks.values())
        )
        shown = (await http.get(path)).json()
        prometheus = (await http.get("/metrics")).text
        await http.delete(path)
        return created, again, found, shown, prometheus, hooks.got

    created, again, found, shown, prometheus, got = rest(story)

    assert again.status_code == 200
    assert again.json()["stream_id"] == created["stream_id"]
    assert list(found) == ["files", "webhook"]
    assert found["webhook"]["retried"] == 1
    assert found["webhook"]["status"] == "live"
    assert [a["status"] for a in found["webhook"]["report"]["attempts"]] == [503, 204]
    assert shown["sinks"].keys() == found.keys()
    assert 'bond_sink_records_total{sink="webhook"} 2.0' in prometheus
    assert 'bond_sink_retries_total{sink="webhook"} 1.0' in prometheus
    assert 'bond_sinks{sink="files",status="live"} 1.0' in prometheus
    assert SECRET not in f"{created}{found}{shown}{prometheus}"
    headers, body, _ = got[-1]
    records = Webhook(SECRET).verify(body, headers)["data"]["records"]
    assert [record["id"] for record in records] == ["1000-0", "2000-0"]
    (whole,) = (tmp_path / "records").iterdir()
    assert [json.loads(line)["id"] for line in whole.read_text().splitlines()] == [
        "1000-0",
        "2000-0",
    ]


def test_an_endpoint_that_is_gone_ends_its_sink_alone(rest):
    """410 stops that sink, with a reason that is shown; the stream and the others go on."""

    async def story(http, bond, hooks):
        hooks.statuses = [410]
        spec = {**SPEC, "sinks": [webhook(hooks.url), files()]}
        stream_id = (await http.post("/v1/streams", json={"spec": spec})).json()["stream_id"]
        await publish(bond, stream_id, 1000)

        async def sinks():
            return (await http.get(f"/v1/streams/{stream_id}")).json()["sinks"]

        await until(sinks, lambda found: found["webhook"]["status"] == "failed")
        await publish(bond, stream_id, 2000, 3000)
        return await until(sinks, lambda found: found["files"]["delivered"] == 3), hooks.got

    found, got = rest(story)

    assert "410" in found["webhook"]["reason"]
    assert found["webhook"]["delivered"] == 0
    assert len(got) == 1


def test_an_endpoint_that_hangs_holds_up_nobody(rest):
    """Readers get every record at once, and the stream can be deleted."""

    async def story(http, bond, hooks):
        hooks.answers.clear()
        spec = {**SPEC, "sinks": [webhook(hooks.url, batch_wait_sec=0)]}
        stream_id = (await http.post("/v1/streams", json={"spec": spec})).json()["stream_id"]
        cursor, read = bond.cursor(stream_id), []
        await publish(bond, stream_id, 500)
        while not hooks.got:  # noqa: ASYNC110 -- it comes over a socket
            await asyncio.sleep(0.01)
        async with asyncio.timeout(10):  # the endpoint's own time-out is longer
            for ms in range(1000, 51_000, 1000):
                await publish(bond, stream_id, ms)
                while not read or read[-1].offset.ms < ms:
                    read += (await cursor.next()).entries
            cursor.close()
            health = (await http.get(f"/v1/streams/{stream_id}")).json()["sinks"]["webhook"]
            await http.delete(f"/v1/streams/{stream_id}")
        return len(read), health

    read, health = rest(story)

    assert read == 51
    assert (health["delivered"], health["waiting"]) == (0, 51)


@pytest.mark.parametrize(
    ("sink", "code", "pointer"),
    [
        ({"type": "wbehook"}, "unknown_sink", "/spec/sinks/0/type"),
        (webhook("https://a.example", secret=SECRET), "invalid_spec", "/spec/sinks/0/secret"),
        (webhook("https://a.example", timeout=3), "invalid_spec", "/spec/sinks/0/timeout"),
        (files(folder=3), "invalid_spec", "/spec/sinks/0/folder"),
        ("webhook", "invalid_spec", "/spec/sinks/0"),
    ],
)
def test_a_sink_that_makes_no_sense_is_refused(rest, sink, code, pointer):
    """With 422, the place, what may have been meant, and a request that works; no secret in it."""

    async def story(http, bond, hooks):
        answer = await http.post("/v1/streams", json={"spec": {**SPEC, "sinks": [sink]}})
        fixed = await http.post("/v1/explain", json=json.loads(answer.json()["fix"]))
        return answer, fixed

    answer, fixed = rest(story)

    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, code)
    assert problem["errors"][0]["pointer"] == pointer
    assert fixed.status_code == 200, fixed.text
    assert SECRET not in answer.text


def test_deleting_a_stream_flushes_and_forgets(rest, tmp_path):
    """What was published before is delivered; the same stream asked for anew begins anew."""

    async def story(http, bond, hooks):
        spec = {**SPEC, "sinks": [webhook(hooks.url, batch_wait_sec=600)]}
        for ms in (1000, 2000):
            stream_id = (await http.post("/v1/streams", json={"spec": spec})).json()["stream_id"]
            await publish(bond, stream_id, ms)
            await http.delete(f"/v1/streams/{stream_id}")
        return [json.loads(body)["data"]["records"] for _, body, _ in hooks.got]

    first, second = rest(story)

    assert [record["id"] for record in first] == ["1000-0"]
    assert [record["id"] for record in second] == ["2000-0"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_a_server_that_is_killed_goes_on_where_it_was(tmp_path):
    """
    After SIGKILL and a restart both sinks are told of the hole, and nothing that one of them had
    acknowledged is missing.
    """
    (tmp_path / ".env").write_text(f"HOOK_SECRET={SECRET}\nBOND_EGRESS_PRIVATE=1\n")

    async def run(hooks, *, kill):
        async with bond_serve(tmp_path) as program:
            base = f"http://{program.address}"
            async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=60) as http:
                spec = FAST | {"sinks": [webhook(hooks.url), files(folder=str(tmp_path / "out"))]}
                created = await http.post("/v1/streams", json={"spec": spec})
                assert created.status_code == (201 if kill else 200), created.text
                path = f"/v1/streams/{created.json()['stream_id']}/metrics"

                async def sinks():
                    return (await http.get(path)).json()["sinks"]

                found = await until(
                    sinks, lambda sinks: all(sink["delivered"] > 8 for sink in sinks.values())
                )
            if kill:
                program.process.kill()
            else:
                program.process.send_signal(signal.SIGTERM)
            await program.read_to_the_end()
            return found

    async def go():
        async with taking_hooks() as hooks:
            first = await run(hooks, kill=True)
            second = await run(hooks, kill=False)
        return first, second, hooks.got

    first, second, got = asyncio.run(go())

    messages = [Webhook(SECRET).verify(body, headers) for headers, body, _ in got]
    posted = [record for message in messages for record in message["data"]["records"]]
    lines = [
        json.loads(line)
        for path in sorted((tmp_path / "out").iterdir())
        for line in path.read_text().splitlines()
    ]
    for records, name in ((posted, "webhook"), (lines, "files")):
        gaps = [record["gap"] for record in records if "gap" in record]
        assert [gap["reason"] for gap in gaps] == ["restart"], name
        ids = [record["id"] for record in records if "gap" not in record]
        assert len(ids) >= first[name]["delivered"] + second[name]["delivered"]
        assert gaps[0]["after"] in ids
        assert first[name]["after"] in ids
        assert ids == sorted(ids, key=lambda one: [int(part) for part in one.split("-")])
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".jsonl"}


def test_a_test_message_is_sent_from_the_command_line(monkeypatch, capsys, tmp_path):
    """It says how the endpoint answered, and its exit status whether it took the message."""
    monkeypatch.setenv("BOND_EGRESS_PRIVATE", "1")
    monkeypatch.setenv("BOND_DATA_DIR", str(tmp_path))

    async def go():
        async with taking_hooks() as hooks:
            hooks.statuses = [204, 401]
            words = ["webhook", "test", hooks.url, "--secret-env", "HOOK_SECRET"]
            assert main(["webhook", "secret"]) == 0
            monkeypatch.setenv("HOOK_SECRET", made := capsys.readouterr().out.strip())
            taken = await asyncio.to_thread(main, words)
            refused = await asyncio.to_thread(main, [*words, "--json"])
        return made, taken, refused, hooks.got

    made, taken, refused, got = asyncio.run(go())
    said = capsys.readouterr().out

    assert (taken, refused) == (0, 1)
    assert re.search(r"msg_test_\d+ answered 204 in \d+ ms\nthe endpoint took the message", said)
    assert json.loads(said.splitlines()[-1])["status"] == 401
    headers, body, _ = got[0]
    assert Webhook(made).verify(body, headers)["type"] == "webhook.test"
    assert made not in said


def test_a_private_endpoint_is_not_tried_from_the_command_line(monkeypatch, capsys, tmp_path):
    """The guard of URLs holds here too."""
    monkeypatch.setenv("BOND_DATA_DIR", str(tmp_path))

    assert main(["webhook", "test", "https://127.0.0.1/x"]) == 1
    assert "error[forbidden_url]" in capsys.readouterr().err
