"""What a source of this plugin is told: where to listen, what to send, what messages mean.

All of it is data. What it says is checked when a stream is created (`check.py`), so that a
mistake is an answer to its author and not a silent stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import attrs

from bond_core.plugin import setting

EventKind = Literal["trade", "quote", "liquidation", "funding", "open_interest", "custom"]
CHANNELS: Mapping[str, str] = {
    "trade": "trades", "quote": "quotes", "liquidation": "liquidations", "funding": "funding",
    "open_interest": "open_interest", "custom": "custom",
}  # fmt: skip
"""By kind of event, the channel it comes on."""


@attrs.frozen(kw_only=True)
class NumberField:
    """A number that is multiplied on its way."""

    path: str = setting(doc="Where it stands")
    factor: float = setting(default=1.0, doc="What it is multiplied by, above 0")


@attrs.frozen(kw_only=True)
class TimeField:
    """When it happened."""

    path: str = setting(doc="Where it stands")
    unit: Literal["s", "ms", "us", "ns", "iso"] = setting(
        doc="Since 1970 in s, ms, us or ns; or iso, UTC where it names no zone"
    )


@attrs.frozen(kw_only=True)
class SideField:
    """Who the aggressor was."""

    path: str = setting(doc="Where it stands")
    buy: tuple[Any, ...] = setting(doc="Values that mean that the buyer was")
    sell: tuple[Any, ...] = setting(doc="Values that mean that the seller was")


Number = str | NumberField


@attrs.frozen(kw_only=True)
class EventRule:
    """How one kind of event is read: which messages hold it, and where each value stands."""

    kind: EventKind = setting(doc="What it becomes")
    when: Mapping[str, Any] = setting(
        default={}, doc="By path, what must stand there; none: every message"
    )
    each: str | None = setting(default=None, doc="The list whose items are events: $.data[*]")
    symbol: str | None = setting(default=None, doc="Where the source's name of the symbol stands")
    only: str | None = setting(default=None, doc="The symbol of all of them: BTC/USDT")
    time: TimeField | Literal["receive"] | None = setting(
        default=None, doc="When it happened; `receive`: when it is heard"
    )
    id: str | None = setting(default=None, doc="Where the id is by which repeats are known")
    sequence: str | None = setting(default=None, doc="Where a number is that orders equal times")
    price: Number | None = setting(default=None, doc="trade, liquidation: the price")
    size: Number | None = setting(default=None, doc="trade, liquidation: size in base units")
    side: SideField | None = setting(default=None, doc="trade, liquidation: the aggressor")
    bid: Number | None = setting(default=None, doc="quote: the best bid")
    ask: Number | None = setting(default=None, doc="quote: the best ask")
    bid_size: Number | None = setting(default=None, doc="quote: what is bid for there")
    ask_size: Number | None = setting(default=None, doc="quote: what is asked for there")
    last: Number | None = setting(default=None, doc="quote: the last price")
    rate: Number | None = setting(default=None, doc="funding: a fraction per interval")
    mark_price: Number | None = setting(default=None, doc="funding: the mark price")
    amount: Number | None = setting(default=None, doc="open_interest: in base units")
    value: Number | None = setting(default=None, doc="open_interest: in the quote currency")
    values: Mapping[str, str] = setting(default={}, doc="custom: by name, where each value stands")


@attrs.frozen(kw_only=True)
class Reply:
    """An answer to what the source asks."""

    when: Mapping[str, Any] = setting(doc="By path, what must stand in the message")
    value: str | None = setting(default=None, doc="Where a value is that goes back as {value}")
    send: Any = setting(doc="The answer")


@attrs.frozen(kw_only=True)
class Heartbeat:
    """What keeps the connection open. None of it is taken for a sign that data flows."""

    every_sec: float = setting(default=20.0, ge=1, le=600, doc="Seconds between two of `send`")
    send: tuple[Any, ...] = setting(default=(), doc="Messages to send, each time all of them")
    answers: tuple[Any, ...] = setting(
        default=(), doc="Messages that answer them, or are the source's own: texts, or by path"
    )
    replies: tuple[Reply, ...] = setting(default=(), doc="Answers to what the source asks")


@attrs.frozen(kw_only=True)
class MessageMapping:
    """What to send, and what messages mean."""

    events: tuple[EventRule, ...] = setting(doc="What messages mean; each that fits is used")
    symbols: str = setting(
        default="{base}{quote}", doc="How the source writes BTC/USDT: {base}-{quote:lower}"
    )
    names: Mapping[str, str] = setting(
        default={}, doc="By symbol, how the source writes it, where odd"
    )
    subscribe: tuple[Any, ...] = setting(
        default=(), doc="Messages that ask for symbols: JSON or text, with placeholders"
    )
    unsubscribe: tuple[Any, ...] = setting(default=(), doc="Messages that ask no longer")
    confirm: tuple[Any, ...] = setting(
        default=(), doc="Messages by which the source takes a subscription: texts, or by path"
    )
    ignore: tuple[Any, ...] = setting(
        default=(), doc="Messages that mean nothing: texts, or by path"
    )
    heartbeat: Heartbeat | None = setting(default=None, doc="What keeps the connection open")


@attrs.frozen(kw_only=True)
class CustomConfig:
    """Settings of `custom`."""

    url: str | None = setting(
        default=None, doc="Where to listen", example="wss://stream.venue.example/ws"
    )
    mapping: MessageMapping | None = setting(
        default=None, doc="What to send, and what messages mean"
    )

    def __attrs_post_init__(self) -> None:
        """Refuse what can't work, all of it at once."""
        from bond_websocket.check import refuse_faults  # noqa: PLC0415 -- not when it is listed

        refuse_faults(self)

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels that the mapping brings."""
        rules = self.mapping.events if self.mapping else ()
        return tuple(dict.fromkeys(CHANNELS[rule.kind] for rule in rules))

    @property
    def label(self) -> str:
        """What records call the source: its host."""
        from bond_core.plugin.egress import parse_url  # noqa: PLC0415 -- as above

        return parse_url(self.url).host if self.url else ""
