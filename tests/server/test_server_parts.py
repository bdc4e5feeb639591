"""What plugins add to the server: served like Bond's own, and no harm where one is broken."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from contextlib import asynccontextmanager
from types import ModuleType

import attrs
import pytest

from bond_core.plugin import (
    Answer,
    AnsweredError,
    CommandSpec,
    EventFlow,
    Fatal,
    Route,
    ServerSpec,
    hookimpl,
    setting,
)
from bond_core.plugin.catalog import Catalog
from bond_core.plugin.discovery import PluginRow, register
from bond_server import cli
from bond_server.auth.keys import key_file, make_key, parse_keys, revoke_key
from bond_server.cli import added
from tests.server import running
from tests.server.running import serving

KEY = f"bk_reader_{'a' * 43}"


@attrs.frozen
class AcmeConfig:
    """What the environment says to it."""

    city: str = setting(default="Bern", env="ACME_CITY", doc="Which city")


class Acme:
    """A part that works."""

    closed = opened = 0
    meanwhile = staticmethod(lambda: None)

    def __init__(self, host):
        self.host = host
        self.routes = (
            Route("GET", "/acme/{city}", self.show, summary="The weather"),
            Route(
                "GET",
                "/acme/{city}/live",
                self.live,
                summary="Live",
                by_token=True,
                gives="events",
                parameters={"ends": "Whether it ends"},
            ),
            Route("GET", "/acme/kept/live", self.keep, summary="By key", gives="events"),
            Route("GET", "/acme/odd/live", self.keep, summary="Says it gives JSON"),
            Route("DELETE", "/acme/{city}", self.refuse, summary="No", scope="admin"),
            Route("GET", "/acme/bug/here", self.bug, summary="Breaks"),
        )

    def about(self):
        """Say where things are."""
        return {"weather": "/acme/{city}"}

    def health(self):
        """Say how it is."""
        return {"city": self.host.config.city}

    async def show(self, asked):
        """Answer at once."""
        return Answer({"city": asked.path["city"], "query": dict(asked.query)})

    async def refuse(self, asked):
        """Say no."""
        raise AnsweredError("Not here", status=418, code="acme_no", more={"error": {"code": "X"}})

    async def keep(self, asked):
        """Open something upstream, and send what comes."""
        Acme.opened += 1
        if asked.query.get("waits"):
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                Acme.closed += 1
        return EventFlow(messages=Opened())

    async def bug(self, asked):
        """Break."""
        raise ZeroDivisionError

    async def live(self, asked):
        """Send two messages, then wait for ever."""
        Acme.meanwhile()

        async def messages():
            try:
                yield [b'{"n":1}', b'{"n":2}']
                if asked.query.get("ends"):
                    return
                if asked.query.get("breaks"):
                    raise ZeroDivisionError
                if asked.query.get("fails"):
                    raise ConnectionResetError
                await asyncio.get_running_loop().create_future()
            finally:
                Acme.closed += 1

        said = lambda word, _: json.dumps({"bye": word}).encode()  # noqa: E731
        headers = {"Acme-City": asked.path["city"], "Acme-Query": json.dumps(dict(asked.query))}
        return EventFlow(messages=messages(), bye=said, headers=headers)


class Opened:
    """Messages that hold something from the start, and are over at once."""

    async def __anext__(self):
        raise StopAsyncIteration

    async def aclose(self):
        """Let go."""
        Acme.closed += 1


class Raises:
    """A part whose making fails."""

    def __init__(self, host):
        raise Fatal("there is no licence")


class Elsewhere(Acme):
    """A part whose route is not below its prefix."""

    def __init__(self, host):
        self.routes = (Route("GET", "/v1/streams", self.show, summary="Takes over"),)


class Conflicting(Acme):
    """A part whose routes the web framework would refuse."""

    def __init__(self, host):
        self.routes = (
            Route("GET", "/odd/{city}", self.show, summary="By city"),
            Route("GET", "/odd/{town}/live", self.show, summary="By town"),
        )


class Odd(Acme):
    """A part with a path that is none."""

    def __init__(self, host):
        self.routes = (Route("GET", "/path/{city:int}", self.show, summary="By number"),)


class Sick(Acme):
    """A part that breaks where it should say how it is."""

    def __init__(self, host):
        self.routes = ()

    def health(self):
        """Break."""
        raise RuntimeError("no pulse")

    def about(self):
        """Say what can't be written."""
        return {"pulse": object()}


def a_part(cls, name, prefix="/acme", **more):
    """Return a plugin's row with one part of the server."""
    spec = ServerSpec(
        name=name, factory=f"{__name__}:{cls}", prefix=prefix, summary="Weather", **more
    )
    return PluginRow(
        name=name, distribution="acme", version="1", module="acme", state="loaded", specs=(spec,)
    )


@asynccontextmanager
async def server_of(monkeypatch, *rows, **settings):
    """Run a server with these plugins beside what is built in."""
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
    plain = running.a_catalog()
    monkeypatch.setattr(running, "a_catalog", lambda: Catalog([*plain.rows, *rows]))
    async with serving(monkeypatch, **settings) as server:
        yield server


def acme():
    """Return the part that works."""
    return a_part("Acme", "acme", config=AcmeConfig)


def test_routes_are_served(monkeypatch):
    """
    Answers, refusals with a status of the plugin's own, faults as 500; `/`, `/health`, `/schema`.
    """

    async def go():
        monkeypatch.setenv("ACME_CITY", "Basel")
        async with server_of(monkeypatch, acme()) as server:
            http = server.http
            return (
                await http.get("/acme/Chur?now=1"), await http.delete("/acme/Chur"),
                await http.get("/acme/bug/here"), (await http.get("/")).json()["parts"],
                (await http.get("/health")).json()["parts"],
                (await http.get("/schema/openapi.json")).json()["paths"],
            )  # fmt: skip

    shown, refused, broken, about, health, paths = asyncio.run(go())
    assert shown.json() == {"city": "Chur", "query": {"now": "1"}}
    assert (refused.status_code, refused.json()["code"]) == (418, "acme_no")
    assert refused.json()["error"] == {"code": "X"}
    assert (broken.status_code, broken.json()["code"]) == (500, "internal")
    assert about == {"acme": {"summary": "Weather", "weather": "/acme/{city}"}}
    assert health == {"acme": {"status": "ok", "city": "Basel"}}
    assert {"/acme/{city}", "/acme/{city}/live", "/acme/token"} <= paths.keys()
    live = paths["/acme/{city}/live"]["get"]
    assert {p["name"] for p in live["parameters"]} == {"city", "ends", "token"}
    assert list(live["responses"]["200"]["content"]) == ["text/event-stream"]


def test_events_are_framed_and_closed(monkeypatch):
    """
    Unnamed events; the messages are closed when they end, break, or their client hangs up.
    """

    async def go():
        Acme.closed = 0
        async with server_of(monkeypatch, acme()) as server:
            whole = await server.http.get("/acme/Chur/live?ends=1")
            broken = await server.http.get("/acme/Chur/live?breaks=1")
            async with server.http.stream("GET", "/acme/Chur/live") as answer:
                assert [line async for line in _first(answer, 2)] == ['data: {"n":1}', ""]
            async with asyncio.timeout(10):
                while Acme.closed < 3:  # noqa: ASYNC110 -- nothing tells
                    await asyncio.sleep(0.01)
            return whole, broken

    whole, broken = asyncio.run(go())
    assert whole.headers["content-type"].startswith("text/event-stream")
    assert whole.headers["acme-city"] == "Chur"
    assert whole.text == 'data: {"n":1}\n\ndata: {"n":2}\n\n'
    assert broken.text == whole.text + 'data: {"bye": "internal"}\n\n'


async def _first(answer, n):
    async for line in answer.aiter_lines():
        yield line
        n -= 1
        if not n:
            return


def test_a_leaving_server_says_goodbye(monkeypatch):
    """
    Who listens when the server ends is told `restart`, and its messages are closed.
    """

    async def go():
        Acme.closed = 0
        async with (
            server_of(monkeypatch, acme(), drain_s=0) as server,
            server.http.stream("GET", "/acme/Chur/live") as answer,
        ):
            lines = answer.aiter_lines()
            first = await anext(lines)
            server.task.cancel()
            return [first, *[line async for line in lines]]

    said = [line for line in asyncio.run(go()) if line]
    assert said == ['data: {"n":1}', 'data: {"n":2}', 'data: {"bye": "restart"}']
    assert Acme.closed == 1


def test_keys_and_tokens_open_it(monkeypatch):
    """
    Where keys are asked for, a key with the scope; a token opens what may be opened by one.
    """

    async def go():
        async with server_of(monkeypatch, acme(), api_keys=parse_keys(KEY)) as server:
            http, path = server.http, "/acme/Chur/live?ends=1"
            key = {"Authorization": f"Bearer {KEY}"}
            token = (await http.post("/acme/token", headers=key)).json()["token"]
            asked = [
                http.get("/acme/Chur"), http.get("/acme/Chur", headers=key), http.get(path),
                http.get(path, headers=key), http.get(f"{path}&token={token}"),
                http.get(f"{path}&token=1763000000.0123456789abcdef"),
                http.get(path, headers={"Authorization": f"Bearer {token}"}),
                http.get(f"/acme/Chur?token={token}"), http.delete("/acme/Chur", headers=key),
            ]  # fmt: skip
            return [(await each).status_code for each in asked]

    assert asyncio.run(go()) == [401, 200, 401, 200, 200, 401, 200, 401, 403]


@pytest.mark.parametrize("is_early", [True, False])
def test_a_revoked_key_listens_no_more(monkeypatch, tmp_path, is_early):
    """
    Whether it is revoked between being admitted and listening, or while it listens.
    """
    file = key_file(tmp_path)
    text, key = make_key(file, project="local", scopes=["streams:read"], label=None, now_s=1)

    def revoke():
        revoke_key(file, key.key_id, now_s=2)

    async def go():
        headers = {"Authorization": f"Bearer {text}"}
        async with (
            server_of(monkeypatch, acme(), data_dir=tmp_path) as server,
            asyncio.timeout(5),
            server.http.stream("GET", "/acme/Chur/live", headers=headers) as answer,
        ):
            if not is_early:
                revoke()
            return [line async for line in answer.aiter_lines()]

    if is_early:
        monkeypatch.setattr(Acme, "meanwhile", revoke)
    assert asyncio.run(go())[-2] == 'data: {"bye": "token_revoked"}'


@pytest.mark.parametrize(("path", "opens"), [("/acme/kept/live", 0), ("/acme/odd/live", 1)])
def test_who_may_not_listen_leaves_nothing_open(monkeypatch, path, opens):
    """
    A refused caller of events by key opens nothing; what is open when it is refused is closed.
    """

    async def go():
        Acme.closed = Acme.opened = 0
        async with server_of(monkeypatch, acme()) as server:
            answer = await server.http.get(path, headers={"Sec-Fetch-Site": "cross-site"})
        return answer.status_code, Acme.opened, Acme.closed

    assert asyncio.run(go()) == (403, opens, opens)


def test_a_plugins_own_lost_connection_is_told(monkeypatch, caplog):
    """
    An OSError of the messages is a fault in the server, told and logged; not a client that left.
    """

    async def go():
        async with server_of(monkeypatch, acme()) as server:
            return (await server.http.get("/acme/Chur/live?fails=1")).text

    caplog.set_level(logging.ERROR, "bond.server")
    assert asyncio.run(go()).endswith('data: {"bye": "internal"}\n\n')
    assert "broke off" in caplog.text


def test_a_bad_token_is_told_where_to_get_another(monkeypatch):
    """
    The fix is the part's own address, which this caller can ask.
    """

    async def go():
        async with server_of(monkeypatch, acme(), api_keys=parse_keys(KEY)) as server:
            return (await server.http.get("/acme/Chur/live?token=1.bad")).json()

    said = asyncio.run(go())
    assert (said["code"], said["fix"]) == ("token_invalid", "POST /acme/token")


def test_a_query_is_the_last_said_and_keeps_no_token(monkeypatch):
    """
    Of a name that stands there twice the last counts; what opens the route is not handed on.
    """

    async def go():
        async with server_of(monkeypatch, acme()) as server:
            shown = await server.http.get("/acme/Chur?now=1&now=2&token=mine")
            live = await server.http.get("/acme/Chur/live?ends=1&ends=2&token=a.b&ticket=c")
            return shown.json()["query"], json.loads(live.headers["acme-query"])

    assert asyncio.run(go()) == ({"now": "2", "token": "mine"}, {"ends": "2"})


def test_the_tokens_of_a_part_are_short_and_can_be_revoked(monkeypatch):
    """
    A day at most, unregistered; one call ends those given and who listens, and spares new ones.
    """

    async def go():
        keys = parse_keys(KEY)
        async with (
            asyncio.timeout(10),
            server_of(monkeypatch, acme(), api_keys=keys, token_ttl_s=3 * 86_400) as server,
        ):
            http, key = server.http, {"Authorization": f"Bearer {KEY}"}

            async def token():
                said = (await http.post("/acme/token", headers=key)).json()
                return said["token"], said["expires_in_sec"]

            old, lasts_s = await token()
            async with http.stream("GET", f"/acme/Chur/live?token={old}") as answer:
                revoked = await http.delete("/acme/tokens", headers=key)
                lines = [line async for line in answer.aiter_lines()]
            fresh, _ = await token()
            opened = [
                (await http.get(f"/acme/Chur/live?ends=1&token={each}")).status_code
                for each in (old, fresh)
            ]
            strangers = await http.delete("/acme/tokens")
            return lasts_s, revoked.status_code, lines[-2], opened, strangers.status_code

    bye = 'data: {"bye": "token_revoked"}'
    assert asyncio.run(go()) == (86_400, 204, bye, [401, 200], 401)


def test_a_page_may_read_that_it_is_simulated(monkeypatch):
    """
    `Bond-Simulated` is among the headers that browsers show to pages of another origin.
    """

    async def go():
        async with server_of(monkeypatch, acme()) as server:
            said = {"Origin": "http://localhost:3000"}
            return (await server.http.get("/acme/Chur", headers=said)).headers

    shown = asyncio.run(go())["access-control-expose-headers"]
    assert "Bond-Simulated" in shown.split(", ")


def test_who_leaves_before_the_first_event_is_noticed(monkeypatch):
    """
    The handler that still waits for something upstream is cancelled.
    """

    async def go():
        Acme.closed = Acme.opened = 0
        async with server_of(monkeypatch, acme()) as server, asyncio.timeout(5):
            asking = asyncio.create_task(server.http.get("/acme/kept/live?waits=1"))
            while not Acme.opened:  # noqa: ASYNC110 -- nothing tells
                await asyncio.sleep(0.01)
            asking.cancel()
            while not Acme.closed:  # noqa: ASYNC110 -- nothing tells
                await asyncio.sleep(0.01)

    asyncio.run(go())


STRANGERS = {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}
FRIENDS = {}, {"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-site"}


def test_a_strangers_page_opens_nothing(monkeypatch):
    """
    Its EventSource and its images are 403 before the route is asked; pages of here are served.
    """

    async def go():
        Acme.closed = 0
        async with server_of(monkeypatch, acme()) as server:
            path = "/acme/Chur/live?ends=1"
            asked = [server.http.get(path, headers=said) for said in (*STRANGERS, *FRIENDS)]
            return [(await each).status_code for each in asked]

    assert asyncio.run(go()) == [403, 403, 200, 200]
    assert Acme.closed == 2


def test_a_broken_part_is_told_and_left_out(monkeypatch, caplog):
    """
    One that raises, one that takes another's address, one that can't be loaded: the rest is up.
    """

    async def go():
        rows = [
            a_part("Raises", "raises", "/raises"), a_part("Elsewhere", "takes", "/takes"),
            a_part("Nobody", "gone", "/gone"), a_part("Sick", "sick", "/sick"), acme(),
            a_part("Conflicting", "odd", "/odd"), a_part("Odd", "path", "/path"),
        ]  # fmt: skip
        async with server_of(monkeypatch, *rows) as server:
            return (
                (await server.http.get("/health")).json(), await server.http.get("/acme/Chur"),
                await server.http.get("/v1/streams"), (await server.http.get("/")).json()["parts"],
            )  # fmt: skip

    caplog.set_level(logging.ERROR, "bond.server")
    health, acme_s, streams, about = asyncio.run(go())
    assert health["status"] == "ok"
    reasons = {name: part.get("reason", "") for name, part in health["parts"].items()}
    assert reasons["raises"] == "there is no licence"
    assert "/v1/streams is not below /takes" in reasons["takes"]
    assert "can't be loaded" in reasons["gone"]
    assert reasons["sick"] == "it can't say how it is; the log says why"
    assert about["sick"] == {"summary": "Weather", "status": "failed"}
    assert "others call {town} {city}" in reasons["odd"]
    assert "'/path/{city:int}'" in reasons["path"]
    assert "no pulse" in caplog.text
    assert {name for name, part in health["parts"].items() if part["status"] == "failed"} == {
        "raises", "takes", "gone", "sick", "odd", "path"
    }  # fmt: skip
    assert (acme_s.status_code, streams.json()) == (200, [])
    assert "the part raises of the server is left out" in caplog.text


BAD_SPECS = {
    "/v1": "Bond's own",
    "/Acme": "is written like",
    "acme": "is written like",
    "/a/b": "is written like",
}


@pytest.mark.parametrize("prefix", BAD_SPECS)
def test_a_prefix_is_the_plugins_own(prefix):
    """
    One that is Bond's, or no prefix, is refused when the plugin loads.
    """
    module = ModuleType("acme")
    spec = ServerSpec(name="acme", factory="m:C", prefix=prefix, summary="s")
    module.bond_server_parts = hookimpl(lambda: [spec])

    with pytest.raises(Exception, match=BAD_SPECS[prefix]):
        register(module, name="acme")


def test_two_plugins_with_one_prefix_are_told():
    """
    The first keeps it; the other one's row says so.
    """
    rows = Catalog([acme(), a_part("Sick", "other")]).rows

    assert [row.state for row in rows] == ["loaded", "conflict"]
    assert "'/acme' is taken by acme" in rows[1].reason


def greet_arguments(parser):
    """Declare what `bond greet` takes."""
    parser.add_argument("name")


async def greet(args, host):
    """Say hello, and where the host looks."""
    sys.stdout.write(f"hello {args.name}, {host.config.city}, simulated {host.is_simulated}\n")
    return 3


def test_a_plugins_command_runs(monkeypatch, capsys):
    """
    `bond greet`: its arguments, its settings, its status; and one mistyped is suggested.
    """
    spec = CommandSpec(
        name="greet", factory=f"{__name__}:greet", arguments=f"{__name__}:greet_arguments",
        summary="say hello", config=AcmeConfig,
    )  # fmt: skip
    row = attrs.evolve(acme(), specs=(spec,))
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
    monkeypatch.setattr(added.Catalog, "loaded", classmethod(lambda cls, _: Catalog([row])))

    assert cli.main(["greet", "you", "--simulate"]) == 3
    assert cli.main(["gret"]) == 2
    said = capsys.readouterr()
    assert said.out == "hello you, Bern, simulated True\n"
    assert "try: bond greet" in said.err
    with pytest.raises(SystemExit):
        cli.main(["greet"])
