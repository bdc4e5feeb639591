"""What the conformance kit's checks stand on: clock, network guard, schemas, disk."""

from __future__ import annotations

import asyncio
import importlib
import socket

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bond_core.clock import NS, settle
from bond_core.plugin import Secret, setting
from bond_core.settings import json_schema
from bond_core.testing.cassette import Cassette
from bond_core.testing.full_disk import full_disk
from bond_core.testing.leaks import leaks_in
from bond_core.testing.no_network import NetworkUsedError, no_network
from bond_core.testing.schemas import broken_promises, plain_credentials
from bond_core.testing.virtual_clock import VirtualClock
from tests.core.testing.test_kit_mutants import twin
from tests.journeys.installed import lay_out, on_path

# The network


@pytest.mark.parametrize(
    ("work", "address"),
    [
        ('socket.create_connection(("127.0.0.1", 9))', "127.0.0.1"),
        ('await asyncio.open_connection("venue.example", 443)', "venue.example"),
        (
            "with socket.socket(type=socket.SOCK_DGRAM) as s: s.sendto(b'x', ('127.0.0.1', 9))",
            "127.0.0.1",
        ),
    ],
    ids=["at once", "by name", "a datagram"],
)
def test_a_connector_with_a_connection_of_its_own_is_told_so(tmp_path, work, address):
    """
    Whatever becomes of it in the connector, the check fails and says where it wanted to go.
    """
    files = twin()
    text = files["bond_twin/raw.py"]
    start = "        wanted = await ctx.wanted.changed(frozenset())\n"
    assert start in text
    files["bond_twin/raw.py"] = "import asyncio, socket\n" + text.replace(
        start,
        f"{start}        try:\n            {work}\n        except OSError:\n            pass\n",
    )
    lay_out(tmp_path, files)
    with on_path(tmp_path):
        suite = importlib.import_module("bond_twin.conformance").TestRaw()
        with pytest.raises(AssertionError, match="went to the network by itself") as told:
            suite.test_its_events_make_sense()

    assert address in str(told.value)


def test_the_network_is_back_afterwards():
    """
    Refused inside, and as it was outside.
    """
    plain = socket.socket.connect
    with no_network() as tried, pytest.raises(NetworkUsedError):
        socket.getaddrinfo("venue.example", 443)

    assert tried == ["look up 'venue.example'"]
    assert socket.socket.connect is plain


# The clock


MOVES = st.one_of(
    st.tuples(st.just("pass"), st.integers(0, 50)), st.tuples(st.just("step"), st.integers(-50, 50))
)


@given(st.lists(MOVES, max_size=12))
def test_setting_the_clock_lets_no_time_pass(moves):
    """
    What sleeps for seconds wakes when they have passed, what waits for a time of day when it is.
    """

    async def go():
        clock = VirtualClock(1_000 * NS)
        woken = {}

        async def sleep(name, waiting):
            await waiting
            woken[name] = (clock.monotonic_ns(), clock.now_ns())

        tasks = [
            asyncio.create_task(sleep("for", clock.sleep(20))),
            asyncio.create_task(sleep("until", clock.sleep_until(1_020 * NS))),
        ]
        passed_s = 0
        for what, seconds in moves:
            if what == "step":
                clock.step(seconds)
            else:
                await clock.advance(seconds)
                passed_s += seconds
            assert ("for" in woken) == (passed_s >= 20)
            assert clock.monotonic_ns() == (1_000 + passed_s) * NS
        await settle()
        for task in tasks:
            task.cancel()
        if "for" in woken:
            assert woken["for"][0] == 1_020 * NS
        if "until" in woken:
            assert woken["until"][1] >= 1_020 * NS

    asyncio.run(go())


# What a source says


def test_a_cassette_says_everything_on_each_connection():
    """
    Answers in turn and the last again; messages from the first; what is raised is raised once.
    """

    async def go():
        source = Cassette([1, ValueError("once"), 2], clock=VirtualClock())
        said = [await source.get_json("u")]
        with pytest.raises(ValueError, match="once"):
            await source.get_json("u")
        return [*said, *[await source.get_json("u") for _ in range(4)]], source.sent

    said, sent = asyncio.run(go())
    assert said == [1, 1, 2, 2, 2]
    assert sent[0] == ("u", None)


# Settings over time


@attrs.frozen
class Inner:
    """Settings inside others."""

    api_key: str = setting(default="", doc="k")


@attrs.frozen
class Settings:
    """Settings of each kind."""

    key: Secret = setting(doc="k")
    token: str | None = setting(default=None, doc="t")
    keyboard: str = setting(default="", doc="no credential")
    n: int = setting(default=1, ge=1, le=9, doc="n")
    how: str = setting(default="a", choices=("a", "b"), doc="h")
    inner: Inner = setting(default=Inner(), doc="i")


def test_credentials_are_found_inside_too():
    """
    By their names, and where they may be left out as well.
    """
    assert sorted(plain_credentials(Settings)) == ["inner.api_key", "token"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda s: s["properties"].pop("n"), "n is gone"),
        (lambda s: s["required"].append("n"), "n is required"),
        (lambda s: s["properties"]["n"].update(minimum=2), "at least 2"),
        (lambda s: s["properties"]["n"].pop("minimum"), None),
        (lambda s: s["properties"]["n"].update(type="number"), None),
        (lambda s: s["properties"]["n"].update(type="string"), "n was integer and is string"),
        (lambda s: s["properties"]["how"].update(enum=["a"]), "may no longer be b"),
        (lambda s: s["properties"]["how"].update(enum=["a", "b", "c"]), None),
        (lambda s: s["properties"]["token"].update(enum=["x"]), "only be one of"),
        (lambda s: s["properties"]["inner"]["properties"].clear(), "inner.api_key is gone"),
        (lambda s: s["properties"].update(more={"type": "string"}), None),
    ],
)
def test_what_a_release_may_change(change, told):
    """
    It may allow more, and nothing less.
    """
    now = json_schema(Settings)
    change(now)

    broken = broken_promises(json_schema(Settings), now)

    assert [told in each for each in broken] == ([True] if told else [])


# Secrets, and disks


def test_what_is_no_secret_is_none():
    """
    Addresses with harmless parameters, blotted tokens, and words that only sound so.
    """
    plain = ["https://x.example/?symbol=BTC&limit=5", "?token=***", "authorization required",
             {"key": "BTC"}, "a bearer of news", b"\xff\x00"]  # fmt: skip
    assert leaks_in(plain, {"short": "abc"}) == []


def test_a_disk_is_full_only_where_it_is_said(tmp_path):
    """
    Below the folder writing fails while it is full; beside it never.
    """
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    with full_disk(inside) as disk:
        disk.is_full = True
        (outside / "a").write_text("a")
        with pytest.raises(OSError, match="No space left"):
            (inside / "a").write_text("a")
        disk.is_full = False
        (inside / "a").write_text("a")

    assert (inside / "a").read_text() == (outside / "a").read_text() == "a"
