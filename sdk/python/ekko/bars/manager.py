"""Stream trades and build bars of them, and call back: `StreamManager`.

hearing ─▶ Market ─▶ History, Inbox ─▶ callbacks, one at a time; a Running does that
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Self, TypeVar

from ekko.bars.calling import Callback, Callbacks
from ekko.bars.clock import Clock, SystemClock
from ekko.bars.config import StreamManagerConfig
from ekko.bars.hearing import hear_from_server, hear_here
from ekko.bars.history import frame_of
from ekko.bars.inbox import Inbox
from ekko.bars.market import Market
from ekko.bars.model import Bar, EventType, StreamEvent
from ekko.bars.running import Running
from ekko.bars.specs import Spec, specs_of

_YES = {"1", "true", "yes", "on"}

AnyCallback = TypeVar("AnyCallback", bound=Callback)


class StreamManager:
    """Trades and bars of crypto and shares, with callbacks.

        manager = StreamManager()
        manager.add_crypto_symbols(["BTC/USDT"])
        manager.on_bar_complete(print)
        await manager.start()

    Everything runs in this process, where Bond is installed (`pip install "bond-ekko[local]"`);
    through a server when one is named. A callback may be a coroutine function; they are called
    one at a time, in the order of what happened, and one that raises ends nothing.

    Args:
        config: Settings; None for the defaults.
        api_url: A Bond server; else EKKO_API_URL; None or `local` for this process.
        api_key: Its API key; else EKKO_API_KEY.
        clock: Tells the time.
        bond: What the `Bond` in this process is made with, for tests.
    """  # fmt: skip

    def __init__(
        self, config: StreamManagerConfig | None = None, *, api_url: str | None = None,
        api_key: str | None = None, clock: Clock | None = None,
        bond: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self.config = config or StreamManagerConfig()
        self.clock: Clock = clock or SystemClock()
        self._api_url = api_url or os.environ.get("EKKO_API_URL") or "local"
        self._api_key = api_key
        self._bond: dict[str, Any] = {**({"clock": clock} if clock else {}), **(bond or {})}
        self._callbacks = Callbacks(self.clock)
        self._crypto: dict[str, None] = {}
        self._stocks: dict[str, None] = {}
        self._running = self._fresh()

    def _fresh(self) -> Running:
        """Return a run that knows nothing yet."""
        config, inbox = self.config, Inbox(self.config.tick_buffer_size)
        market = Market(
            config, self.symbols, inbox=inbox, clock=self.clock,
            tick_callbacks=self._callbacks.of(EventType.TICK), adds_up=self._api_url != "local",
        )  # fmt: skip
        return Running(
            market, inbox, self._callbacks, hear=self._hear, health=self.get_health,
            health_every_s=config.health_check_interval, clock=self.clock,
        )  # fmt: skip

    # What is listened to

    @property
    def symbols(self) -> list[str]:
        """All symbols, crypto first."""
        return [*self._crypto, *self._stocks]

    @property
    def is_running(self) -> bool:
        """Whether it was started, and not stopped since."""
        return self._running.is_on

    def add_crypto_symbols(self, symbols: Sequence[str]) -> None:
        """Listen to pairs such as `BTC/USDT`, too. Before `start`."""
        self._add(self._crypto, symbols)

    def add_stock_symbols(self, symbols: Sequence[str]) -> None:
        """Listen to shares such as `TSLA`, too. Before `start`."""
        self._add(self._stocks, symbols)

    def _add(self, to: dict[str, None], symbols: Sequence[str]) -> None:
        if isinstance(symbols, str):
            raise TypeError(f"symbols are a list, such as [{symbols!r}]")
        if self.is_running:
            raise RuntimeError("stop it before symbols are added, and start it again")
        to.update(dict.fromkeys(symbols))

    def specs(self) -> list[Spec]:
        """Return what is listened to as specs of Bond: for `bond record` and a look."""
        simulate = self.config.simulate
        if simulate is None:  # a server has an environment of its own
            simulate = self._api_url == "local" and _says_simulate()
        return specs_of(self.config, list(self._crypto), list(self._stocks), simulate=simulate)

    # Callbacks

    def on_tick(self, callback: AnyCallback) -> AnyCallback:
        """Call back for every trade, with a StreamEvent whose `data` is a Tick."""
        return self.on(EventType.TICK, callback)

    def on_bar_complete(self, callback: AnyCallback) -> AnyCallback:
        """Call back for every bar that closes, with the Bar.

        Bars in which nothing was traded are left out; those of which something is unknown come,
        `partial`, and their prices may be None.
        """
        return self.on(EventType.BAR_COMPLETE, callback)

    def on_prediction(self, callback: AnyCallback) -> AnyCallback:
        """Call back for every prediction, with a StreamEvent whose `data` is a Prediction."""
        return self.on(EventType.PREDICTION, callback)

    def on_signal(self, callback: AnyCallback) -> AnyCallback:
        """Call back for every signal, with a StreamEvent whose `data` is a Signal."""
        return self.on(EventType.SIGNAL, callback)

    def on_reconnect(self, callback: AnyCallback) -> AnyCallback:
        """Call back when a source is back or given up: a StreamEvent with a Reconnect."""
        return self.on(EventType.RECONNECT, callback)

    def on_health(self, callback: AnyCallback) -> AnyCallback:
        """Call back every `health_check_interval`: a StreamEvent with what get_health gives."""
        return self.on(EventType.HEALTH, callback)

    def on(self, type: EventType, callback: AnyCallback) -> AnyCallback:  # noqa: A002
        """Call back for what is named; returns the callback, so that it may be a decorator."""
        self._callbacks.add(EventType(type), callback)
        return callback

    def off(self, type: EventType, callback: Callback) -> None:  # noqa: A002
        """Call back no more."""
        self._callbacks.remove(EventType(type), callback)

    async def emit(self, type: EventType, data: Any) -> None:  # noqa: A002
        """Have an event told at once, unless it was stopped: for engines that predict."""
        inbox = self._running.inbox
        if not inbox.is_closed:
            self._running.market.counts[f"{type.value}s"] += 1
            await self._callbacks.call(type, StreamEvent(type, data), inbox)

    def failed(self, what: str, who: Any, error: BaseException) -> None:
        """Tell that somebody's code raised: for engines that call predictors and executors."""
        self._callbacks.failed(what, who, error)

    # Running

    async def start(self) -> None:
        """Listen; returns when everything is being listened to. Does nothing when it runs.

        Raises:
            ValueError: There are no symbols.
            LocalModeError: It is to run here, and Bond isn't installed.
            EkkoError: A server refuses it.
            Exception: Bond's own, for what can't be had here (a key that is missing, say).
        """
        if self.is_running:
            return
        if not self.symbols:
            raise ValueError("nothing to listen to: add_crypto_symbols or add_stock_symbols first")
        self._running = self._fresh()
        await self._running.start(self.specs())

    async def stop(self) -> None:
        """Listen no more, and call back no more; what is known stays. Does nothing when stopped."""
        await self._running.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _hear(self, spec: Spec, to: Market, opened: Callable[[], None]) -> Awaitable[None]:
        if self._api_url == "local":
            return hear_here(spec, to, opened, config=self.config, bond=self._bond)
        return hear_from_server(
            spec, to, opened, config=self.config, api_url=self._api_url, api_key=self._api_key,
            clock=self.clock,
        )  # fmt: skip

    # What is known

    def get_bars(
        self, symbol: str, timeframe: str | None = None, limit: int | None = None
    ) -> list[Bar]:
        """Return closed bars, the oldest first: the newest `limit`, or all that are kept.

        Raises:
            ValueError: It isn't listened to, or no such bars are built.
        """
        self._check(symbol)
        return self._running.market.history.newest(symbol, self.config.checked(timeframe), limit)

    def get_bar_dataframe(
        self, symbol: str, timeframe: str | None = None, limit: int | None = None
    ) -> Any:
        """Return closed bars as a pandas.DataFrame; see `ekko.bars.history.frame_of`.

        Raises:
            ValueError: It isn't listened to, or no such bars are built.
            MissingLibraryError: pandas isn't installed.
        """
        return frame_of(self.get_bars(symbol, timeframe, limit))

    def get_current_bar(self, symbol: str, timeframe: str | None = None) -> Bar | None:
        """Return the bar that is being built, `complete=False`; None before its first trade.

        Raises:
            ValueError: It isn't listened to, or no such bars are built.
        """
        self._check(symbol)
        return self._running.market.current(symbol, self.config.checked(timeframe))

    def get_health(self) -> dict[str, Any]:
        """Return how it does.

        `status` is `stopped`, `starting`, `healthy`, `degraded` or `failed`; `sources` has by
        name status, reason, reconnects and gaps, `symbols` how old the newest tick is in seconds
        (None before the first) and whether that is stale; `problems` says the rest in words.
        """
        slow = self._callbacks.slow(self.config.health_check_interval)
        report = self._running.market.report(self._callbacks.last_error, slow)
        if not self.is_running:
            report["status"] = "stopped"
        return {**report, "is_running": self.is_running}

    def get_metrics(self) -> dict[str, Any]:
        """Return counts since `start`: what was heard, built, told, dropped, and what raised."""
        return {**self._running.market.metrics(), "callback_errors": dict(self._callbacks.errors)}

    def _check(self, symbol: str) -> None:
        if symbol not in self.symbols:
            known = ", ".join(self.symbols) or "none"
            raise ValueError(f"{symbol!r} isn't listened to; symbols are {known}")


def create_default_trading_stream(
    crypto_symbols: Sequence[str] = (), stock_symbols: Sequence[str] = (),
    config: StreamManagerConfig | None = None, **options: Any,
) -> StreamManager:  # fmt: skip
    """Return a manager of crypto and shares.

    Args:
        crypto_symbols: Pairs such as `BTC/USDT`.
        stock_symbols: Shares such as `TSLA`; they need ALPACA_API_KEY and ALPACA_SECRET_KEY.
        config: Settings; None for the defaults.
        options: What else `StreamManager` is made with.
    """
    manager = StreamManager(config, **options)
    manager.add_crypto_symbols(crypto_symbols)
    manager.add_stock_symbols(stock_symbols)
    return manager


def _says_simulate() -> bool:
    return os.environ.get("BOND_SIMULATE", "").lower() in _YES
