from __future__ import annotations

import asyncio
import json

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bond_core.errors import BondError, LogUnavailableError
from bond_server.routes import body as body_reader
from tests.server.running import SPEC, serving, serving_in_a_thread

JSON = {"Content-Type": "application/json"}
STREAM = "8f2a1c9d4b3e7a10"
FORGED = "1761053465.f1189e3ca7ce6df8"


@pytest.fixture(scope="module", name="ask")
def _ask():
    """Send a request to a server that all tests here share."""
    with serving_in_a_thread() as address, httpx.Client(trust_env=False) as http:
        yield lambda method, path, **request: http.request(
            method, f"http://{address}{path}", **request
        )


_KEYS = st.sampled_from(
    ["sources", "symbols", "interval_sec", "timeframes", "window_sec", "fields", "filter", "alerts",
     "derived", "depth", "mode", "late", "sinks", "simulate", "type", "name", "exchanges",
     "fallback", "exclude_exchanges", "url", "mapping", "query", "lateness_sec", "ephemeral",
     "duration_sec", "replay_sec", "label", "x"]
)  # fmt: skip
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(["ccxt", "BTC/USDT", "1s", "5m", "binance", "okx", "price_avg", "windows"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=5),
    max_leaves=10,
)  # fmt: skip
_SPECS = st.dictionaries(_KEYS, _VALUES, max_size=5)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=_VALUES
    | st.builds(lambda changes: {"spec": SPEC | changes}, _SPECS)
    | st.builds(lambda source: {"spec": SPEC | {"sources": [{"type": "ccxt"} | source]}}, _SPECS)
    | st.builds(lambda text: {"natural_language": text}, st.text(max_size=80))
)
def test_nothing_answers_500(ask, body):
    """
    Whatever is sent is explained, or refused in the documented shape with a fix.
    """
    answer = ask("POST", "/v1/explain", content=msgspec.json.encode(body), headers=JSON)

    if answer.status_code != 200:
        problem_of(answer, answer.status_code, answer.json()["code"])
        assert answer.status_code in (400, 422)


def problem_of(answer, status, code):
    """Check that an answer is the documented shape, and return it."""
    body = answer.json()
    assert (answer.status_code, body["code"]) == (status, code), body
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["status"] == status
    assert body["type"] == f"urn:bond:problem:{code}"
    assert body["title"]
    assert body["detail"]
    assert body["fix"]
    assert isinstance(body["errors"], list)
    assert isinstance(body["retryable"], bool)
    assert body["request_id"].startswith("req_")
    return body


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        (b"", 400, "not_json"),
        (b"BTC price every 5s", 400, "not_json"),
        (b'{"natural_language": "BTC price"', 400, "not_json"),
        (b'{"spec": {"interval_sec": NaN}}', 400, "not_json"),
        (b'{"spec": {"interval_sec": Infinity}}', 400, "not_json"),
        (b'{"spec": {"interval_sec": 1e999}}', 400, "not_json"),
        (b'{"spec": {"interval_sec": ' + b"9" * 5000 + b"}}", 400, "not_json"),
        (b'{"natural_language": "\xff"}', 400, "not_json"),
        (b'{"natural_language": "\\ud800"}', 400, "not_json"),
        (b"[" * 60_000, 400, "not_json"),
        (b'{"spec":' * 7_000, 400, "not_json"),
        (b'{"spec": {"a": ' + b"[" * 500 + b"]" * 500 + b"}}", 422, "invalid_request"),
        (b"null", 422, "invalid_request"),
        (b"[]", 422, "invalid_request"),
        (b'"BTC price every 5s"', 422, "invalid_request"),
        (b"{}", 422, "invalid_request"),
        (b'{"natural_language": "BTC price", "spec": {}}', 422, "invalid_request"),
        (b'{"natural_language": 5}', 422, "invalid_request"),
        (b'{"natural_language": null}', 422, "invalid_request"),
    ],
    ids=lambda value: repr(value[:24]) if isinstance(value, bytes) else str(value),
)
@pytest.mark.parametrize("path", ["/v1/streams", "/v1/explain"])
def test_a_body_that_is_no_request(ask, path, raw, status, code):
    """
    What is no JSON, no object or no request is refused with a body that works.
    """
    answer = ask("POST", path, content=raw, headers=JSON)

    assert "natural_language" in json.loads(problem_of(answer, status, code)["fix"])


def spec_with(**changes):
    """Return a body whose spec differs from the usual one."""
    return {"spec": SPEC | changes}


def source_with(**changes):
    """Return a body whose spec's one source differs."""
    return spec_with(sources=[{"type": "ccxt", "exchanges": ["binance"]} | changes])


@pytest.mark.parametrize(
    ("body", "code", "pointer", "meant"),
    [
        ({"natural_lanugage": "BTC"}, "invalid_request", "/natural_lanugage", "natural_language"),
        (spec_with(intervall_sec=5), "invalid_spec", "/spec/intervall_sec", "interval_sec"),
        (source_with(exchange=["okx"]), "invalid_spec", "/spec/sources/0/exchange", "exchanges"),
        (spec_with(interval_sec=0.005), "interval_out_of_range", "/spec/interval_sec", "100ms"),
        (spec_with(interval_sec=86_401), "interval_out_of_range", "/spec/interval_sec", "1d"),
        (spec_with(interval_sec="5 parsecs"), "invalid_spec", "/spec/interval_sec", None),
        (spec_with(interval_sec=-1), None, "/spec/interval_sec", None),
        (spec_with(interval_sec=True), "invalid_spec", "/spec/interval_sec", None),
        (spec_with(symbols=["not a symbol"]), "invalid_spec", "/spec/symbols/0", None),
        ({"spec": {"sources": [{"type": "ccxt"}]}}, "invalid_spec", "/spec/symbols", None),
        (spec_with(sources=[]), "invalid_spec", "/spec/sources", None),
        (spec_with(sources=[{"type": "ccxt"}] * 9), "invalid_spec", "/spec/sources", None),
        (source_with(type="cxt"), None, "/spec/sources/0/type", "ccxt"),
        (source_with(type=7), "invalid_spec", "/spec/sources/0/type", None),
        (source_with(exchanges=["binanse"]), None, None, "binance"),
        ({"spec": "BTC price"}, None, None, None),
        ({"spec": None}, None, None, None),
        ({"spec": []}, None, None, None),
    ],
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else None,
)
def test_a_spec_that_makes_no_sense(ask, body, code, pointer, meant):
    """
    A wrong key, venue, source, unit or interval is named by its place, with what was meant.
    """
    answer = ask("POST", "/v1/streams", json=body)

    problem = problem_of(answer, 422, code or answer.json()["code"])

    assert problem["retryable"] is False
    if pointer is not None:
        assert pointer in [error.get("pointer") for error in problem["errors"]]
    if meant is not None:
        assert meant in [word for error in problem["errors"] for word in error["did_you_mean"]]


@pytest.mark.parametrize(
    "body",
    [spec_with(interval_sec=0.005), {"natural_lanugage": "x"}, spec_with(sources=[]), {"spec": []}],
    ids=["interval", "key", "sources", "no spec"],
)
def test_every_fix_works(ask, body):
    """
    What an error gives as its fix, a sentence or a body, is accepted when it is sent.
    """
    fix = ask("POST", "/v1/streams", json=body).json()["fix"]
    mended = json.loads(fix) if fix.startswith("{") else {"natural_language": fix}

    answer = ask("POST", "/v1/streams", json=mended)

    assert answer.status_code in (200, 201), (fix, answer.text)


@pytest.mark.parametrize("path", ["/v1/streams", "/v1/explain", f"/v1/streams/{STREAM}/token"])
@pytest.mark.parametrize("size", [64 * 1024 + 1, 1_000_000])
def test_a_body_that_is_too_large(ask, path, size):
    """
    More than 64 KiB is refused with an answer, not with a broken connection.
    """
    raw = json.dumps({"natural_language": "B" * size}).encode()

    problem_of(ask("POST", path, content=raw, headers=JSON), 413, "body_too_large")


def test_a_body_in_pieces_is_measured_too(ask):
    """
    Without a Content-Length the pieces are counted.
    """
    pieces = (b" " * 1024 for _ in range(70))

    answer = ask("POST", "/v1/streams", content=pieces, headers=JSON)

    problem_of(answer, 413, "body_too_large")


def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch):
    """
    Who announces a body and sends only some of it gets 408, and frees its place.
    """
    monkeypatch.setattr(body_reader, "_WITHIN_S", 0.1)

    async def run():
        async with serving(monkeypatch) as server:
            reader, writer = await asyncio.open_connection(*server.address.split(":"))
            head = f"POST /v1/streams HTTP/1.1\r\nHost: {server.address}\r\n"
            writer.write(f"{head}Content-Length: 100\r\n\r\n{{".encode())
            status = await asyncio.wait_for(reader.readline(), 20)
            said = await asyncio.wait_for(reader.read(), 20)
            writer.close()
            await writer.wait_closed()
            return status + said

    said = asyncio.run(run())

    assert b" 408 " in said
    assert b'"code":"request_timeout"' in said


def test_a_body_of_64_kib_is_read(ask):
    """
    The limit itself is allowed.
    """
    body = json.dumps({"spec": SPEC}).encode().ljust(64 * 1024)

    assert ask("POST", "/v1/streams", content=body, headers=JSON).status_code == 201


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/v1/streams/nothing", 404, "unknown_stream"),
        ("DELETE", f"/v1/streams/{STREAM}", 404, "unknown_stream"),
        ("POST", f"/v1/streams/{STREAM}/token", 404, "unknown_stream"),
        ("GET", f"/v1/streams/{STREAM}/metrics", 404, "unknown_stream"),
        ("GET", f"/v1/streams/{STREAM}/events", 401, "token_invalid"),
        ("GET", f"/v1/streams/{STREAM}/events?token={FORGED}", 401, "token_invalid"),
        ("GET", f"/ws/{STREAM}", 426, "upgrade_required"),
        ("PUT", "/v1/streams", 405, "method_not_allowed"),
        ("PATCH", f"/v1/streams/{STREAM}", 405, "method_not_allowed"),
        ("GET", "/v1/explain", 405, "method_not_allowed"),
        ("GET", "/%00", 404, "not_found"),
        ("GET", "/v1/streams/%F0%9F%92%A9", 404, "unknown_stream"),
        ("GET", "/v1/streams/" + "a" * 5000, 404, "unknown_stream"),
    ],
)  # fmt: skip
def test_an_address_that_is_not_there(ask, method, path, status, code):
    """
    Unknown streams and addresses, wrong methods and missing tokens get the one error shape.
    """
    answer = ask(method, path)

    problem_of(answer, status, code)
    assert ("allow" in answer.headers) == (status == 405)


def test_a_wrong_method_is_told_the_right_ones(ask):
    """
    405 comes with Allow, as HTTP demands.
    """
    allowed = ask("PUT", f"/v1/streams/{STREAM}").headers["allow"]

    assert sorted(allowed.split(", ")) == ["DELETE", "GET", "OPTIONS"]


@pytest.mark.parametrize(
    "body",
    [
        {"persistant": True}, {"persistent": 1}, {"label": 7}, {"label": None}, {"scopes": None},
        {"label": "x" * 101},
        {"version": 3}, {"version": True}, {"scopes": ["sub"]}, {"version": 2, "scopes": []},
        {"version": 2, "scopes": ["sub", "all"]}, {"version": 2, "scopes": [["sub"]]},
        {"version": 2, "scopes": "sub"}, [], "x",
    ],
    ids=str,
)  # fmt: skip
def test_what_a_token_cannot_be_is_refused(ask, body):
    """
    What a token can't be is refused, not ignored.
    """
    answer = ask("POST", f"/v1/streams/{STREAM}/token", json=body)

    problem_of(answer, 422, "invalid_request")


def test_a_host_that_is_none_is_refused(ask):
    """
    The addresses given out are made of the host asked for, so it must be one.
    """
    answer = ask("GET", "/health", headers={"Host": "a b/<script>"})

    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (LogUnavailableError("the log does not answer", fix="later"), 503, "log_unavailable"),
        (BondError("a secret of ours"), 500, "internal"),
        (ValueError("a secret of ours"), 500, "internal"),
    ],
)
def test_what_fails_inside_is_said_without_details(monkeypatch, caplog, error, status, code):
    """
    A fault of ours is 500 with a request id, and the log has the rest under that id.
    """

    async def run():
        async with serving(monkeypatch) as server:

            def fail(request):
                raise error

            monkeypatch.setattr(server.bond, "compile", fail)
            return await server.http.post("/v1/streams", json={"spec": SPEC})

    answer = asyncio.run(run())

    problem = problem_of(answer, status, code)
    assert "a secret of ours" not in answer.text
    assert (problem["request_id"] in caplog.text) == (status == 500)
    assert ("retry-after" in answer.headers) == (status == 503)
