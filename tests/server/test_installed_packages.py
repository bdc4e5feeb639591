"""Packages that `bond plugins new` wrote, installed: a server speaks of them, unchanged itself."""

from __future__ import annotations

import json
import os

import pytest

from bond_server.scaffold.package import files_of
from tests.journeys.command_line import bond
from tests.journeys.installed import lay_out
from tests.server.test_plugin_zoo import server

NAMES = {
    "fx-poll": "poll", "fx-push": "websocket", "fx-lib": "sdk", "fx-mean": "aggregator",
    "fx-file": "sink",
}  # fmt: skip
ALIASED = ('name="fx-poll",', 'name="fx-poll",\n        aliases=("quokka",),')
KEYS = {"FX_LIB_KEY": "k3y-k3y"}
FIELD = "fx_mean_typical_price"


@pytest.fixture(scope="module", name="site")
def _site(tmp_path_factory):
    """A folder in which a package of each kind is installed; one has another name too."""
    folder = tmp_path_factory.mktemp("packages")
    for name, kind in NAMES.items():
        files = files_of(name, kind)
        if name == "fx-poll":
            module = "bond_fx_poll/plugin.py"
            assert ALIASED[0] in files[module]
            files[module] = files[module].replace(*ALIASED)
        lay_out(folder, files)
    return folder


@pytest.fixture(scope="module", name="http")
def _http(site, tmp_path_factory):
    """A client of a server that has them."""
    with server(site, tmp_path_factory.mktemp("data"), **KEYS) as client:
        yield client


def explained(http, sentence):
    """Return what a sentence is understood as."""
    answer = http.post("/v1/explain", json={"natural_language": sentence})
    assert answer.is_success, answer.text
    return answer.json()["spec"]


def test_plugins_has_the_records_that_the_commands_print(http, site):
    """
    `GET /v1/plugins`, `bond plugins doctor --json` and `info --json` say the same.
    """
    env = {"PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]), **KEYS}
    served = {row["name"]: row for row in http.get("/v1/plugins").json()}
    doctor = json.loads(bond("plugins", "doctor", "--json", env=env).stdout)
    info = json.loads(bond("plugins", "info", "fx-poll", "--json", env=env).stdout)

    assert list(served.values()) == doctor
    assert {served[name]["state"] for name in NAMES} == {"loaded"}
    said = served["fx-poll"]
    assert {key: info[key] for key in said if key != "provides"} == {
        key: value for key, value in said.items() if key != "provides"
    }
    assert [spec["name"] for spec in info["provides"]] == ["fx-poll"]


@pytest.mark.parametrize("name", [name for name, kind in NAMES.items() if kind != "sink"])
def test_the_openapi_document_has_a_sentence_that_works(http, name):
    """
    Among the examples of what takes one; asked, it is understood as the package's own.
    """
    paths = http.get("/schema/openapi.json").json()["paths"]
    bodies = [paths[path]["post"]["requestBody"] for path in ("/v1/streams", "/v1/explain")]
    examples = [body["content"]["application/json"]["examples"] for body in bodies]
    (key,) = [key for key in examples[0] if key.startswith(name)]
    sentence = examples[0][key]["value"]["natural_language"]

    assert examples[1][key] == examples[0][key]
    spec = explained(http, sentence)
    if NAMES[name] == "aggregator":
        assert spec["fields"] == [FIELD]
    else:
        assert [source["type"] for source in spec["sources"]] == [name]


def test_an_alias_is_as_good_as_the_name(http):
    """
    In a sentence and in a spec.
    """
    by_word = explained(http, "BTC bid and ask from quokka every 5s")
    asked = {"sources": [{"type": "quokka"}], "symbols": ["BTC/USDT"], "interval_sec": 5}
    by_spec = http.post("/v1/explain", json={"spec": asked}).json()["spec"]

    assert [source["type"] for source in by_word["sources"]] == ["fx-poll"]
    assert [source["type"] for source in by_spec["sources"]] == ["fx-poll"]


def test_fields_of_both_kinds_of_plugin_meet(http):
    """
    A connector's trades and an aggregator's field, of packages that know nothing of each other.
    """
    asked = {
        "sources": [{"type": "fx-push"}], "symbols": ["BTC/USDT"], "interval_sec": 1,
        "fields": ["price_close", FIELD],
    }  # fmt: skip

    taken = http.post("/v1/explain", json={"spec": asked})
    refused = http.post("/v1/explain", json={"spec": {**asked, "fields": ["fx_none"]}})

    assert sorted(taken.json()["spec"]["fields"]) == [FIELD, "price_close"]
    assert refused.is_client_error


def test_a_sink_is_named_in_a_spec(http, site):
    """
    Its settings are checked as it described them.
    """
    asked = {"sources": [{"type": "fx-push"}], "symbols": ["BTC/USDT"], "interval_sec": 1}
    good = {"type": "fx-file", "path": str(site / "records.jsonl")}

    taken = http.post("/v1/explain", json={"spec": {**asked, "sinks": [good]}})
    refused = http.post("/v1/explain", json={"spec": {**asked, "sinks": [{"type": "fx-file"}]}})

    assert taken.json()["spec"]["sinks"][0]["type"] == "fx-file"
    assert refused.is_client_error
    assert "path" in refused.text
