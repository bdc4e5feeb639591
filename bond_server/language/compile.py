"""Understand a sentence: the stream it asks for as a spec, and what each of its words became.

understand("BTC price + tweets every 5s", bundled()).spec
{"sources": [{"type": "ccxt", "symbols": ["BTC/USDT"]},
{"type": "twitter", "symbols": ["BTC"]}],
"symbols": ["BTC/USDT"], "interval_sec": 5, "fields": [...]}
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from bond_core.errors import RequestError
from bond_server.language.draft import Draft, Rule
from bond_server.language.items import Correction, Reading, Warning_
from bond_server.language.normalise import hidden, normalise, shown
from bond_server.language.plan import Plan, plan
from bond_server.language.reader import read
from bond_server.language.refusal import EXAMPLE, error_of, hidden_error, plain_error
from bond_server.language.rules_conditions import CONDITION_RULES
from bond_server.language.rules_leftovers import LAST_RULES
from bond_server.language.rules_limits import LIMIT_RULES
from bond_server.language.rules_pace import PACE_RULES
from bond_server.language.rules_scope import SCOPE_RULES, unknown_sources
from bond_server.language.rules_symbols import SYMBOL_RULES
from bond_server.language.rules_time import TIME_RULES
from bond_server.language.rules_venues import VENUE_RULES
from bond_server.language.rules_words import AFTER_VENUES, BEFORE_VENUES
from bond_server.language.sentence import sentence
from bond_server.language.spec import spec_of
from bond_server.language.tokens import Token
from bond_server.language.vocabulary import Vocabulary

MAX_LENGTH = 500
DEFAULT_EXCHANGES = ("binance", "okx")

_RULES: tuple[Rule, ...] = (
    *SCOPE_RULES, *CONDITION_RULES, *TIME_RULES, *PACE_RULES, *BEFORE_VENUES, *VENUE_RULES,
    unknown_sources, *AFTER_VENUES, *SYMBOL_RULES, *LIMIT_RULES, *LAST_RULES,
)  # fmt: skip


@attrs.frozen(kw_only=True)
class Understanding:
    """What a sentence was understood to ask for.

    Attributes:
        text: The sentence as given.
        spec: What `POST /v1/streams` takes as `spec`: plain JSON, seconds as numbers.
        words: The field words asked for, in order: `price`, `tweets`.
        aggregates: `avg max min sum`, where the sentence names one.
        sentence: The canonical sentence; understanding it gives the same spec.
        tokens: Each piece of the sentence and what it became, in order.
        assumed: What the sentence left open: `quote=USDT`.
        corrected: Its misspelt words.
        warnings: What its author should know.
        filler: Its words that say nothing about the stream.
    """

    text: str
    spec: Mapping[str, object]
    words: tuple[str, ...]
    aggregates: tuple[str, ...]
    sentence: str
    tokens: tuple[Token, ...]
    assumed: tuple[str, ...]
    corrected: tuple[Correction, ...]
    warnings: tuple[Warning_, ...]
    filler: tuple[str, ...] = ()


def understand(
    text: str,
    vocabulary: Vocabulary,
    *,
    max_length: int = MAX_LENGTH,
    default_exchanges: Iterable[str] = DEFAULT_EXCHANGES,
) -> Understanding:
    """Return what a sentence asks for. Pure: the same words give the same spec, offline.

    Args:
        text: The sentence.
        vocabulary: The words to understand it by.
        max_length: How many characters it may have.
        default_exchanges: What to report as assumed where it names no exchange.

    Raises:
        RequestError: It asks for nothing that Bond can do, or not clearly. Each problem has
            its span in `text`; `fix` is a sentence that is understood. Its code is one of
            `empty too_long missing_symbol unknown_symbol ambiguous_symbol ambiguous_field
            unknown_exchange unknown_source missing_unit unknown_unit ambiguous_unit
            interval_out_of_range
            conflicting_interval missing_number missing_url forbidden_url out_of_scope
            unsupported too_many_sources not_understood`.
    """
    if len(text) > max_length:
        raise plain_error(
            "too_long", f"at most {max_length} characters, this has {len(text)}", EXAMPLE
        )
    if not normalise(text).text.strip():
        raise plain_error("empty", "say what to stream", EXAMPLE)
    if (span := hidden(text)) is not None:
        raise hidden_error(text, span, _fix_of(shown(text), vocabulary, max_length))
    reading, draft, planned = _planned(text, vocabulary, tuple(default_exchanges))
    if planned is None:
        raise error_of(reading, draft, attempt=lambda fix: _attempt(fix, vocabulary, max_length))
    return Understanding(
        text=text,
        spec=spec_of(planned),
        words=planned.words,
        aggregates=planned.aggregates,
        sentence=sentence(planned, vocabulary),
        tokens=_tokens(reading, planned),
        assumed=planned.assumed,
        corrected=tuple(reading.corrected),
        warnings=tuple(reading.warnings),
        filler=tuple(
            text[slice(*reading.span(item))]
            for item in reading.items
            if item.kind == "filler" and item.role in (None, "filler")
        ),
    )


def _fix_of(text: str, vocabulary: Vocabulary, max_length: int) -> str | None:
    """Return a text that is understood, or what the error says that it gets."""
    try:
        understand(text, vocabulary, max_length=max_length)
    except RequestError as error:
        return error.fix
    return text


def read_sentence(text: str, vocabulary: Vocabulary) -> tuple[Reading, Draft]:
    """Return a sentence's items with what each was taken for, and what it asks for so far."""
    reading, draft = read(text, vocabulary), Draft()
    for rule in _RULES:
        rule(reading, draft)
    return reading, draft


def _planned(
    text: str, vocabulary: Vocabulary, default_exchanges: tuple[str, ...] = DEFAULT_EXCHANGES
) -> tuple[Reading, Draft, Plan | None]:
    reading, draft = read_sentence(text, vocabulary)
    if reading.troubles:
        return reading, draft, None
    return reading, draft, plan(reading, draft, default_exchanges=default_exchanges)


def _attempt(text: str, vocabulary: Vocabulary, max_length: int) -> Reading | str:
    """Return a sentence's canonical form, or its reading where it is refused."""
    reading, _, planned = _planned(text, vocabulary)
    if planned is None or len(text) > max_length:
        return reading
    return sentence(planned, vocabulary)


def _tokens(reading: Reading, planned: Plan) -> tuple[Token, ...]:
    """Return the pieces, those joined that mean one thing together."""
    tokens: list[Token] = []
    for item in reading.items:
        start, end = reading.span(item)
        role, meaning = item.role or "filler", item.meaning
        if item.symbol is not None and role == "symbol":
            meaning = planned.names.get(item.symbol, meaning)
        last = tokens[-1] if tokens else None
        if last is not None and meaning and (last.role, last.meaning) == (role, meaning):
            start = tokens.pop().span[0]
        tokens.append(
            Token(span=(start, end), text=reading.text[start:end], role=role, meaning=meaning)
        )
    return tuple(tokens)
