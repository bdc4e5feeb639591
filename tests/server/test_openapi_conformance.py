"""What the server answers is what `/schema/openapi.json` says, whatever it is asked."""

from __future__ import annotations

import copy
import subprocess
import sys

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi import checks as conform

from tests.server.running import SPEC, serving_in_a_thread

RUN = (sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()", "run")
# A sentence may be any text, and most make no sense: no schema says which do.
OPTIONS = (
    "--generation-deterministic", "--max-examples", "8", "--phases", "examples,coverage,fuzzing",
    "--exclude-checks", "positive_data_acceptance", "--request-timeout", "10", "--no-color",
    "--workers", "1", "--warnings", "off",
)  # fmt: skip
seeded = settings(
    derandomize=True, database=None, deadline=None, max_examples=80, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip

load_all_checks()
CHECKS = [
    schemathesis.checks.not_a_server_error,
    conform.status_code_conformance,
    conform.content_type_conformance,
    conform.response_headers_conformance,
    conform.response_schema_conformance,
]


@pytest.fixture(name="address", scope="module")
def _address():
    with serving_in_a_thread() as address:
        yield address


@pytest.fixture(name="schema", scope="module")
def _schema(address):
    return schemathesis.openapi.from_url(f"http://{address}/schema/openapi.json")


@pytest.fixture(name="created", scope="module")
def _created(address):
    answer = httpx.post(f"http://{address}/v1/streams", json={"spec": SPEC}, trust_env=False)
    return answer.json()


def test_schemathesis_finds_nothing(address, tmp_path):
    """
    Each operation gets its examples, each corner of its schema and seeded noise: no 5xx, no
    answer, header or content type that isn't documented, no method that is and isn't there.
    """
    found = subprocess.run(
        [*RUN, f"http://{address}/schema/openapi.json", *OPTIONS],
        cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip

    assert found.returncode == 0, found.stdout + found.stderr


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20) | st.sampled_from(["BTC/USDT", "binance", "5s", "ccxt", "", 1e308, -1]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner,
                                                                max_size=3),
    max_leaves=6,
)  # fmt: skip
NEARLY = (
    {"natural_language": "BTC price + volume every 1s on binance"},
    {"spec": SPEC},
    {"spec": SPEC | {"timeframes": ["1s", "1m"], "fields": ["price_avg"], "simulate": False},
     "ephemeral": True, "duration_sec": "1m", "replay_sec": 5, "label": "x"},
    {"spec": {"sources": [{"type": "ccxt", "exchanges": ["okx"], "fallback": ["bybit"],
                           "lateness_sec": 1, "stale_sec": 5, "name": "n"}],
              "symbols": ["BTC/USDT", "ETH/USDT"], "interval_sec": 0.5}},
)  # fmt: skip


def places(value, here=()):
    """Yield the path of everything in a JSON value."""
    if here:
        yield here
    if isinstance(value, (dict, list)):
        for key, child in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(child, (*here, key))


@st.composite
def nearly_right(draw):
    """Return a request that works, but for one or two places."""
    request = copy.deepcopy(draw(st.sampled_from(NEARLY)))
    for _ in range(draw(st.integers(1, 2))):
        *way, last = draw(st.sampled_from(sorted(places(request), key=repr) or [("",)]))
        holder = request
        for step in way:
            holder = holder[step]
        if isinstance(holder, dict) and draw(st.booleans()):
            holder[draw(st.text(max_size=8))] = draw(ANY_JSON)
        else:
            holder[last] = draw(ANY_JSON)
    return request


@pytest.mark.parametrize("path", ["/v1/streams", "/v1/explain"])
def test_requests_that_are_nearly_right(schema, path):
    """
    One wrong place in a request that works gives a documented answer, as the document has it.
    """
    operation = schema[path]["POST"]
    statuses = set()

    @seeded
    @given(nearly_right())
    def run(request):
        case = operation.Case(body=request, media_type="application/json")
        statuses.add(case.call_and_validate(checks=CHECKS).status_code)

    run()

    assert {422} < statuses, "some of what is nearly right must work"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/streams/{stream_id}"),
        ("GET", "/v1/streams/{stream_id}/metrics"),
        ("POST", "/v1/streams/{stream_id}/token"),
    ],
)
def test_a_stream_that_is_there_is_shown_as_documented(schema, created, method, path):
    """
    With the id of a stream these answer 200, as the document has it.
    """
    case = schema[path][method].Case(path_parameters={"stream_id": created["stream_id"]})

    assert case.call_and_validate(checks=CHECKS).status_code == 200


def test_bad_starts_of_an_event_stream(schema, created):
    """
    With a good token, whatever `from` and `after` say that can't be read is a documented 422.
    """
    operation = schema["/v1/streams/{stream_id}/events"]["GET"]

    @seeded
    @given(st.sampled_from(["from", "after", "Last-Event-ID"]), st.text("x-now:T+é 9", min_size=1))
    def run(name, text):
        value = f"not a time {text}"
        headers = {name: value.encode("ascii", "ignore").decode()} if name[0] == "L" else {}
        query = {"token": created["access_token"]} | ({} if headers else {name: value})
        case = operation.Case(
            path_parameters={"stream_id": created["stream_id"]}, query=query, headers=headers
        )
        assert case.call_and_validate(checks=CHECKS).status_code == 422

    run()


def test_every_documented_error_is_a_problem(address):
    """
    Each 4xx and 5xx of the document has problem+json, but for readiness, which is no error.
    """
    document = httpx.get(f"http://{address}/schema/openapi.json", trust_env=False).json()
    errors = {
        (path, status): set(answer["content"])
        for path, operations in document["paths"].items() if path != "/health/ready"
        for operation in operations.values()
        for status, answer in operation["responses"].items() if status >= "400"
    }  # fmt: skip

    assert errors
    assert {
        key: kinds for key, kinds in errors.items() if kinds != {"application/problem+json"}
    } == {}
