"""Say whether all that a sentence names is in somebody else's text, and what of it is left out.

A language model may rewrite a text; what it writes counts only as far as its author said it.
Symbols, exchanges, numbers, times, accounts and phrases must each be found in the text. A
word for what is wanted (`price`, `tweets`) may be the model's: it is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import attrs

from bond_server.language.comparisons import WITHIN
from bond_server.language.compile import read_sentence
from bond_server.language.draft import Draft
from bond_server.language.durations import ADVERBS, MULTIPLIERS, UNITS, written
from bond_server.language.items import Item, Reading
from bond_server.language.plan import DEFAULT_QUOTE
from bond_server.language.sentence import digits
from bond_server.language.sources import distinct
from bond_server.language.vocabulary import Vocabulary

_PLACES = ("venue", "provider")
_SAYINGS = ("account", "tag", "quote")
_WORDS = ("field", "source", "agg", "bars", "swap", "change", "compare")
_CLOSE = 1e-9


@attrs.frozen(kw_only=True)
class Grounding:
    """How a sentence stands to the text that it was made of.

    Attributes:
        strange: What it names that the text doesn't: then it may not be used.
        assumed: What it decides that the text leaves open: `quote=USDT`.
        interpreted: Words for what is wanted that the text has not.
        left_out: What was understood of the text and isn't in it, as the text has it.
    """

    strange: tuple[str, ...]
    assumed: tuple[str, ...]
    interpreted: tuple[str, ...]
    left_out: tuple[str, ...]


@attrs.frozen(kw_only=True)
class _Named:
    """What a text names.

    Attributes:
        quotes: What symbols are priced and settled in, and other currencies.
        places: Exchanges, and sources by their names.
        lengths: Of time, in seconds.
        decided: Numbers and lengths that rules made of several words: `twice a second`.
        sayings: Accounts, tags and quoted phrases.
        words: For what is wanted.
    """

    symbols: frozenset[str]
    quotes: frozenset[str]
    places: frozenset[str]
    numbers: frozenset[float]
    lengths: frozenset[float]
    decided: frozenset[float]
    sayings: frozenset[str]
    urls: frozenset[str]
    words: tuple[str, ...]

    def has(self, number: float) -> bool:
        """Whether it has this number."""
        return _near(abs(number), map(abs, {*self.numbers, *self.decided}))

    def has_length(self, seconds: float) -> bool:
        """Whether it has this length, or its number with any unit or none."""
        of_units = (n * unit for n in self.numbers for unit in UNITS.values())
        return _near(seconds, (*self.lengths, *self.decided, *of_units))


def ground(sentence: str, text: str, vocabulary: Vocabulary) -> Grounding:
    """Return how a canonical sentence stands to a text."""
    proposed = _named(*read_sentence(sentence, vocabulary))
    reading, draft = read_sentence(text, vocabulary)
    given = _named(reading, draft)
    known = given.symbols | given.quotes
    plain = reading.folded.text.casefold()
    strange = [
        *sorted(proposed.symbols - known),
        *sorted(proposed.quotes - known - {DEFAULT_QUOTE}),
        *sorted(proposed.places - given.places),
        *(digits(n) for n in sorted(proposed.numbers) if not given.has(n)),
        *(written(s) for s in sorted(proposed.lengths) if not given.has_length(s)),
        *(name for name in sorted(proposed.sayings) if not _says(plain, name)),
        *sorted(proposed.urls),  # where to connect to is never a model's to say
    ]
    is_assumed = DEFAULT_QUOTE in proposed.quotes - known
    left_out = [item for item in reading.items if not _is_used(item, proposed, given)]
    return Grounding(
        strange=tuple(strange),
        assumed=(f"quote={DEFAULT_QUOTE}",) if is_assumed else (),
        interpreted=tuple(word for word in proposed.words if word not in given.words),
        left_out=tuple(reading.text[slice(*reading.span(item))] for item in left_out),
    )


def _named(reading: Reading, draft: Draft) -> _Named:
    items = reading.items
    symbols = [item.symbol for item in items if item.kind == "symbol" and item.symbol]
    quotes = [item.name for item in items if item.kind == "currency"]
    quotes += [text for s in symbols for text in (s.quote, s.settle) if text]
    bases = frozenset(symbol.base for symbol in symbols)
    return _Named(
        symbols=bases,
        quotes=frozenset(quotes) - bases,
        places=frozenset(item.name for item in items if item.kind in _PLACES),
        numbers=frozenset(n for item in items for n in _numbers(item)),
        lengths=frozenset(n for item in items for n in _lengths(item)),
        decided=frozenset(_decided(draft)),
        sayings=frozenset(item.name.casefold() for item in items if item.kind in _SAYINGS),
        urls=frozenset(item.name for item in items if item.kind == "url"),
        words=distinct(item.name or item.written for item in items if item.kind in _WORDS),
    )


def _numbers(item: Item) -> Iterable[float]:
    """Yield what a number may be; one before an `m` may be so many minutes, or millions."""
    if item.kind == "number":
        yield item.number
    elif item.kind == "duration" and item.role == "condition" and not _is_length(item):
        yield item.number / (60 if item.unit == "m" else 1) * MULTIPLIERS["m"]


def _is_length(item: Item) -> bool:
    """Whether it is the `1m` of `moves more than 2% in 1m`, and not so many millions."""
    return item.meaning.startswith((f"{WITHIN} ", "for ", "at most once "))


def _lengths(item: Item) -> Iterable[float]:
    if item.kind == "duration" and (item.role != "condition" or _is_length(item)):
        yield item.number * (60 if item.unit == "M" else 1)
    elif item.kind == "unit":
        yield UNITS[item.name]
    elif item.kind == "adverb":
        yield ADVERBS[item.name]


def _decided(draft: Draft) -> Iterable[float]:
    """Yield the numbers that rules found: a length in seconds, or a threshold."""
    yield from (interval.seconds for interval in draft.intervals)
    yield from filter(None, (draft.window_s, draft.duration_s, draft.replay_s))
    for group in (*draft.filters, *(alert.thresholds for alert in draft.alerts)):
        for threshold in group:
            for value in threshold.condition.values():
                if isinstance(value, int | float):
                    yield float(value)
    for alert in draft.alerts:
        for value in alert.limits.values():
            if isinstance(value, int | float):
                yield float(value)


def _near(number: float, others: Iterable[float]) -> bool:
    return any(abs(number - other) <= _CLOSE * max(1.0, abs(number)) for other in others)


def _says(text: str, name: str) -> bool:
    """Whether a text has these words, as whole ones."""
    return bool(re.search(rf"(?<!\w){re.escape(name.lstrip('#'))}(?!\w)", text))


def _is_used(item: Item, proposed: _Named, given: _Named) -> bool:
    """Whether what an item names is in the sentence; one that names nothing is."""
    if item.kind == "symbol" and item.symbol is not None:
        return item.symbol.base in proposed.symbols | proposed.quotes
    if item.kind in _PLACES:
        return item.name in proposed.places
    if item.kind in _SAYINGS:
        return item.name.casefold() in proposed.sayings
    if item.kind == "url":
        return False
    if item.kind in ("number", "duration"):
        as_length = (item.number, *(item.number * unit for unit in UNITS.values()))
        of_several = item.role == "interval" and any(map(proposed.has_length, given.decided))
        return of_several or any(map(proposed.has, (item.number, *_numbers(item)))) or any(
            _near(length, as_length) for length in proposed.lengths
        )  # fmt: skip
    return True
