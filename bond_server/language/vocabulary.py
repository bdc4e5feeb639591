"""All the words that the language knows: bundled ones, and those that installed plugins teach."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

import attrs

from bond_core.aggregators.plugin import bond_aggregators
from bond_core.model.assets import Assets, bundled_assets
from bond_core.plugin.catalog import Catalog
from bond_core.plugin.specs import AggregatorSpec, Channel, ConnectorSpec
from bond_server.language import families as bundle
from bond_server.language import refused_words as refused
from bond_server.language import words as closed
from bond_server.language.durations import ADVERBS, UNITS
from bond_server.language.families import Family
from bond_server.language.lexicon import Kind, Lexicon
from bond_server.language.nearest import Misspellings

# Only these are ever corrected: a mistyped ticker or exchange may as well be another one.
_CORRECTED: tuple[Kind, ...] = (
    "field", "symbol", "bars", "swap", "agg", "key", "unit", "source", "compare",
)  # fmt: skip


_CLEARER = {"imbalance": "quote imbalance"}
"""How a word is written that says too little by itself."""


@attrs.frozen(kw_only=True, eq=False)
class Vocabulary:
    """What words mean.

    Attributes:
        families: Source type → family, in the order in which a word is looked for.
        venues: Name of an exchange → its id.
        providers: Name of a source that brings market data itself → its source type.
        assets: Tickers and names.
        installed: Source type → what the connector installed for it says of itself.
        computed: What computes record fields that are asked for one by one, by their words.
        lexicon: Every phrase; derived from the others.
        misspellings: The phrases of one word that may be corrected; derived.
    """

    families: Mapping[str, Family]
    venues: Mapping[str, str]
    providers: Mapping[str, str]
    assets: Assets
    installed: Mapping[str, Family] = attrs.field(factory=dict)
    computed: tuple[AggregatorSpec, ...] = ()
    lexicon: Lexicon = attrs.field(init=False, repr=False)
    misspellings: Misspellings = attrs.field(init=False, repr=False)

    @lexicon.default
    def _lexicon(self) -> Lexicon:
        return Lexicon(_groups(self))

    @misspellings.default
    def _misspellings(self) -> Misspellings:
        return Misspellings(
            {
                word: entry
                for word, entry in self.lexicon.single.items()
                if entry.kind in _CORRECTED and word.upper() not in self.assets.by_ticker
            }
        )

    def carriers(self, word: str) -> tuple[tuple[Family, Channel], ...]:
        """Return the families that a field word asks for, with the channel that carries it."""
        specs = [spec for spec in self.computed if word in spec.words.values()]
        kinds = {spec.kind for spec in specs}
        return tuple(
            (family, channel)
            for family in self.families.values()
            for channel in family.channels
            if word in channel.words.values() or channel.kind in kinds
        )

    def channels_of(self, source_type: str, family: str, words: Iterable[str]) -> list[Channel]:
        """Return the channels of a source that words of a family ask for, whole.

        A provider (`BTC price from acme`) is asked for a family's words, and brings what it
        says itself: the channels with these words, else those with the same kinds of events.
        """
        asked = {word for word in words if not self.is_computed(word)}
        if not asked:
            return []
        known = self.families[family].channels
        wanted = [c for c in known if asked & set(c.words.values())] or list(known)
        itself = self.installed.get(source_type)
        if itself is None or source_type == family:
            return wanted
        kinds = {channel.kind for channel in wanted}
        by_word = [c for c in itself.channels if asked & set(c.words.values())]
        return by_word or [c for c in itself.channels if c.kind in kinds] or wanted

    def is_computed(self, word: str) -> bool:
        """Whether a field word is a record field by itself, and no feed's."""
        return any(word in spec.words.values() for spec in self.computed)

    def spelling(self, word: str) -> str:
        """Return the phrase that asks for a field word, as a sentence writes it."""
        if word in _CLEARER:
            return _CLEARER[word]
        plain = word.replace("_", " ")
        for phrase in (plain, word):
            entry = self.lexicon.single.get(phrase)
            if entry is not None and entry.name == word:
                return phrase
        taught = [c.words for _, c in self.carriers(word)] + [s.words for s in self.computed]
        phrases = [p for words in taught for p, w in words.items() if w == word]
        return next((p for p in phrases if p != word), phrases[0] if phrases else plain)


@cache
def bundled() -> Vocabulary:
    """Return what is known with nothing installed."""
    return Vocabulary(
        families={family.type: family for family in bundle.BUNDLED},
        venues=bundle.VENUES,
        providers=bundle.STOCK_PROVIDERS,
        assets=bundled_assets(),
        computed=tuple(spec for spec in bond_aggregators() if spec.words),
    )


def vocabulary_of(catalog: Catalog) -> Vocabulary:
    """Return all the words that work here: the bundled ones, and those of what is installed."""
    return with_plugins(bundled(), catalog.connectors, catalog.aggregators)


def with_plugins(
    vocabulary: Vocabulary,
    connectors: Iterable[ConnectorSpec],
    aggregators: Iterable[AggregatorSpec] = (),
) -> Vocabulary:
    """Return the vocabulary with what installed connectors and aggregators bring.

    A connector that is a known family by its name or an alias adds its words and venues, and
    says which fields its channels really have. Any other becomes a family of its own; where
    it carries market data under known words, `from NAME` chooses it. An aggregator's words
    ask for its fields of the channels of its kind.
    """
    families = dict(vocabulary.families)
    venues = dict(vocabulary.venues)
    providers = dict(vocabulary.providers)
    installed = dict(vocabulary.installed)
    for spec in connectors:
        installed[spec.name] = _family(spec, spec.channels)
        venues |= {venue.lower(): venue for venue in spec.venues}
        venues |= {name.lower(): venue for name, venue in spec.venue_aliases.items()}
        known = _known_as(spec, families)
        if known is not None:
            families[known.type] = _taught(known, spec)
        elif _is_provider(spec, vocabulary):
            providers |= {name.lower(): spec.name for name in (spec.name, *spec.aliases)}
            families |= _new_words(spec, families)
        else:
            families[spec.name] = _family(spec, spec.channels)
    computed = {spec.name: spec for spec in (*vocabulary.computed, *aggregators) if spec.words}
    return Vocabulary(
        families=families, venues=venues, providers=providers, assets=vocabulary.assets,
        installed=installed, computed=tuple(computed.values()),
    )  # fmt: skip


def _known_as(spec: ConnectorSpec, families: Mapping[str, Family]) -> Family | None:
    for name in (spec.name, *spec.aliases):
        if name in families:
            return families[name]
    return None


def _is_provider(spec: ConnectorSpec, vocabulary: Vocabulary) -> bool:
    return spec.name in vocabulary.providers.values() or any(
        family.of in {"market", "stock"}
        for channel in spec.channels
        for word in channel.words.values()
        for family, _ in vocabulary.carriers(word)
    )


def _taught(family: Family, spec: ConnectorSpec) -> Family:
    """Return a family with an installed connector's channels in place of the bundled ones."""
    by_kind = {channel.kind: channel for channel in family.channels}
    channels = []
    for channel in spec.channels:
        bundled_one = by_kind.pop(channel.kind, None)
        words = {**(bundled_one.words if bundled_one else {}), **channel.words}
        channels.append(attrs.evolve(channel, words=words))
    names = dict.fromkeys((*family.names, spec.name, *spec.aliases))
    return attrs.evolve(family, channels=(*channels, *by_kind.values()), names=tuple(names))


def _new_words(spec: ConnectorSpec, families: Mapping[str, Family]) -> dict[str, Family]:
    """Return a provider's family for the channels whose words nobody had yet, if there are any."""
    known = {
        word for family in families.values() for c in family.channels for word in c.words.values()
    }
    new = tuple(c for c in spec.channels if c.words and not known & set(c.words.values()))
    return {spec.name: _family(spec, new)} if new else {}


def _family(spec: ConnectorSpec, channels: tuple[Channel, ...]) -> Family:
    by_default = [c for c in channels if c.default] or list(channels)
    named = dict.fromkeys(word for c in by_default for word in c.words.values())
    if all(channel.scope == "stream" for channel in channels):
        return Family(type=spec.name, of="nothing", channels=channels,
                      names=(spec.name, *spec.aliases), named=tuple(named))  # fmt: skip
    of = "asset" if any(c.by_base for c in channels) else spec.default_symbol
    return Family(type=spec.name, of=of, channels=channels, names=(spec.name, *spec.aliases),
                  named=tuple(named))  # fmt: skip


def _groups(vocabulary: Vocabulary) -> list[tuple[Kind, Mapping[str, str]]]:
    """Return every phrase by kind; a phrase in two of them is the earlier one's."""
    families = vocabulary.families.values()
    channel_words = [channel.words for family in families for channel in family.channels]
    keys = {phrase: key for key, phrases in closed.KEYS.items() for phrase in phrases}
    assets = vocabulary.assets
    return [
        # The grammar's own words come first: no plugin's word may take `every` away.
        ("bars", _same((*closed.BARS, *closed.CHARTS))),
        ("compare", closed.COMPARISONS),
        ("key", keys),
        ("change", closed.CHANGES),
        ("agg", closed.AGGREGATES),
        ("swap", _same(closed.SWAP)),
        ("unit", {word: word for word in UNITS if len(word) > 2}),
        ("adverb", {word: word for word in ADVERBS}),
        ("field", {w: " ".join(words) for w, words in bundle.COMBINED.items()}),
        *(("field", words) for words in channel_words),
        *(("field", _phrased(spec.words)) for spec in vocabulary.computed),
        ("ambiguous_field", {phrase: phrase for phrase in refused.AMBIGUOUS_FIELDS}),
        ("source", {name: family.type for family in families for name in family.names}),
        ("order", _same(refused.ORDERS)),
        ("order_before_asset", _same(refused.ORDERS_BEFORE_ASSET)),
        ("foreign_verb", _same(tuple(refused.FOREIGN_VERBS))),
        ("foreign_noun", _same(tuple(refused.FOREIGN_NOUNS))),
        ("foreign", _same(refused.FOREIGN)),
        ("unsupported", refused.UNSUPPORTED),
        ("venue", vocabulary.venues),
        ("provider", vocabulary.providers),
        ("foreign_source", _same(refused.UNKNOWN_SOURCES)),
        ("ambiguous", {name: name for name in assets.ambiguous}),
        ("symbol", assets.by_name),
        ("currency", closed.CURRENCIES),
        ("join", _same(closed.JOINS)),
        ("filler", _same(closed.FILLER)),
    ]


def _phrased(words: Mapping[str, str]) -> dict[str, str]:
    return {phrase.lower(): field for phrase, field in words.items()}


def _same(phrases: tuple[str, ...]) -> dict[str, str]:
    return {phrase: phrase for phrase in phrases}


__all__ = ["Vocabulary", "bundled", "vocabulary_of", "with_plugins"]
