"""Decide what a stream is from what its sentence asks for: which sources, symbols and fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from bond_core.plugin.specs import Channel
from bond_server.language.draft import TOPIC, Asked, Draft
from bond_server.language.durations import written
from bond_server.language.exact import narrowed
from bond_server.language.families import SWAP_WORDS, Family
from bond_server.language.items import Reading, Symbol
from bond_server.language.pace import Pace, pace
from bond_server.language.sources import (
    PlannedSource,
    distinct,
    is_about_assets,
    sources_of,
    traded,
)
from bond_server.language.subjects import alerts_of, filters_of
from bond_server.language.symbols import unified
from bond_server.language.vocabulary import Vocabulary

DEFAULT_QUOTE = "USDT"
MAX_SOURCES = 8
_MARKET_WORDS = ("price", "bid", "ask")
_DERIVED = {"cross_exchange_spread": "venue_spread"}


@attrs.frozen(kw_only=True)
class Plan:
    """A stream as its sentence describes it, everything decided.

    Attributes:
        names: What was mentioned, and the symbol that it became.
        traded: Those mentions whose markets are meant; posts alone are about the others.
        fields: Record fields; None for all that its feeds bring by default.
        computed: Those of them that are asked for one by one, and not with their feed.
        whole: Whether all that its markets bring by default was asked for.
        narrow: Whether `fields` has less than the feeds that bring them.
        interval_sec: None where records don't come by the clock (`100ticks`, raw).
    """

    symbols: tuple[str, ...]
    names: Mapping[Symbol, str]
    traded: tuple[Symbol, ...]
    sources: tuple[PlannedSource, ...]
    words: tuple[str, ...]
    fields: tuple[str, ...] | None
    computed: tuple[str, ...]
    whole: bool
    narrow: bool
    interval_sec: float | None
    timeframes: tuple[str, ...]
    aggregates: tuple[str, ...]
    window_sec: float | None
    duration_sec: float | None
    replay_sec: float | None
    depth: int | None
    raw: bool
    derived: tuple[str, ...]
    filters: tuple[tuple[Mapping[str, object], ...], ...]
    alerts: tuple[Mapping[str, object], ...]
    assumed: tuple[str, ...]


TRADED = frozenset({"price", "volume", "trades", "vwap"})
"""Words that trades bring."""

Choices = dict[str, list[Asked]]
"""Which words each family is asked for, in the order of their mention."""


def plan(reading: Reading, draft: Draft, *, default_exchanges: tuple[str, ...]) -> Plan | None:
    """Return what was asked for, or None with the reasons noted in the reading."""
    mentions = _mentions(draft)
    asked = _asked(draft)
    if not mentions:
        _refuse_no_symbol(reading, draft)
        return None
    if not _tells_of_assets(reading, asked):
        draft.about = []
    choices = _families(reading, asked, traded(draft, mentions))
    _check_custom(reading, draft, choices)
    if reading.troubles:
        return None
    times = pace(reading, draft, choices)
    if draft.raw and times.timeframes:
        detail = "every event as it comes, or bars of them? A stream has one or the other"
        reading.refuse("unsupported", detail)
    names = _names(reading, draft, choices, distinct((*traded(draft, mentions), *mentions)))
    sources = tuple(
        source
        for family in choices
        for source in sources_of(draft, reading.vocabulary.families[family],
                               choices[family], names, times)
    )  # fmt: skip
    sources = tuple(sorted(sources, key=lambda s: _rank(s, reading.vocabulary)))
    choices = {source.family: choices[source.family] for source in sources}
    _warn_of_unused(reading, draft, sources)
    if len(sources) > MAX_SOURCES:
        detail = f"a stream has at most {MAX_SOURCES} sources, this one {len(sources)}"
        reading.refuse("too_many_sources", detail)
    filters = filters_of(reading, draft, names, times.interval_sec)
    alerts = alerts_of(reading, draft, names, times.interval_sec)
    if reading.troubles:
        return None
    whole = any(a.word == "market" for a in draft.asked) and _is_default(reading, choices)
    whole &= not (draft.only or draft.unwanted & {*_MARKET_WORDS, *TRADED})
    computed = _computed(reading, draft, choices)
    if draft.raw:
        _warn_of_raw(reading, computed, times)
    assumed = _assumed(draft, sources, names, asked, default_exchanges)
    _warn_of_chain(reading, sources, mentions)
    assumed += _whole_chain(draft, sources, mentions)
    every_field = _fields(reading, sources)
    fields = _narrowed(reading, draft, sources, computed)
    if fields != every_field or draft.only:
        assumed.append(f"only={','.join((*fields, *computed))}")
    return Plan(
        symbols=distinct(names.values()), names=names, traded=traded(draft, mentions),
        sources=sources,
        words=distinct(a.word for a in asked if a.word != "custom"),
        fields=None if whole else distinct((*fields, *computed)), whole=whole,
        narrow=fields != every_field,
        computed=computed,
        interval_sec=times.interval_sec, timeframes=times.timeframes,
        aggregates=distinct(draft.aggregates), window_sec=draft.window_s,
        duration_sec=draft.duration_s, replay_sec=draft.replay_s, depth=draft.depth,
        raw=draft.raw, derived=distinct(draft.derived), filters=filters,
        alerts=alerts,
        assumed=(*assumed, *times.assumed, *draft.assumed),
    )  # fmt: skip


def _warn_of_raw(reading: Reading, computed: Iterable[str], times: Pace) -> None:
    """Say what of a sentence means little where events come as they are."""
    if fields := ", ".join(computed):
        detail = f"{fields} is not computed: the events it is made of come as they are"
        reading.warn("raw_events", detail)
    if times.interval_sec is not None:
        every = written(times.interval_sec)
        reading.warn("raw_events", f"events come as they happen; {every} is how often counts do")


def _rank(source: PlannedSource, vocabulary: Vocabulary) -> tuple[bool, int]:
    """Return the order of sources: markets, stocks, the rest, then those at their own pace."""
    of = vocabulary.families[source.family].of
    return source.interval_sec is not None, {"market": 0, "stock": 1}.get(of, 2)


def _mentions(draft: Draft) -> tuple[Symbol, ...]:
    """Return what was mentioned; `bitcoin` beside `BTC/EUR` is one mention and not two."""
    topics_last = sorted(draft.symbols, key=lambda mention: mention[0].name == TOPIC)
    found = distinct(symbol for _, symbol in topics_last)
    priced = {(s.base, s.kind) for s in found if s.quote is not None}
    return tuple(s for s in found if s.quote or s.swap or (s.base, s.kind) not in priced)


def _asked(draft: Draft) -> list[Asked]:
    """Return the words that were asked for, those implied by the rest included."""
    asked: list[Asked] = []
    drawn = {each.word for each in draft.asked} & TRADED
    for each in sorted(draft.asked, key=lambda a: a.place):
        if each.word == "bars":
            if not drawn or "price" in drawn:
                asked.append(Asked("price", each.place))
            continue
        meant = _market_words(draft) if each.word == "market" else (each.word,)
        asked += [Asked(word, each.place, each.family) for word in meant]
    words = {each.word for each in asked}
    if draft.ticks is not None and words <= TRADED:
        asked.append(Asked("trades", draft.ticks))
    end = 1 + max((each.place for each in asked), default=0)
    if not asked and not (draft.accounts and draft.about):
        asked.append(Asked("price", end))
    if (draft.accounts or draft.query) and words.isdisjoint({"tweets", "news"}):
        asked.append(Asked("tweets", end))
    if draft.urls and "custom" not in words:
        asked.append(Asked("custom", end))
    return asked


def _market_words(draft: Draft) -> tuple[str, ...]:
    """Return what `market data` is of, less what the sentence leaves out."""
    left_out = draft.unwanted | ({"price"} if "trades" in draft.unwanted else set())
    return tuple(word for word in _MARKET_WORDS if word not in left_out)


def _refuse_no_symbol(reading: Reading, draft: Draft) -> None:
    if reading.troubles:
        return
    maybe = [i for i in reading.items if i.kind == "maybe" and i.symbol]
    near = tuple(i.symbol.base for i in maybe if i.symbol) or ("BTC", "ETH", "SOL")
    understood = draft.asked or draft.intervals or draft.urls
    if not understood:
        detail = "I don't understand this as a stream of market data"
        reading.refuse("not_understood", detail)
        return
    reading.refuse("missing_symbol", "of what? Name a symbol, such as BTC", did_you_mean=near)


def _families(reading: Reading, asked: Iterable[Asked], mentions: Iterable[Symbol]) -> Choices:
    kinds = {symbol.kind for symbol in mentions}
    choices: Choices = {}
    asked = tuple(asked)
    named = {each.word: each.family for each in asked if each.family}
    for each in asked:
        by_name = each.family or named.get(each.word)
        if by_name is not None:
            choices.setdefault(by_name, []).append(each)
            continue
        found = [family for family, _ in reading.vocabulary.carriers(each.word)]
        markets = [f for f in found if f.of in {"market", "stock"}]
        fitting = [f for f in markets if {"market": "crypto", "stock": "stock"}[f.of] in kinds]
        chosen = _one_of_each(fitting) if markets else found[:1]
        if not chosen:
            reading.refuse("unsupported", f"stocks have no {each.word.replace('_', ' ')}")
        for family in chosen:
            choices.setdefault(family.type, []).append(each)
    return choices


def _tells_of_assets(reading: Reading, asked: Iterable[Asked]) -> bool:
    """Whether posts, news or trends are asked for: only they can be about something."""
    families = [reading.vocabulary.families[a.family] for a in asked if a.family]
    families += [f for a in asked for f, _ in reading.vocabulary.carriers(a.word)]
    return any(f.of == "asset" and is_about_assets(f) for f in families)


def _one_of_each(families: Iterable[Family]) -> list[Family]:
    """Return the first family of crypto markets and the first of stocks."""
    first: dict[str, Family] = {}
    for family in families:
        first.setdefault(family.of, family)
    return list(first.values())


def _names(
    reading: Reading, draft: Draft, choices: Choices, mentions: tuple[Symbol, ...]
) -> dict[Symbol, str]:
    """Return each mention's symbol: of its market where one is listened to, else the asset."""
    families = [reading.vocabulary.families[name] for name in choices]
    kinds = {"crypto" for f in families if f.of == "market"}
    kinds |= {"stock" for f in families if f.of == "stock"}
    swap = draft.swap or any(a.word in SWAP_WORDS for words in choices.values() for a in words)
    at_markets = traded(draft, mentions)
    return {
        symbol: unified(symbol, quote=draft.quote or DEFAULT_QUOTE, swap=swap)
        if symbol.kind in kinds and symbol in at_markets
        else symbol.base
        for symbol in mentions
    }


def _check_custom(reading: Reading, draft: Draft, choices: Choices) -> None:
    """Refuse a custom source without an address."""
    if "custom" not in choices or draft.urls:
        return
    item = reading.items[choices["custom"][0].place]
    detail = "a custom source needs its address: custom websocket wss://..."
    reading.refuse("missing_url", detail, item, instead="")


def _warn_of_unused(reading: Reading, draft: Draft, sources: Iterable[PlannedSource]) -> None:
    """Tell of exchanges and providers that no source of this stream has."""
    used = {name for s in sources for name in (s.type, *_places(s))}
    for name in distinct([*draft.venues, *draft.excluded, *draft.fallback, *draft.providers]):
        if name not in used:
            reading.warn("ignored", f"{name}: no source of this stream comes from there")


def _places(source: PlannedSource) -> tuple[str, ...]:
    return (*source.exchanges, *source.exclude_exchanges, *source.fallback)


def _whole_chain(
    draft: Draft, sources: Iterable[PlannedSource], mentions: Iterable[Symbol]
) -> list[str]:
    """Say that `USDC transfers on solana` are those of all coins."""
    others = [m.base for m in mentions if draft.chain is not None and m.base != draft.chain.base]
    if not others or any(source.family != "onchain" for source in sources):
        return []
    return [f"onchain=all of the chain's, not only of {','.join(distinct(others))}"]


def _warn_of_chain(
    reading: Reading, sources: Iterable[PlannedSource], mentions: Iterable[Symbol]
) -> None:
    if any(s.family == "onchain" and s.chain is None for s in sources):
        names = ", ".join(distinct(m.base for m in mentions))
        detail = f"on-chain activity is that of the source's own chain (Solana), not of {names}"
        reading.warn("assumed_chain", detail)


def _is_default(reading: Reading, choices: Choices) -> bool:
    return all(channel.default for channel in _channels(reading, choices))


def _fields(reading: Reading, sources: Iterable[PlannedSource]) -> tuple[str, ...]:
    return distinct(
        field
        for source in sources
        for channel in reading.vocabulary.channels_of(source.type, source.family, source.words)
        for field in channel.fields
    )


def _narrowed(
    reading: Reading, draft: Draft, sources: Iterable[PlannedSource], computed: Iterable[str]
) -> tuple[str, ...]:
    """Return the fields that are wanted: only markets bring more than a word may mean."""
    families = reading.vocabulary.families
    markets = [s for s in sources if families[s.family].of in {"market", "stock"}]

    def fields_of(word: str) -> Iterable[str]:
        asked = [s for s in markets if word in s.words]
        return _fields(reading, [attrs.evolve(s, words=(word,)) for s in asked])

    of_markets = _fields(reading, markets)
    wanted = narrowed(of_markets, reading, draft, fields_of)
    if not (wanted or computed):
        wanted = of_markets
    return tuple(f for f in _fields(reading, sources) if f in wanted or f not in of_markets)


def _channels(reading: Reading, choices: Choices) -> list[Channel]:
    """Return the feeds that are asked for, whole."""
    return [
        channel
        for family, asked in choices.items()
        for channel in reading.vocabulary.channels_of(family, family, [a.word for a in asked])
    ]


def _computed(reading: Reading, draft: Draft, choices: Choices) -> tuple[str, ...]:
    """Return the fields that are asked for by themselves, not with their feed."""
    words = (each.word for asked in choices.values() for each in asked)
    fields = [_DERIVED.get(name, name) for name in draft.derived]
    return distinct((*fields, *(w for w in words if reading.vocabulary.is_computed(w))))


def _assumed(
    draft: Draft, sources: Iterable[PlannedSource], names: Mapping[Symbol, str],
    asked: Iterable[Asked], default_exchanges: Iterable[str],
) -> list[str]:  # fmt: skip
    notes = []
    pairs = [s for s, name in names.items() if s.kind == "crypto" and "/" in name]
    if draft.quote is None and any(s.quote is None for s in pairs):
        notes.append(f"quote={DEFAULT_QUOTE}")
    if not draft.swap and any(a.word in SWAP_WORDS for a in asked) and pairs:
        notes.append("market=swap")
    if draft.replay_s is not None:
        notes.append("replay=as much as was kept of this stream: of a new one, nothing")
    for source in sources:
        if source.type == "ccxt" and not source.exchanges:
            notes.append(f"exchanges={','.join(default_exchanges)} (default)")
        if source.type == "equities":
            notes.append("provider=the first one installed that has its key")
    notes += [f"{name} as written" for s, name in names.items() if "/" in name and not s.listed]
    notes += [f"{s.base} is a stock" for s in names if s.kind == "stock" and not s.listed]
    return notes
