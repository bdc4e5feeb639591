"""Hear a stream's bars and trades, in this process or from a server, told the same way.

in this process   one stream of bars; its trades are taken where its windows take them, and the
                  windows can be looked into
from a server     two streams: bars, and the same trades in raw mode
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

import attrs

from ekko.backoff import Backoff
from ekko.bars.clock import Clock
from ekko.bars.config import StreamManagerConfig
from ekko.bars.specs import Spec, raw_spec
from ekko.client import EkkoClient
from ekko.columns import time_ns
from ekko.drops import ResumePolicy
from ekko.errors import StreamError
from ekko.event import Gap
from ekko.iterator import Events
from ekko.local import heard_here, with_gaps


@attrs.define(slots=True, eq=False)
class Trade:
    """A trade as it is heard: times in ns, sizes in base units, `side` None where unknown.

    It is made of what a server tells. Bond's own, which come in this process, have these
    attributes, too.
    """

    symbol: str
    ts: int
    price: float | None
    size: float
    side: Literal["buy", "sell"] | None
    id: str | None
    recv_ts: int


class Window(Protocol):
    """A window that isn't closed: `[start_ns, end_ns)`, and its fields as of now."""

    @property
    def start_ns(self) -> int: ...  # noqa: D102

    @property
    def end_ns(self) -> int: ...  # noqa: D102

    @property
    def values(self) -> Mapping[str, Any]: ...  # noqa: D102


SoFar = Callable[[str, int], Window | None]
"""Gives a symbol's newest window of a length in ns; None while it has no trade."""


class Listener(Protocol):
    """Who is told. Called synchronously, in the order of hearing; never raises."""

    def on_sources(self, simulated: Mapping[str, bool]) -> None:
        """There are these sources, simulated or not."""
        ...

    def on_windows(self, symbols: Sequence[str], so_far: SoFar) -> None:
        """The windows of these symbols can be looked into, from now on."""
        ...

    def on_trades(self, source: str, trades: Sequence[Trade]) -> None:
        """A source brought trades of one symbol."""
        ...

    def on_repaired(self, source: str, trades: Sequence[Trade]) -> None:
        """Trades of one symbol were fetched after the fact, for a hole."""
        ...

    def on_status(self, source: str, symbol: str | None, status: str, reason: str | None) -> None:
        """A source does otherwise now, for one symbol or for all."""
        ...

    def on_gap(self, source: str, symbol: str | None, detail: str) -> None:
        """A source missed something, for one symbol or for all."""
        ...

    def on_record(self, record: Mapping[str, Any]) -> None:
        """A window closed."""
        ...

    def on_lost(self, detail: str) -> None:
        """Something of this stream will never get here."""
        ...


async def hear_here(
    spec: Spec, listener: Listener, opened: Callable[[], None], *, config: StreamManagerConfig,
    bond: Mapping[str, Any],
) -> None:  # fmt: skip
    """Run a stream in this process until it ends.

    Args:
        spec: Its bars.
        listener: Who is told.
        opened: Called once it runs.
        config: How patient it is.
        bond: What `Bond` is made with.

    Raises:
        LocalModeError: Bond isn't installed here.
        Exception: Bond's own, for what makes no sense or can't be had.
    """

    def on_status(source: str, symbol: str | None, status: str, _: int, reason: str | None) -> None:
        listener.on_status(source, symbol, status, reason)

    def on_gap(source: str, symbol: str | None, notice: Any) -> None:
        listener.on_gap(source, symbol, notice.detail)

    hear: dict[str, Callable[..., None]] = {
        "on_events": listener.on_trades, "on_fetched": listener.on_repaired,
        "on_status": on_status, "on_gap": on_gap,
    }  # fmt: skip
    stream = heard_here(
        spec, hear, sources=listener.on_sources, first_pause_s=config.reconnect_delay,
        longest_pause_s=config.max_reconnect_delay, attempts=config.reconnect_attempts, bond=bond,
    )  # fmt: skip
    async with stream as heard:
        listener.on_windows(spec["symbols"], heard.so_far)
        opened()
        await _tell_records(with_gaps(heard.records), listener)


async def hear_from_server(
    spec: Spec, listener: Listener, opened: Callable[[], None], *, config: StreamManagerConfig,
    api_url: str, api_key: str | None, clock: Clock,
) -> None:  # fmt: skip
    """Listen to a server's two streams until one ends. Args and errors as of EkkoClient.

    Raises:
        ExceptionGroup: Of the error that ended it; a StreamError where the server ended it.
    """
    policy = ResumePolicy(
        backoff=Backoff(first_s=config.reconnect_delay, cap_s=config.max_reconnect_delay),
        first_attempts=config.reconnect_attempts,
        now=lambda: clock.monotonic_ns() / 10**9,
        sleep=clock.sleep,
    )
    client = EkkoClient(api_url, api_key=api_key, policy=policy)
    await client.explain(spec)  # says what is wrong with it before anything is created
    async with asyncio.TaskGroup() as both:
        both.create_task(_records(client.listen(spec), listener))
        both.create_task(_items(client.listen(raw_spec(spec)), listener, spec["symbols"]))
        opened()


Told = dict[tuple[str, str], tuple[str, str | None]]
"""By source and symbol, the status and reason that were told last."""


async def _tell_records(records: AsyncIterable[Mapping[str, Any]], listener: Listener) -> None:
    async for record in records:
        if isinstance(record, Gap):
            listener.on_lost(f"bars are lost: {record.notices[0]['detail']}")
        else:
            listener.on_record(record)


async def _records(events: Events, listener: Listener) -> None:
    await _tell_records(events, listener)
    raise StreamError("of bars", "the server ended it")


async def _items(events: Events, listener: Listener, symbols: Sequence[str]) -> None:
    simulated: dict[str, bool] = {}
    told: Told = {}
    async for item in events:
        if isinstance(item, Gap):
            listener.on_lost(f"ticks are lost: {item.notices[0]['detail']}")
        elif item["kind"] == "status":
            _status(item, simulated, told, listener, symbols)
        elif item["kind"] == "trade":
            source = item["source"]
            if source not in simulated:
                simulated[source] = bool(item.get("simulated"))
                listener.on_sources(simulated)
            trade = Trade(
                item["symbol"], time_ns(item["ts"]), item["price"], item["size"], item["side"],
                item["event_id"], time_ns(item["received"]),
            )  # fmt: skip
            hear = listener.on_repaired if item.get("repaired") else listener.on_trades
            hear(source, (trade,))
    raise StreamError("of ticks", "the server ended it")


def _status(
    item: Mapping[str, Any], simulated: dict[str, bool], before: Told, listener: Listener,
    symbols: Sequence[str],
) -> None:  # fmt: skip
    sources = item.get("sources") or {}
    simulated |= {name: bool(told.get("simulated")) for name, told in sources.items()}
    listener.on_sources(simulated)
    for name, told in sources.items():
        named = told.get("symbols") or {}
        for symbol in symbols:
            if symbol in named:
                now = named[symbol], None
            elif told.get("other_symbols"):  # it may be one of those that aren't named
                continue
            else:
                now = told["status"], told.get("reason")
            if before.get((name, symbol)) != now:
                before[name, symbol] = now
                listener.on_status(name, symbol, *now)
    for notice in item.get("notices") or ():
        if notice.get("code") == "gap":
            source, detail = notice.get("source"), str(notice.get("detail"))
            if source is None:
                listener.on_lost(detail)
            else:
                listener.on_gap(source, notice.get("symbol"), detail)
