"""A server among broken plugins: it starts, says what is wrong with each, and serves the rest."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from contextlib import contextmanager

import httpx
import pytest

from tests.core.plugin.zoo import GOOD, ZOO, install, install_zoo
from tests.journeys.command_line import bond, start

SIMULATED = {"sources": [{"type": "ccxt"}], "symbols": ["BTC/USDT"], "simulate": True}


@contextmanager
def server(folder, data, **env):
    """Serve with what is installed in a folder beside what is installed anyway; gives a client."""
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    env = {"BOND_DATA_DIR": str(data), "PYTHONPATH": path, **env}
    with start("serve", "--port", "0", "--log-level", "error", env=env, cwd=data) as process:
        try:
            line = process.stdout.readline()
            address = re.search(r"http://127\.0\.0\.1:\d+", line)
            assert address, process.stderr.read()
            with httpx.Client(base_url=address[0], trust_env=False, timeout=30) as http:
                yield http
            process.send_signal(signal.SIGINT)
            process.wait(timeout=30)
        finally:
            process.kill()


@pytest.fixture(scope="module", name="zoo")
def _zoo(tmp_path_factory):
    """What a server among all the broken plugins answers, and how long its start took."""
    folder, data = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("data")
    install_zoo(folder)
    began = time.monotonic()
    with server(folder, data) as http:
        took_s = time.monotonic() - began
        sentence = {"natural_language": "BTC price every 1s"}
        return {
            "took_s": took_s,
            "rows": http.get("/v1/plugins").json(),
            "sources": http.get("/v1/sources").json(),
            "openapi": http.get("/schema/openapi.json"),
            "explained": http.post("/v1/explain", json=sentence),
            "healthy": http.post("/v1/explain", json={"natural_language": "BTC pulse every 5s"}),
            "created": http.post("/v1/streams", json={"spec": SIMULATED}),
        }


@pytest.mark.parametrize("name", ZOO)
def test_each_is_listed_with_its_reason(zoo, name):
    """Whatever is wrong with a plugin, its row names it."""
    row = next(row for row in zoo["rows"] if row["name"] == name)

    assert row["state"] == ZOO[name].state
    assert ZOO[name].reason in row["reason"]
    assert row["provides"] == []


def test_unreadable_metadata_hides_nobody(zoo):
    """A file that Python's own reader breaks on is a row; those beside it are found."""
    row = next(row for row in zoo["rows"] if row["distribution"] == "bond-garbled")

    assert row["state"] == "failed"
    assert "can't be read" in row["reason"]


def test_everything_else_works(zoo):
    """What is well loads, speaks, and streams."""
    states = {row["name"]: row["state"] for row in zoo["rows"]}

    assert {states[name] for name in ("builtin", "ccxt", "sim", "healthy")} == {"loaded"}
    assert {"ccxt", "healthy"} <= {source["name"] for source in zoo["sources"]}
    assert zoo["openapi"].status_code == zoo["explained"].status_code == 200
    assert zoo["healthy"].json()["spec"]["sources"][0]["type"] == "healthy"
    assert zoo["created"].status_code == 201


def test_openapi_has_an_example_of_each(zoo):
    """A sentence for each installed source stands beside those that are always there."""
    for path in ("/v1/streams", "/v1/explain"):
        body = zoo["openapi"].json()["paths"][path]["post"]["requestBody"]
        examples = body["content"]["application/json"]["examples"]
        assert examples["healthy"]["value"] == {"natural_language": "BTC pulse every 5s"}
        assert {"sentence", "spec", "ccxt"} <= examples.keys()


def test_what_hangs_does_not_hold_up_the_start(zoo):
    """Two plugins that hang for ten seconds each cost a small part of that."""
    assert zoo["took_s"] < 8


def test_new_plugins_are_found_by_a_rescan(tmp_path):
    """
    A server learns a word without a restart; of another version it says that it takes one.
    """
    folder, data = tmp_path / "site", tmp_path / "data"
    folder.mkdir()
    data.mkdir()
    sentence = {"natural_language": "BTC pulse every 5s"}
    with server(folder, data) as http:
        before = http.post("/v1/explain", json=sentence)
        install(folder, "bond-healthy", {"healthy": "zoo_healthy"}, {"zoo_healthy": GOOD})
        unasked = http.post("/v1/explain", json=sentence)
        rows = {row["name"]: row for row in http.post("/v1/plugins/rescan").json()}
        after = http.post("/v1/explain", json=sentence)
        install(folder, "bond-healthy", {"healthy": "zoo_healthy"}, {}, version="1.3")
        newer = {row["name"]: row for row in http.post("/v1/plugins/rescan").json()}
        off = bond("plugins", "disable", "ccxt", env={"BOND_DATA_DIR": str(data)})
        without = {row["name"]: row for row in http.post("/v1/plugins/rescan").json()}
        sources = {source["name"] for source in http.get("/v1/sources").json()}

    assert [at.json()["code"] for at in (before, unasked)] == ["not_understood"] * 2
    assert (rows["healthy"]["state"], rows["healthy"]["reason"]) == ("loaded", None)
    assert after.json()["spec"]["sources"][0]["type"] == "healthy"
    assert newer["healthy"]["state"] == "loaded"
    assert newer["healthy"]["version"] == "1.2"
    assert "1.3 is installed, 1.2 is loaded: restart Bond" in newer["healthy"]["reason"]
    assert off.returncode == 0, off.stderr
    assert without["ccxt"]["state"] == "disabled"
    assert "ccxt" not in sources


def test_a_rescan_takes_an_admin(tmp_path):
    """
    It imports code, so a key without the scope is refused.
    """
    folder, data = tmp_path / "site", tmp_path / "data"
    folder.mkdir()
    data.mkdir()
    made = bond("keys", "new", env={"BOND_DATA_DIR": str(data)})
    key = re.search(r"bk_\S+", made.stdout)[0]

    with server(folder, data) as http:
        nobody = http.post("/v1/plugins/rescan")
        weak = http.post("/v1/plugins/rescan", headers={"Authorization": f"Bearer {key}"})

    assert (nobody.status_code, weak.status_code) == (401, 403)


def test_what_is_disabled_stays_so(tmp_path):
    """
    It is kept in the data directory, shown by list and doctor, and undone by enable.
    """
    env = {"BOND_DATA_DIR": str(tmp_path)}

    off = bond("plugins", "disable", "ccxt", env=env)
    listed = json.loads(bond("plugins", "list", "--json", env=env).stdout)
    checked = bond("plugins", "doctor", env=env)
    explained = bond("explain", "BTC price every 1s", env=env)
    on = bond("plugins", "enable", "ccxt", env=env)
    again = json.loads(bond("plugins", "list", "--json", env=env).stdout)

    assert off.returncode == on.returncode == checked.returncode == 0
    states = {row["name"]: (row["state"], row["reason"]) for row in listed}
    assert states["ccxt"] == ("disabled", "disabled: bond plugins enable ccxt")
    assert states["builtin"] == ("found", None)
    assert "off   ccxt" in checked.stdout
    assert "no installed plugin provides crypto market data" in explained.stdout
    assert {row["state"] for row in again} == {"found"}


@pytest.mark.parametrize(
    ("words", "env", "code"),
    [
        (("disable", "builtin"), {}, "builtin_plugin"),
        (("disable", "cctx"), {}, "unknown_plugin"),
        (("disable", "ccxt"), {"BOND_PLUGINS": "ccxt"}, "plugins_listed"),
        (("enable", "ccxt"), {"BOND_PLUGINS": "sim"}, "plugins_listed"),
    ],
)
def test_what_would_do_nothing_is_refused(tmp_path, words, env, code):
    """
    Nobody is told that a switch was set where none is looked at.
    """
    done = bond("plugins", *words, env={"BOND_DATA_DIR": str(tmp_path), **env})

    assert done.returncode == 1
    assert f"error[{code}]" in done.stderr
    assert not (tmp_path / "plugins.json").exists()
