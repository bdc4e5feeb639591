"""Make the sources of a stream: each family with what its sentence says of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

import attrs

from bond_server.language.draft import TOPIC, Asked, Draft
from bond_server.language.families import CHAINS, EVENT_TYPES, Family
from bond_server.language.items import Symbol
from bond_server.language.pace import Pace

_T = TypeVar("_T")


@attrs.frozen(kw_only=True)
class PlannedSource:
    """One source of the stream; `words` are those it was asked for."""

    type: str
    family: str
    words: tuple[str, ...]
    symbols: tuple[str, ...] = ()
    exchanges: tuple[str, ...] = ()
    exclude_exchanges: tuple[str, ...] = ()
    fallback: tuple[str, ...] = ()
    chain: str | None = None
    event_types: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    query: str | None = None
    url: str | None = None
    interval_sec: float | None = None


def distinct(values: Iterable[_T]) -> tuple[_T, ...]:
    """Return the values without repeats, in order."""
    return tuple(dict.fromkeys(values))


def traded(draft: Draft, mentions: Iterable[Symbol]) -> tuple[Symbol, ...]:
    """Return the symbols whose markets are meant: not those that only posts are about."""
    everything = tuple(mentions)
    topics = {symbol.base for symbol in draft.about}
    apart = {symbol.base for item, symbol in draft.symbols if item.name != TOPIC}
    return tuple(s for s in everything if s.base in apart or s.base not in topics) or everything


def sources_of(
    draft: Draft, family: Family, asked: list[Asked],
    names: Mapping[Symbol, str], times: Pace,
) -> list[PlannedSource]:  # fmt: skip
    """Return the sources for one family: more than one where several addresses were given."""
    words = distinct(each.word for each in asked)
    base = PlannedSource(
        type=family.type, family=family.type, words=words,
        symbols=_symbols_of(family, draft, names), interval_sec=times.own.get(family.type),
    )  # fmt: skip
    if family.of in {"market", "stock"}:
        return _market_sources(draft, family, base, mixed=len({s.kind for s in names}) > 1)
    if family.type == "onchain":
        event_types = distinct(EVENT_TYPES[w] for w in words if w in EVENT_TYPES)
        chosen = () if "onchain" in words else event_types
        return [attrs.evolve(base, symbols=(), chain=_chain(draft, names), event_types=chosen)]
    if family.type == "custom":
        return [attrs.evolve(base, url=url) for url in distinct(draft.urls)]
    if family.type == "liquidations":
        return [_at_venues(draft, base)]
    if family.type in {"twitter", "nitter"}:
        return [attrs.evolve(base, accounts=distinct(draft.accounts), query=draft.query)]
    if family.type == "news" and "tweets" not in {a.word for a in draft.asked}:
        return [attrs.evolve(base, query=draft.query)]
    return [base]


def _market_sources(
    draft: Draft, family: Family, base: PlannedSource, *, mixed: bool
) -> list[PlannedSource]:
    """Exchanges are of crypto markets; providers of stocks, or of crypto where it is alone."""
    if draft.providers and (family.of == "stock" or not (mixed or draft.venues)):
        return [attrs.evolve(base, type=name) for name in distinct(draft.providers)]
    if family.of == "stock":
        return [base]
    return [_at_venues(draft, base)]


def _at_venues(draft: Draft, base: PlannedSource) -> PlannedSource:
    venues = tuple(v for v in distinct(draft.venues) if v not in draft.excluded)
    return attrs.evolve(
        base, exchanges=venues, exclude_exchanges=distinct(draft.excluded),
        fallback=distinct(draft.fallback),
    )  # fmt: skip


def is_about_assets(family: Family) -> bool:
    """Whether what a family brings was written by people, about something."""
    return any(channel.kind in {"post", "news", "trend"} for channel in family.channels)


def _symbols_of(family: Family, draft: Draft, names: Mapping[Symbol, str]) -> tuple[str, ...]:
    if family.of == "nothing" or all(c.scope == "stream" for c in family.channels):
        return ()
    if family.of == "asset":
        topics = names if not draft.about else (
            draft.about if is_about_assets(family) else traded(draft, names)
        )  # fmt: skip
        bases = {symbol.base for symbol in topics}
        return distinct(symbol.base for symbol in names if symbol.base in bases)
    kind = "crypto" if family.of == "market" else "stock"
    at_markets = traded(draft, names)
    return distinct(n for s, n in names.items() if s.kind == kind and s in at_markets)


def _chain(draft: Draft, names: Mapping[Symbol, str]) -> str | None:
    """Return the chain that was named, or the one that the only asset is."""
    if draft.chain is not None:
        return CHAINS[draft.chain.base]
    bases = {symbol.base for symbol in names}
    return "sol" if bases == {"SOL"} else None
