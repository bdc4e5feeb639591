"""Where a token may stand, tokens of version 2, and tickets that are good once."""

from __future__ import annotations

import asyncio
import base64
import json
import re

import pytest
from websockets.asyncio.client import connect

from bond_core.clock import NS, ManualClock
from bond_core.log.offset import START
from bond_core.settings import Secret
from bond_server.auth.tickets import TICKET_S
from bond_server.auth.tokens import TokenError, Tokens, key_id_of
from tests.server.running import SECRET, closing, receive, serving

STREAM, OTHER = "8f2a1c9d4b3e7a10", "0f2a1c9d4b3e7a10"
NOW_S = 1_761_053_405


def on_a_server(monkeypatch, scenario, **options):
    """Create a stream on a server, and run `scenario(server, created)`."""

    async def run():
        async with asyncio.timeout(60), serving(monkeypatch, **options) as server:
            await scenario(server, await server.create())

    asyncio.run(run())


def encoded(text):
    """Return a token as a subprotocol's name carries it."""
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def dial(server, created, query="", protocols=None, bearer=None):
    """Return a connection that presents what is said, and nothing else."""
    url = f"ws://{server.address}/ws/{created['stream_id']}{query}"
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    return connect(url, subprotocols=protocols, additional_headers=headers, proxy=None)


async def ask(server, created, what, **body):
    """Ask for a token or ticket, and return the answer's body."""
    answer = await server.http.post(f"/v1/streams/{created['stream_id']}/{what}", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()


async def hears(server, created, connecting):
    """Return how a connection goes: `True` if it brings a record, else the close code."""
    async with connecting as socket:
        # Appended once the server has seen the client, or has closed it: whichever is first.
        end_ms = int((await server.bond.log.read(created["stream_id"], START, 1)).top.ms) + 1000
        await server.publish(created["stream_id"], (end_ms, 1))
        try:
            await receive(socket, 1)
        except Exception:  # noqa: BLE001 -- closed: `closing` says how
            return await closing(socket)
        return True


def test_places_are_looked_at_in_order(monkeypatch):
    """
    A header comes before a subprotocol, that before the query: the first one found decides.
    """

    async def scenario(server, created):
        good, bad = created["access_token"], "1761053465.f1189e3ca7ce6df8"
        offered = ["bond.plain", f"bond.token.{encoded(good)}"]
        spoilt = ["bond.plain", f"bond.token.{encoded(bad)}"]
        invalid = (1008, "token_invalid")
        for connecting, wanted in (
            (dial(server, created, f"?token={good}"), True),
            (dial(server, created, protocols=offered), True),
            (dial(server, created, f"?token={bad}", offered), True),
            (dial(server, created, f"?token={good}", spoilt), invalid),
            (dial(server, created, f"?token={bad}", spoilt, bearer=good), True),
            (dial(server, created, f"?token={good}", offered, bearer=bad), invalid),
            (dial(server, created, f"?token={good}", bearer=f"bk_abcd_{'a' * 43}"), True),
            (dial(server, created, protocols=["bond.plain", "bond.token.!"]), invalid),
            (dial(server, created, protocols=["bond.plain", "bond.token.w6k"]), invalid),
        ):
            assert await hears(server, created, connecting) == wanted

    on_a_server(monkeypatch, scenario)


def test_a_subprotocol_is_chosen_and_never_the_tokens(monkeypatch):
    """
    A browser that offers subprotocols gets one of them back, and its token does not come back.
    """

    async def scenario(server, created):
        name = f"bond.token.{encoded(created['access_token'])}"
        async with dial(server, created, protocols=["bond.plain", name]) as socket:
            assert socket.subprotocol == "bond.plain"
            assert name not in str(socket.response.headers)
        async with dial(server, created, protocols=[name]) as socket:
            assert socket.subprotocol is None

    on_a_server(monkeypatch, scenario)


def test_a_second_token_says_what_it_is():
    """
    Key id, claims and the whole signature, over everything, with a key of its own.
    """
    tokens = Tokens(Secret(SECRET), ManualClock(NOW_S * NS), ttl_s=60)
    one, other = (tokens.issue_second(STREAM, "desk").text for _ in range(2))
    assert re.fullmatch(r"b2\.[0-9a-f]{8}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{43}", one)
    assert one != other

    _, kid, claims, _ = one.split(".")
    said = json.loads(base64.urlsafe_b64decode(claims + "=="))
    assert kid == key_id_of(Secret(SECRET))
    assert SECRET not in one
    assert said.pop("jti")
    assert said == {
        "sid": STREAM, "prj": "desk", "exp": NOW_S + 60, "iat": NOW_S, "scp": ["replay", "sub"],
    }  # fmt: skip
    grant = tokens.verify(STREAM, one)
    assert (grant.expiry_s, grant.project) == (NOW_S + 60, "desk")


def test_a_changed_second_token_opens_nothing():
    """
    Whatever single character of it is changed, and with whatever other secret it is signed.
    """
    tokens = Tokens(Secret(SECRET), ManualClock(NOW_S * NS))
    good = tokens.issue_second(STREAM, "desk").text
    changed = [
        good[:at] + ("A" if good[at] != "A" else "B") + good[at + 1 :] for at in range(len(good))
    ]
    theirs = Tokens(Secret("x" * 40), ManualClock(NOW_S * NS)).issue_second(STREAM, "desk").text
    kid = good.split(".")[1]
    renamed = theirs.replace(theirs.split(".")[1], kid, 1)
    for text in [*changed, theirs, renamed, f"{good}=", good[:-1], f"{STREAM}.{good}"]:
        with pytest.raises(TokenError) as refused:
            tokens.verify(STREAM, text)
        assert refused.value.code == "token_invalid"
    with pytest.raises(TokenError):
        tokens.verify(OTHER, good)


def test_a_second_token_is_given_to_who_asks(monkeypatch):
    """
    It opens the stream; without the scope `replay` it hears what is new and nothing before.
    """

    async def scenario(server, created):
        assert not (await ask(server, created, "token"))["token"].startswith("b2.")
        full = (await ask(server, created, "token", version=2))["token"]
        live = (await ask(server, created, "token", version=2, scopes=["sub"]))["token"]
        assert await hears(server, created, server.socket(created, token=full, after="0-0"))
        assert await hears(server, created, server.socket(created, token=live))
        for query in ({"after": "0-0"}, {"from": "now-5m"}):
            async with server.socket(created, token=live, **query) as socket:
                assert await closing(socket) == (1008, "scope")
        where = f"/v1/streams/{created['stream_id']}/events"
        answer = await server.http.get(where, params={"token": live, "from": "now-5m"})
        assert (answer.status_code, answer.json()["code"]) == (403, "scope")
        headers = {"Last-Event-ID": "1000-0"}
        answer = await server.http.get(where, params={"token": live}, headers=headers)
        assert answer.status_code == 403

    on_a_server(monkeypatch, scenario)


def test_a_ticket_is_good_once(monkeypatch):
    """
    For one connection to its stream; the second, and another stream's, are refused like any.
    """

    async def scenario(server, created):
        given = await ask(server, created, "ticket")
        assert given["expires_in_sec"] == TICKET_S
        assert given["ws_url"].endswith(f"/ws/{created['stream_id']}?ticket={given['ticket']}")
        assert await hears(server, created, connect(given["ws_url"], proxy=None)) is True
        again = await hears(server, created, connect(given["ws_url"], proxy=None))
        assert again == (1008, "token_invalid")
        other = await server.create(interval_sec=2)
        given = await ask(server, created, "ticket")
        query = f"?ticket={given['ticket']}"
        assert await hears(server, other, dial(server, other, query)) == (1008, "token_invalid")

    on_a_server(monkeypatch, scenario)


def test_a_ticket_opens_for_half_a_minute_what_lasts_as_long_as_any(monkeypatch):
    """
    After 30 s it is none; used in time, its connection lives on until a token's would end.
    """
    clock = ManualClock(NOW_S * NS)

    async def scenario(server, created):
        used, late = [await ask(server, created, "ticket") for _ in range(2)]
        async with connect(used["ws_url"], proxy=None) as socket:
            await clock.advance(TICKET_S + 1)
            async with connect(late["ws_url"], proxy=None) as refused:
                assert await closing(refused) == (1008, "token_invalid")
            await server.publish(created["stream_id"], (1000, 1))
            assert await receive(socket, 1) == ["1000-0"]
            await clock.advance(60)
            assert await closing(socket) == (1008, "token_expired")

    on_a_server(monkeypatch, scenario, clock=clock, token_ttl_s=60)
