"""Who comes and goes when: as another leaves, in a pause, cancelled twice; and what is kept."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from contextlib import asynccontextmanager
from types import SimpleNamespace

import attrs
import ib_async
import pytest

from bond_core.errors import AnsweredError
from bond_core.plugin import Subscription
from bond_core.runtime.backoff import Backoff
from bond_core.runtime.wanted import Wanted
from bond_core.testing.manual_clock import ManualClock, settle
from bond_ibkr.config import IbServerConfig, ServerLimits
from bond_ibkr.desk import Desk
from bond_ibkr.refusals import refusal_of
from bond_ibkr.server.asking import Key, Wish
from bond_ibkr.server.routes import IbServer
from bond_ibkr.server.streams import Streams
from bond_server.local import Bond
from bond_server.parts.host import PartHost

AAPL = Wish(key=Key(265598, "Last"))


@asynccontextmanager
async def streams_at(port, pause_s=0.5):
    """Yield the streams of a part whose TWS is at a port."""
    async with Bond(seed=7, backoff=Backoff(first_s=pause_s, cap_s=pause_s)) as bond:
        host = PartHost(
            clock=bond.clock, log=logging.getLogger("test"), config=None, is_simulated=False,
            catalog=bond.catalog, feeds=bond.feeds, environ={"IB_STREAM_PORTS": str(port)},
        )  # fmt: skip
        yield Streams(host, ServerLimits())


def test_who_comes_in_the_turn_in_which_the_last_one_leaves_is_served(kit, monkeypatch):
    """
    Of a quiet contract, too: it is asked for anew, and the greeting says which contract it is.
    """
    monkeypatch.setattr("bond_ibkr.desk.CONFIRMED_S", 0.05)
    monkeypatch.setattr("bond_ibkr.server.upstream.STARTS_WITHIN_S", 5.0)

    async def go():
        async with kit.tws() as tws, streams_at(tws.port) as streams:
            first = await streams.listen(AAPL)
            await first.aclose()  # without a pause before the next one
            second = await streams.listen(AAPL)
            (started,) = await second.__anext__()
            await second.aclose()
            return json.loads(started), tws.dialled

    started, dialled = asyncio.run(go())
    assert started["data"]["contract"]["symbol"] == "AAPL"
    assert dialled == 1


def test_who_comes_while_tws_is_tried_again_later_is_answered_at_once(kit):
    """
    503 with the reason that the last attempt had, and not only after the next one.
    """

    async def go():
        async with kit.tws() as tws:
            await tws.stop()
            async with streams_at(tws.port, pause_s=3600) as streams:
                answers = []
                for wish in (AAPL, AAPL, Wish(key=Key(272093, "BidAsk"))):
                    with pytest.raises(AnsweredError) as raised:
                        await asyncio.wait_for(streams.listen(wish), kit.PATIENCE_S)
                    answers.append((raised.value.status, raised.value.more["error"]))
                return answers

    answers = asyncio.run(go())
    assert {status for status, _ in answers} == {503}
    assert all("nothing listens there" in error["details"] for _, error in answers)


def test_who_is_cancelled_twice_while_it_leaves_has_left(kit, monkeypatch):
    """
    Its subscription ends with it, though nobody waits any more for that.
    """
    monkeypatch.setattr("bond_ibkr.desk.CONFIRMED_S", 0.05)

    async def go():
        async with kit.tws() as tws, streams_at(tws.port) as streams:
            listening = await streams.listen(attrs.evolve(AAPL, timeout_s=60))
            await listening.__anext__()
            leaving = asyncio.create_task(listening.aclose())
            await asyncio.sleep(0)
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)
            running = dict(streams.running)
            await kit.until(lambda: ("cancel", "AAPL", "Last") in tws.asked, lambda: tws.asked)
            return leaving.cancelled(), running

    assert asyncio.run(go()) == (True, {})


@pytest.mark.parametrize(
    ("statuses", "word", "is_connected"),
    [
        ([], "idle", None),
        (["starting"], "connecting", None),
        (["failed"], "refused", None),
        (["failed", "starting"], "connecting", None),
        (["reconnecting", "starting", "failed"], "disconnected", False),
        (["reconnecting", "live"], "connected", True),
    ],
)
def test_health_says_of_tws_what_is_known(statuses, word, is_connected):
    """
    It is away only if it was lost; whether it is there while nobody has had an answer is unknown.
    """
    host = SimpleNamespace(config=IbServerConfig(), is_simulated=False, clock=ManualClock())
    part = IbServer(host)
    for number, status in enumerate(statuses):
        upstream = SimpleNamespace(status=status, clients=(), ticks=0, dropped=0, errors=0)
        part.streams.running[Key(number, "Last")] = upstream
    assert part.health()["tws"] == {"status": word, "connected": is_connected}


class Answers:
    """A session that knows no contract, and says so when a test does."""

    def __init__(self):
        self.asked = []

    async def describe(self, contract, name):
        """See Session."""
        self.asked.append(asyncio.get_running_loop().create_future())
        return await self.asked[-1]


def test_a_refusal_that_nobody_waited_for_is_not_kept():
    """
    Its client left before TWS answered; the next one's question is asked anew.
    """
    aapl = Subscription("raw_last", "265598")

    async def go():
        wanted, session, failed = Wanted(), Answers(), []
        ctx = SimpleNamespace(
            wanted=wanted, clock=ManualClock(), failed=lambda *args: failed.append(args)
        )
        async with asyncio.TaskGroup() as tasks:
            desk = Desk(ctx, ib_async, session, tasks, itertools.count(1))
            following = tasks.create_task(desk.follow())
            for _ in range(2):
                wanted.add(aapl)
                await settle()
                wanted.discard(aapl)
                await settle()
            session.asked[0].set_result(refusal_of(200, "No security definition"))
            await settle()
            wanted.add(aapl)
            await settle()
            asked = len(session.asked)
            for each in session.asked[1:]:
                each.cancel()
            following.cancel()
            wanted.discard(aapl)
        return asked, failed

    asked, failed = asyncio.run(go())
    assert asked > 1
    assert failed == []


def test_a_contract_is_forgotten_with_the_last_who_wants_it(kit):
    """
    Asked about once for all that want it, and anew once all have left.
    """

    async def go():
        async with kit.tws() as tws, kit.hearing(("trades", "MSFT"), at=tws.url) as heard:
            for channel in ("trades", "quotes"):
                heard.want(channel, "AAPL")
            await kit.subscribed(tws, "AAPL", "BidAsk")
            heard.drop("trades", "AAPL")
            await kit.until(lambda: not tws.lines("AAPL", "Last"))
            heard.want("trades", "AAPL")
            await kit.subscribed(tws, "AAPL", "Last")
            shared = tws.asked.count(("describe", "AAPL", ""))
            for channel in ("trades", "quotes"):
                heard.drop(channel, "AAPL")
            await kit.until(lambda: not tws.lines("AAPL", "Last", "BidAsk"))
            heard.want("trades", "AAPL")
            await kit.subscribed(tws, "AAPL", "Last")
            return shared, tws.asked.count(("describe", "AAPL", ""))

    assert asyncio.run(go()) == (1, 2)
