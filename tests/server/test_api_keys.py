"""API keys: how they are kept, and that every call but the open ones asks for the right one."""

from __future__ import annotations

import asyncio
import json
import stat
import subprocess
import sys

import pytest

from bond_core.errors import RequestError, SetupError
from bond_core.settings import SettingsError
from bond_server.app import handlers_of
from bond_server.auth.keys import (
    LOCAL_PROJECT,
    SCOPES,
    USUAL_SCOPES,
    Keys,
    digest_of,
    key_file,
    make_key,
    parse_keys,
    revoke_key,
)
from bond_server.auth.project import OPEN
from tests.server.running import SPEC, serving

STREAM = "0f2a1c9d4b3e7a10"
A_KEY = f"bk_test1_{'a' * 43}"
# Every call there is, with what it takes; the id is put in where it says {id}.
GUARDED = [
    ("POST", "/v1/streams", "streams:write", {"spec": SPEC | {"interval_sec": 9}}),
    ("GET", "/v1/streams", "streams:read", None),
    ("GET", "/v1/streams/{id}", "streams:read", None),
    ("DELETE", "/v1/streams/{id}", "streams:delete", None),
    ("POST", "/v1/streams/{id}/token", "tokens:mint", {}),
    ("POST", "/v1/streams/{id}/ticket", "tokens:mint", None),
    ("GET", "/v1/streams/{id}/tokens", "tokens:mint", None),
    ("DELETE", "/v1/streams/{id}/tokens", "tokens:mint", None),
    ("DELETE", "/v1/streams/{id}/tokens/0123456789abcdef", "tokens:mint", None),
    ("GET", "/v1/streams/{id}/metrics", "metrics:read", None),
    ("POST", "/v1/explain", "streams:read", {"spec": SPEC}),
    ("GET", "/v1/plugins", "streams:read", None),
    ("POST", "/v1/plugins/rescan", "admin", None),
    ("GET", "/v1/sources", "streams:read", None),
]
OPEN_CALLS = ["/", "/health", "/health/live", "/health/ready", "/schema", "/schema/openapi.json"]


def a_key(folder, *, project="desk", scopes=USUAL_SCOPES):
    """Make a key in a data folder, and return its text."""
    return make_key(key_file(folder), project=project, scopes=scopes, label=None, now_s=1)[0]


def as_holder_of(key):
    """Return the header that presents a key."""
    return {"Authorization": f"Bearer {key}"}


def on_a_server(monkeypatch, folder, scenario, **options):
    """Run `scenario(server)` on a server whose data folder this is."""

    async def run():
        async with asyncio.timeout(60), serving(monkeypatch, data_dir=folder, **options) as server:
            await scenario(server)

    asyncio.run(run())


async def ask(server, method, path, body=None, key=None, stream_id=STREAM):
    """Make one of the calls, and return the answer."""
    headers = as_holder_of(key) if key else {}
    url = path.format(id=stream_id)
    return await server.http.request(method, url, json=body, headers=headers)


async def create_with(server, key):
    """Create the usual stream with a key, and return what the server says of it."""
    answer = await server.http.post("/v1/streams", json={"spec": SPEC}, headers=as_holder_of(key))
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


def test_only_the_hash_of_a_key_is_kept(tmp_path):
    """
    The file is its owner's alone, and what it holds opens nothing.
    """
    text = a_key(tmp_path / "data")
    path = tmp_path / "data" / "keys.json"

    assert text not in path.read_text()
    assert text.rpartition("_")[2] not in path.read_text()
    assert digest_of(text) in path.read_text()
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {one.name for one in path.parent.iterdir()} == {"keys.json", "keys.json.lock"}


def test_processes_that_make_keys_at_once_lose_none(tmp_path):
    """
    Four processes and ten keys each make forty keys, and the file is whole at any moment.
    """
    program = (
        "import sys; from pathlib import Path; from bond_server.auth.keys import *\n"
        "file = key_file(Path(sys.argv[1]))\n"
        "for _ in range(10): make_key(file, project='p', scopes=['admin'], label=None, now_s=1)"
    )
    working = [subprocess.Popen([sys.executable, "-c", program, tmp_path]) for _ in range(4)]
    seen = 0
    while any(one.poll() is None for one in working):
        seen = max(seen, len(key_file(tmp_path).read().keys))

    assert [one.returncode for one in working] == [0] * 4
    assert len(key_file(tmp_path).read().keys) == 40
    assert seen > 0


def test_a_running_server_follows_the_file(tmp_path):
    """
    A key made elsewhere counts from the next call on, and a revoked one no more; and the door
    stays shut when the last is revoked, the file is damaged or gone.
    """
    file = key_file(tmp_path)
    keys = Keys(key_file(tmp_path))
    assert not keys.are_asked_for

    text, key = make_key(file, project="desk", scopes=["admin"], label=None, now_s=1)
    assert keys.are_asked_for
    assert keys.find(text).project == "desk"
    assert keys.find(text[:-1] + ("A" if text[-1] != "A" else "B")) is None

    (tmp_path / "keys.json").write_text("{ nonsense")
    assert keys.find(text) is not None
    with pytest.raises(SetupError, match="damaged"):
        Keys(key_file(tmp_path))

    (tmp_path / "keys.json").unlink()
    assert keys.find(text) is None
    assert keys.are_asked_for
    text, key = make_key(file, project="desk", scopes=["admin"], label=None, now_s=1)
    revoke_key(file, key.key_id, now_s=2)
    assert keys.find(text) is None
    assert Keys(key_file(tmp_path)).are_asked_for


@pytest.mark.parametrize(
    ("written", "project", "scopes"),
    [
        (A_KEY, LOCAL_PROJECT, USUAL_SCOPES),
        (f"{A_KEY}@desk", "desk", USUAL_SCOPES),
        (f"{A_KEY}:streams:read+tokens:mint", LOCAL_PROJECT, {"streams:read", "tokens:mint"}),
        (f"{A_KEY}@desk:admin", "desk", {"admin"}),
        (f"bk_test1_sha256-{digest_of(A_KEY)}@desk", "desk", USUAL_SCOPES),
    ],
)
def test_keys_of_the_environment_are_read(tmp_path, written, project, scopes):
    """
    A key, or its hash, with a project and scopes of its own, or without.
    """
    other = f"bk_test2_{'b' * 43}"
    found = Keys(key_file(tmp_path), parse_keys(f" {written},\n{other} ")).find(A_KEY)

    assert (found.project, found.scopes) == (project, scopes)


@pytest.mark.parametrize(
    "written",
    ["secret", "bk_x_y", f"{A_KEY}@", f"{A_KEY}@Desk", f"{A_KEY}:", f"{A_KEY}:all",
     f"{A_KEY}@desk:admin+", f"{A_KEY},{A_KEY}@desk", "@", ":", "\u0661"],
)  # fmt: skip
def test_a_wrong_entry_is_named_and_never_shown(written):
    """
    What makes no sense in BOND_API_KEYS stops the start, and the text shows no key.
    """
    with pytest.raises(SettingsError) as refused:
        parse_keys(written)

    assert refused.value.problems[0].pointer == "BOND_API_KEYS"
    assert "a" * 43 not in str(refused.value)


@pytest.mark.parametrize(
    ("project", "scopes"), [("", ["admin"]), ("a b", ["admin"]), ("p", []), ("p", ["all"])]
)
def test_a_key_that_makes_no_sense_is_not_made(tmp_path, project, scopes):
    """
    Nothing is written for a project without a name or a scope that there is not.
    """
    with pytest.raises(RequestError):
        a_key(tmp_path, project=project, scopes=scopes)
    assert not (tmp_path / "keys.json").exists()


def test_every_route_says_what_it_takes():
    """
    The table of this test is complete: each handler is open, or stands in it with its scope.
    """
    guarded = {
        (min(handler.http_methods), path): handler.opt["scope"]
        for handler in handlers_of("all")
        for path in handler.paths
        if handler.opt["scope"] != OPEN
    }
    table = {
        (method, path.replace("0123456789abcdef", "{token_id:str}")
         .replace("{id}", "{stream_id:str}")): scope
        for method, path, scope, _ in GUARDED
    }  # fmt: skip

    assert guarded == table
    assert set(guarded.values()) <= set(SCOPES)


def test_without_a_key_nothing_but_the_open_calls_answers(monkeypatch, tmp_path):
    """
    401 with what to do, for no key, a forged one, one cut short, another scheme, a token.
    """
    good = a_key(tmp_path)
    wrong = [good[:-1] + ("A" if good[-1] != "A" else "B"), good[:-1], "x", "é", good + "\n x"]

    async def scenario(server):
        for method, path, _, body in GUARDED:
            answer = await ask(server, method, path, body)
            assert (answer.status_code, answer.json()["code"]) == (401, "key_missing"), path
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["www-authenticate"] == "Bearer"
            assert "bond keys new" in answer.json()["fix"]
        for text in wrong:
            headers = [(b"authorization", f"Bearer {text}".replace("\n", "").encode("latin-1"))]
            answer = await server.http.get("/v1/streams", headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "key_invalid"), text
        for path in OPEN_CALLS:
            assert (await ask(server, "GET", path)).status_code == 200, path
        health = await ask(server, "GET", "/health")
        assert health.json()["streams"] is None
        health = await ask(server, "GET", "/health", key=good)
        assert health.json()["streams"] == 0

    on_a_server(monkeypatch, tmp_path, scenario)


def test_every_call_takes_its_scope_and_no_less(monkeypatch, tmp_path):
    """
    With all other scopes 403 names the missing one; with that scope alone, or admin, it works.
    """
    owner = a_key(tmp_path, scopes=["admin"])
    lacking = {s: a_key(tmp_path, scopes=USUAL_SCOPES - {s}) for s in USUAL_SCOPES}
    having = {s: a_key(tmp_path, scopes=[s]) for s in USUAL_SCOPES}
    lacking["admin"], having["admin"] = a_key(tmp_path, scopes=USUAL_SCOPES), owner

    async def scenario(server):
        for method, path, scope, body in GUARDED:
            stream_id = (await create_with(server, owner))["stream_id"]
            refused = await ask(server, method, path, body, lacking[scope], stream_id)
            assert (refused.status_code, refused.json()["code"]) == (403, "scope"), path
            assert scope in refused.json()["detail"]
            for key in (having[scope], owner):
                stream_id = (await create_with(server, owner))["stream_id"]
                answer = await ask(server, method, path, body, key, stream_id)
                unknown_token = path.endswith("abcdef") and answer.status_code == 404
                assert unknown_token or answer.is_success, (path, answer.text)

    on_a_server(monkeypatch, tmp_path, scenario)


def test_other_projects_streams_are_not_there(monkeypatch, tmp_path):
    """
    Who knows another project's id can't see, delete or mint for it, and is told what one is
    told of an id that is none; the same request makes a stream of one's own.
    """
    one, other = a_key(tmp_path, project="one"), a_key(tmp_path, project="other", scopes=["admin"])

    async def scenario(server):
        made = await create_with(server, one)
        for method, path, _, body in GUARDED:
            if "{id}" not in path:
                continue
            answer = await ask(server, method, path, body, other, made["stream_id"])
            nothing = await ask(server, method, path, body, other, STREAM)
            assert (answer.status_code, nothing.status_code) == (404, 404), (method, path)
            assert answer.json()["code"] == nothing.json()["code"] == "unknown_stream"
        assert (await ask(server, "GET", "/v1/streams", key=other)).json() == []
        assert server.bond.find(made["stream_id"]) is not None

        theirs = await create_with(server, other)
        assert theirs["stream_id"] != made["stream_id"]
        seen = (await ask(server, "GET", "/v1/streams", key=one)).json()
        assert [stream["stream_id"] for stream in seen] == [made["stream_id"]]
        async with server.socket(made, token=theirs["access_token"]) as socket:
            await socket.wait_closed()
            assert (socket.close_code, socket.close_reason) == (1008, "token_invalid")

    on_a_server(monkeypatch, tmp_path, scenario)


def test_limits_are_each_projects_own(monkeypatch, tmp_path):
    """
    One project's full house leaves another's empty.
    """
    one, other = a_key(tmp_path, project="one"), a_key(tmp_path, project="other")

    async def scenario(server):
        await create_with(server, one)
        body = {"spec": SPEC | {"interval_sec": 2}}
        full = await ask(server, "POST", "/v1/streams", body, one)
        assert (full.status_code, full.json()["limit"], full.json()["used"]) == (429, 1, 1)
        assert int(full.headers["retry-after"]) >= 1
        assert (await ask(server, "POST", "/v1/streams", body, other)).status_code == 201

    on_a_server(monkeypatch, tmp_path, scenario, max_streams=1)


def test_a_key_revoked_elsewhere_is_refused_at_once(monkeypatch, tmp_path):
    """
    The next call after `bond keys revoke` is 401, and without a key it still is.
    """
    key = a_key(tmp_path)

    async def scenario(server):
        assert (await ask(server, "GET", "/v1/streams", key=key)).status_code == 200
        revoke_key(key_file(tmp_path), key.split("_")[1], now_s=2)
        answer = await ask(server, "GET", "/v1/streams", key=key)
        assert (answer.status_code, answer.json()["code"]) == (401, "key_invalid")
        assert (await ask(server, "GET", "/v1/streams")).status_code == 401

    on_a_server(monkeypatch, tmp_path, scenario)


def test_a_client_that_sends_its_key_everywhere_can_listen(monkeypatch, tmp_path):
    """
    An API key in the header of the events' address does not hide the token in its query.
    """
    key = a_key(tmp_path)

    async def scenario(server):
        made = await create_with(server, key)
        headers = as_holder_of(key)
        async with server.http.stream("GET", made["sse_url"], headers=headers) as events:
            assert events.status_code == 200
        bare = made["sse_url"].partition("?")[0]
        assert (await server.http.get(bare, headers=headers)).json()["code"] == "token_invalid"

    on_a_server(monkeypatch, tmp_path, scenario)


def test_without_any_key_everything_is_open(monkeypatch, tmp_path):
    """
    On loopback nobody is asked, whatever they present.
    """

    async def scenario(server):
        made = await create_with(server, "nonsense")
        answer = await ask(server, "GET", "/v1/streams")
        assert [stream["stream_id"] for stream in answer.json()] == [made["stream_id"]]
        assert server.bond.find(made["stream_id"]).project == LOCAL_PROJECT

    on_a_server(monkeypatch, tmp_path, scenario)


def test_metrics_are_for_who_may_read_them(monkeypatch, tmp_path):
    """
    From this machine without a key; passed on by a proxy with one of the scope, and no other.
    """
    reader, writer = (a_key(tmp_path, scopes=[s]) for s in ("metrics:read", "streams:write"))

    async def scenario(server):
        async def status(key=None, **headers):
            headers |= as_holder_of(key) if key else {}
            return (await server.http.get("/metrics", headers=headers)).status_code

        passed_on = {"X-Forwarded-For": "192.0.2.1"}
        assert await status() == 200
        assert await status(reader, **passed_on) == 200
        assert [await status(key, **passed_on) for key in (None, writer, "x")] == [403] * 3

    on_a_server(monkeypatch, tmp_path, scenario)


def test_openapi_tells_of_the_key(monkeypatch, tmp_path):
    """
    The document names the scheme, and the answers that a call without a key gets.
    """

    async def scenario(server):
        document = json.loads((await server.http.get("/schema")).text)
        assert document["components"]["securitySchemes"]["ApiKey"]["scheme"] == "bearer"
        for method, path, _, _ in GUARDED:
            route = path.replace("{id}", "{stream_id}").replace("0123456789abcdef", "{token_id}")
            answers = document["paths"][route][method.lower()]["responses"]
            assert {"401", "403", "429"} <= set(answers), route

    on_a_server(monkeypatch, tmp_path, scenario)
