"""What a sentence asks for, as far as the rules have understood it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from bond_server.language.items import Item, Reading, Symbol

TOPIC = "topic"  # the name of an item that says what posts are about, and CHAIN of what chain
CHAIN = "chain"


@attrs.frozen
class Asked:
    """A field word that was asked for.

    Attributes:
        place: Which item it is, to find the interval that goes with it.
        family: The source type, where its name was used and not only the word.
    """

    word: str
    place: int
    family: str | None = None


@attrs.frozen
class Interval:
    """A length of time between records, and the items that say so."""

    seconds: float
    place: int
    first: Item
    last: Item


@attrs.frozen(kw_only=True)
class Threshold:
    """A comparison, as far as it says by itself what it is.

    Attributes:
        condition: As specs write it; a `window_sec` of 0 is yet to be decided.
        begin: The place where its clause begins.
        at: The place of the comparison, between a subject and a value.
        last: The last place of what was read with it.
        trigger: What says what it is for: `only when`, `alert me when`.
        goes_on: Whether it goes on with the one before it: `and volume > 5`.
    """

    condition: Mapping[str, object]
    begin: int
    at: int
    last: int
    trigger: Item | None = None
    goes_on: bool = False


@attrs.define(kw_only=True)
class AskedAlert:
    """An alert that fires when all of its thresholds hold, and its `for_sec` and `cooldown_sec`."""

    thresholds: list[Threshold]
    limits: dict[str, object] = attrs.field(factory=dict)


@attrs.define(kw_only=True)
class Draft:
    """The slots of a sentence; rules fill them.

    Attributes:
        symbols: What was named, in order; `about` of these only posts and news are asked.
        excluded: Exchanges that are left out.
        fallback: Exchanges that stand in while another is down.
        providers: Source types that bring market data themselves (`alpaca`).
        timeframes: `1m`, `100ticks`, `10vol`.
        filters: Conditions on records: all of one of these groups must hold.
        ticks: Where it says `tick by tick` and not of what; None where it doesn't.
        quote: What symbols without a quote are priced in.
        only: Whether its words are for single fields, and not for whole feeds.
        assumed: What a rule had to choose, to be told.
    """

    symbols: list[tuple[Item, Symbol]] = attrs.field(factory=list)
    about: list[Symbol] = attrs.field(factory=list)
    asked: list[Asked] = attrs.field(factory=list)
    unwanted: set[str] = attrs.field(factory=set)
    intervals: list[Interval] = attrs.field(factory=list)
    venues: list[str] = attrs.field(factory=list)
    excluded: list[str] = attrs.field(factory=list)
    fallback: list[str] = attrs.field(factory=list)
    providers: list[str] = attrs.field(factory=list)
    bars: bool = False
    timeframes: list[str] = attrs.field(factory=list)
    aggregates: list[str] = attrs.field(factory=list)
    window_s: float | None = None
    duration_s: float | None = None
    replay_s: float | None = None
    depth: int | None = None
    raw: bool = False
    ticks: int | None = None
    derived: list[str] = attrs.field(factory=list)
    filters: list[list[Threshold]] = attrs.field(factory=list)
    alerts: list[AskedAlert] = attrs.field(factory=list)
    accounts: list[str] = attrs.field(factory=list)
    query: str | None = None
    urls: list[str] = attrs.field(factory=list)
    chain: Symbol | None = None
    quote: str | None = None
    swap: bool = False
    only: bool = False
    assumed: list[str] = attrs.field(factory=list)


Rule = Callable[[Reading, Draft], None]
"""Looks for one thing in a reading, takes its items and fills its slot."""
