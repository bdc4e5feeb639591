"""Solana over a real gRPC server on loopback: what is heard, breaks, forks, limits."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager

import pytest

from bond_core.clock import SystemClock
from bond_core.plugin import Secret
from bond_solana import connector, refusals
from bond_solana.config import SolanaConfig
from bond_solana.events import base58, moved
from bond_solana.ledger import account
from bond_solana.plugin import bond_connectors
from bond_solana.simulator import SolanaSimulator
from bond_solana.slots import Slots
from bond_solana.subscription import request_of
from tests.journeys.hearing import hearing

(SPEC,) = bond_connectors()
PAYEE = base58(account(25))


@asynccontextmanager
async def listening(*types, options=None, **config):
    """Run the connector at a simulated endpoint."""
    options = {"skipped": 0.0, "dead": 0.0} | (options or {})
    settings = SolanaConfig(event_types=types or ("block",), **config)
    async with (
        SolanaSimulator(clock=SystemClock(), seed=3, options=options) as solana,
        hearing(SPEC, settings, solana.url, "chain", "") as heard,
    ):
        yield solana, heard


def events(heard):
    """Return what was heard."""
    return heard.ears[""].events


def test_blocks_come_slot_by_slot():
    """
    One event for each block, with its slot, an id and the endpoint's time; heard when it comes.
    """

    async def go():
        async with listening() as (_, heard):
            await heard.until(lambda: len(events(heard)) >= 4)
            return heard.ears[""]

    ear = asyncio.run(go())
    heights = [e.height for e in ear.events]
    assert heights == list(range(heights[0], heights[0] + len(heights)))
    first = ear.events[0]
    assert (first.kind, first.type, first.chain, first.symbol) == ("chain", "block", "sol", "")
    assert first.id.startswith(f"block:{first.height}:")
    assert first.ts == first.recv_ts
    assert ear.status == "live"
    assert ear.heartbeats


def test_each_type_has_its_own_events():
    """
    Transactions, transfers with the SOL they moved, blocks, and a block's number of transactions.
    """

    async def go():
        types = ("tx", "transfer", "block", "metric")
        async with listening(*types, options={"per_slot": 6.0}) as (solana, heard):
            await heard.until(lambda: len({e.height for e in events(heard)}) >= 4)
            slot = sorted({e.height for e in events(heard)})[1]
            (block,) = solana.ledger.blocks(slot, slot)
            return block, [e for e in events(heard) if e.height == slot]

    block, heard = asyncio.run(go())
    by_type = {t: [e for e in heard if e.type == t] for t in ("tx", "transfer", "block", "metric")}
    assert [e.id for e in by_type["tx"]] == [base58(p.signature) for p in block.paid]
    paid = [p.amount / 1e9 for p in block.paid if p.amount]
    assert [e.amount for e in by_type["transfer"]] == pytest.approx(paid)
    assert len(by_type["block"]) == 1
    assert [e.amount for e in by_type["metric"]] == [len(block.paid)]


def test_accounts_narrow():
    """
    With accounts only what they take part in is heard, and their own changes.
    """

    async def go():
        options = {"per_slot": 30.0}
        async with listening("tx", "account", accounts=(PAYEE,), options=options) as (x, heard):
            await heard.until(lambda: {"tx", "account"} <= {e.type for e in events(heard)})
            slots = {e.height for e in events(heard)}
            blocks = {b.slot: b for b in x.ledger.blocks(min(slots), max(slots))}
            return blocks, events(heard)

    blocks, heard = asyncio.run(go())
    for event in heard:
        if event.type == "tx":
            signed = {base58(p.signature): p for p in blocks[event.height].paid}
            assert base58(signed[event.id].payee) == PAYEE
        else:
            assert event.id.startswith(PAYEE)


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"event_types": ("account",)}, "needs accounts"),
        ({"accounts": ("not an address",)}, "no address"),
        ({"accounts": ("0OIl" * 10,)}, "no address"),
    ],
)
def test_what_can_not_be_had_is_refused(config, why):
    """
    All accounts, or an account that is none: failed for good, with the reason.
    """

    async def go():
        async with (
            SolanaSimulator(clock=SystemClock()) as solana,
            hearing(SPEC, SolanaConfig(**config), solana.url, "chain", "") as heard,
        ):
            return await heard.status("", "failed")

    assert why in asyncio.run(go())


def test_programs_are_owners():
    """
    `program:ADDRESS` is the owner of accounts, and takes part in transactions.
    """
    config = SolanaConfig(event_types=("tx", "account"), accounts=(f"program:{PAYEE}",))
    request = request_of(config, from_slot=None)

    assert list(request.accounts["accounts"].owner) == [PAYEE]
    assert list(request.accounts["accounts"].account) == []
    assert list(request.transactions["transactions"].account_include) == [PAYEE]
    assert request.transactions["transactions"].vote is False
    assert request.commitment == 1


def test_skipped_slots_are_ordinary():
    """
    A third of the slots has no block: nothing is missing, and no gap is told.
    """

    async def go():
        async with listening(options={"skipped": 0.33}) as (_, heard):
            await heard.until(lambda: len(events(heard)) >= 5)
            return heard.ears[""]

    ear = asyncio.run(go())
    heights = [e.height for e in ear.events]
    assert heights == sorted(set(heights))
    assert ear.gaps == []


def test_a_slot_that_was_lost_is_a_gap():
    """
    The next block's parent was never heard of: that is told, with its number.
    """

    async def go():
        async with listening() as (solana, heard):
            await heard.until(lambda: len(events(heard)) >= 2)
            lost = solana.slot + 1
            solana.lose(lost)
            await heard.until(lambda: heard.ears[""].gaps)
            return lost, heard.ears[""]

    lost, ear = asyncio.run(go())
    assert f"slot {lost}, the one before {lost + 1}" in ear.gaps[0].detail
    assert lost not in [e.height for e in ear.events]


def test_forks_are_not_counted_unless_asked_for():
    """
    Confirmed, a block that came to nothing is never heard of; processed, it is, and that is told.
    """

    async def go(commitment):
        async with listening(options={"dead": 0.5}, commitment=commitment) as (solana, heard):
            n = 3 if commitment == "confirmed" else 6
            await heard.until(lambda: len(events(heard)) >= n)
            if commitment == "processed":
                await heard.until(lambda: heard.ears[""].gaps)
            slots = [e.height for e in events(heard)]
            blocks = solana.ledger.blocks(min(slots), max(slots))
            return slots, {b.slot for b in blocks if b.is_dead}, heard.ears[""].gaps

    slots, dead, gaps = asyncio.run(go("confirmed"))
    assert not dead & set(slots)
    assert gaps == []
    slots, dead, gaps = asyncio.run(go("processed"))
    assert dead & set(slots)
    assert all("came to nothing; 1 events of it" in gap.detail for gap in gaps)


def test_after_a_break_it_goes_on_where_it_was():
    """
    It asks for the slots since, hears each block once, and misses none.
    """

    async def go():
        async with listening() as (solana, heard):
            await heard.until(lambda: len(events(heard)) >= 2)
            solana.refuse("UNAVAILABLE", times=2)
            solana.drop()
            await heard.status("", "reconnecting")
            n = len(events(heard))
            await heard.until(lambda: len(events(heard)) >= n + 5)
            return solana.requests, heard.ears[""]

    requests, ear = asyncio.run(go())
    heights = [e.height for e in ear.events]
    assert heights == list(range(heights[0], heights[0] + len(heights)))
    assert not requests[0].HasField("from_slot")
    assert requests[-1].HasField("from_slot")
    assert ear.duplicates >= 1


def test_where_nothing_is_replayed_it_goes_on_from_now():
    """
    An endpoint that can't go on from a slot is asked again without, and the gap is told.
    """

    async def go():
        async with listening(options={"replays": False}) as (solana, heard):
            await heard.until(lambda: len(events(heard)) >= 2)
            solana.drop()
            reason = await heard.status("", "reconnecting")
            n = len(events(heard))
            await heard.until(lambda: len(events(heard)) >= n + 2)
            return reason, solana.requests, heard.ears[""]

    reason, requests, ear = asyncio.run(go())
    assert "UNAVAILABLE" in reason
    assert any("can't go on from where it was" in (why or "") for _, why in ear.statuses)
    assert not requests[-1].HasField("from_slot")
    assert ear.gaps


def test_pings_are_answered_and_change_nothing():
    """
    The server's ping gets a pong, and what is subscribed to is heard on.
    """

    async def go():
        async with listening(options={"ping_s": 0.2}) as (solana, heard):
            await heard.until(lambda: sum(r.HasField("ping") for r in solana.requests) >= 2)
            n = len(events(heard))
            await heard.until(lambda: len(events(heard)) >= n + 2)
            return heard.ears[""].status

    assert asyncio.run(go()) == "live"


def test_throttled_it_waits(monkeypatch):
    """
    RESOURCE_EXHAUSTED: the source is down with the reason, and is not asked again at once.
    """
    monkeypatch.setattr(refusals, "THROTTLED_PAUSE_S", 1.0)

    async def go():
        async with listening() as (solana, heard):
            await heard.until(lambda: events(heard))
            solana.refuse("RESOURCE_EXHAUSTED")
            solana.drop()
            await heard.until(lambda: "allows no more" in (heard.ears[""].reason or ""))
            began = time.monotonic()
            await heard.status("", "live")
            return time.monotonic() - began

    assert 0.8 < asyncio.run(go()) < 5


@pytest.mark.parametrize("given", [None, "wrong"])
def test_a_token_that_is_missing_or_wrong_is_refused(given):
    """
    UNAUTHENTICATED is no outage: failed for good, with the variable, and without the token.
    """

    async def go():
        token = None if given is None else Secret(given)
        async with listening(options={"token": "right"}, token=token) as (_, heard):
            return await heard.status("", "failed")

    reason = asyncio.run(go())
    assert "GRPC_X_TOKEN" in reason
    assert "right" not in reason


def test_the_right_token_is_sent():
    """
    As x-token, and to loopback without TLS only.
    """

    async def go():
        async with listening(options={"token": "right"}, token=Secret("right")) as (_, heard):
            await heard.status("", "live")
        config = SolanaConfig(endpoint="http://solana.example:80", token=Secret("right"))
        async with hearing(SPEC, config, None, "chain", "") as heard:
            return await heard.status("", "failed")

    assert "without TLS" in asyncio.run(go())


def test_silence_is_a_dead_connection(monkeypatch):
    """
    Nothing at all, no slot and no ping: it is given up and made anew.
    """
    monkeypatch.setattr(connector, "SILENCE_S", 0.6)

    async def go():
        async with listening() as (solana, heard):
            await heard.until(lambda: events(heard))
            solana.quiet()
            reason = await heard.status("", "reconnecting")
            solana.quiet(False)
            await heard.status("", "live")
            return reason

    assert "silent" in asyncio.run(go())


def test_cancelled_it_is_gone_within_a_second():
    """
    No subscription is left at the endpoint.
    """

    async def go():
        async with SolanaSimulator(clock=SystemClock()) as solana:
            async with hearing(SPEC, SolanaConfig(), solana.url, "chain", "") as heard:
                await heard.until(lambda: events(heard))
                began = time.monotonic()
            took_s = time.monotonic() - began
            await heard.until(lambda: solana.open == 0)
            return took_s

    assert asyncio.run(go()) < 1


def test_what_is_gained_is_what_was_moved():
    """
    Fees are gained by nobody, and what one account loses another gains once.
    """
    assert moved([10 * 10**9, 0, 5], [7 * 10**9 - 5000, 3 * 10**9, 5]) == 3.0
    assert moved([10], [5]) == 0.0
    assert base58(b"\0\0\x01") == "112"
    assert base58(bytes(32)) == "1" * 32


def test_slots_remember_what_they_need():
    """
    Of a hundred thousand slots the newest are known, a parent older than these is no gap.
    """
    slots = Slots()
    for slot in range(100_000):
        assert slots.saw(slot, slot - 1 if slot else None) is None
        slots.count(slot, 1)
    assert slots.saw(100_000, 5) is None
    assert slots.died(99_999) == 1
    assert slots.died(99_999) == 0
    assert len(slots.counted) <= 512
