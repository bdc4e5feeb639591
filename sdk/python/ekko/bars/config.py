"""How a stream manager builds bars, keeps them, reconnects and looks after its sources."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import attrs

_TIMEFRAME = re.compile(r"([1-9]\d*)(ms|s|m|h|d|w)")
_NS = {
    "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86_400 * 10**9,
    "w": 7 * 86_400 * 10**9,
}  # fmt: skip


def timeframe_ns(text: str) -> int:
    """Return how long `1m` is, ns.

    Raises:
        ValueError: It is no length of time.
    """
    found = _TIMEFRAME.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError(
            f"a timeframe is a number and ms, s, m, h, d or w, such as 5m; was {text!r}"
        )
    return int(found[1]) * _NS[found[2]]


def spelled(text: str) -> str:
    """Return a timeframe as Bond writes it in records: `60s` is `1m`.

    Raises:
        ValueError: It is no length of time.
    """
    length = timeframe_ns(text)
    unit = next(unit for unit in reversed(_NS) if not length % _NS[unit])
    return f"{length // _NS[unit]}{unit}"


def _spelled_each(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(spelled(text) for text in texts))


def _positive(_: object, field: attrs.Attribute[Any], value: Any) -> None:
    if not value > 0:
        raise ValueError(f"{field.name} is more than 0, was {value!r}")


@attrs.define(kw_only=True)
class StreamManagerConfig:
    """Settings of a `StreamManager`. Times are in seconds.

    Attributes:
        default_timeframe: What is meant where none is named.
        supported_timeframes: Which bars are built; each a multiple of the shortest.
        reconnect_delay: The longest first pause before a source is tried again; the next ones
            double. Half of each is left to chance.
        max_reconnect_delay: The longest pause.
        reconnect_attempts: After so many failures in a row a source is given up.
        tick_buffer_size: So many ticks may wait for `on_tick` callbacks. Then the oldest go:
            counted, told by health, and still in their bars.
        bar_history_size: How many bars of each symbol and timeframe are kept.
        health_check_interval: How often health is told.
        stale_threshold_seconds: A source without anything new for so long is stale, and is
            connected anew.
        exchanges: Where crypto is listened to; several count together.
        stock_source: Where shares are listened to.
        lateness: How long a bar waits for late trades after its end; None is the source's own
            (0.5 s). Less is faster and loses more: what comes later is counted as late.
        simulate: Listen to simulated markets, labelled so; None is what BOND_SIMULATE says.
    """

    default_timeframe: str = attrs.field(default="1m", converter=spelled)
    supported_timeframes: Sequence[str] = attrs.field(
        default=("1m", "5m", "15m"), converter=_spelled_each
    )
    reconnect_delay: float = attrs.field(default=1.0, validator=_positive)
    max_reconnect_delay: float = attrs.field(default=60.0, validator=_positive)
    reconnect_attempts: int = attrs.field(default=10, validator=_positive)
    tick_buffer_size: int = attrs.field(default=10_000, validator=_positive)
    bar_history_size: int = attrs.field(default=500, validator=_positive)
    health_check_interval: float = attrs.field(default=10.0, validator=_positive)
    stale_threshold_seconds: float = attrs.field(default=30.0, validator=_positive)
    exchanges: Sequence[str] = attrs.field(default=("binance",), converter=tuple)
    stock_source: str = "alpaca"
    lateness: float | None = None
    simulate: bool | None = None

    def __attrs_post_init__(self) -> None:
        lengths = [timeframe_ns(each) for each in self.supported_timeframes]
        if not lengths:
            raise ValueError("supported_timeframes names at least one")
        shortest = min(lengths)
        for text, length in zip(self.supported_timeframes, lengths, strict=True):
            if length % shortest:
                raise ValueError(f"{text} is no multiple of the shortest timeframe")
        self.checked(self.default_timeframe)

    def checked(self, timeframe: str | None) -> str:
        """Return a timeframe that is built, as Bond writes it; None is the default one.

        Raises:
            ValueError: No such bars are built.
        """
        chosen = spelled(timeframe or self.default_timeframe)
        if chosen not in self.supported_timeframes:
            known = ", ".join(self.supported_timeframes)
            raise ValueError(f"no {chosen} bars are built; supported_timeframes are {known}")
        return chosen

    @property
    def shortest(self) -> str:
        """The shortest timeframe."""
        return min(self.supported_timeframes, key=timeframe_ns)
