"""Make the error that a refused sentence gets, with a sentence beside it that works."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import attrs

from bond_core.errors import Problem, RequestError
from bond_server.language.draft import Draft
from bond_server.language.items import MOST_PROBLEMS, Reading, Trouble
from bond_server.language.sentence import condition

EXAMPLE = "BTC price + tweets every 5s"
_FIRST = ("out_of_scope", "forbidden_url")  # whatever else is wrong, these are what matters
_ROUNDS = 3
_SHORT = 160  # a longer sentence that one round doesn't mend is not worth the time
_JOINING = frozenset(
    {"or", "and", "with", "plus", "+", "&", ",", "-", "--", "on", "from", "of", "to", "in"}
)

Attempt = Callable[[str], Reading | str]
"""Understands a sentence: its canonical form, or the reading with the reasons to refuse it."""


def plain_error(code: str, detail: str, fix: str) -> RequestError:
    """Return an error about the sentence as a whole."""
    problem = Problem(detail=detail, pointer="/natural_language", did_you_mean=(fix,))
    return RequestError(detail, code=code, problems=(problem,), fix=fix)


def hidden_error(text: str, span: tuple[int, int], fix: str | None) -> RequestError:
    """Return the error of a character that nobody sees, and that changes what one sees."""
    char = text[slice(*span)]
    detail = f"the character U+{ord(char):04X} is not seen, and has no meaning here: leave it out"
    problem = Problem(detail=detail, pointer="/natural_language", span=span, text=char)
    return RequestError(detail, code="not_understood", problems=(problem,), fix=fix)


def error_of(reading: Reading, draft: Draft, *, attempt: Attempt) -> RequestError:
    """Return the error for what was noted in a reading; its fix is understood."""
    troubles = _sorted(reading.troubles)
    code = troubles[0].code
    candidates = _candidates(reading, draft, code, attempt)
    fix = next(fix for fix in candidates if isinstance(attempt(fix), str))
    problems = [trouble.problem for trouble in troubles[:MOST_PROBLEMS]]
    if code in {"out_of_scope", "missing_symbol"}:
        near = tuple(dict.fromkeys((fix, *problems[0].did_you_mean)))
        problems[0] = attrs.evolve(problems[0], did_you_mean=near)
    return RequestError(problems[0].detail, code=code, problems=problems, fix=fix)


def _sorted(troubles: Iterable[Trouble]) -> list[Trouble]:
    """Return the gravest first; then in the order of the sentence."""
    ranked = sorted(troubles, key=lambda t: (t.code not in _FIRST, t.problem.span or (0, 0)))
    if ranked[0].code == "out_of_scope":
        return [t for t in ranked if t.code == "out_of_scope"]
    return ranked


def _candidates(reading: Reading, draft: Draft, code: str, attempt: Attempt) -> Iterator[str]:
    """Yield sentences that may be what was meant, the nearest first; the last one works."""
    if code != "out_of_scope":
        text = _mended(reading.text, reading)
        for _ in range(_ROUNDS if len(text) <= _SHORT else 1):
            result = attempt(text)
            if isinstance(result, str):
                yield result if code == "not_understood" else text
                break
            text = _mended(text, result)
    symbol = draft.symbols[0][1].base if draft.symbols else "BTC"
    thresholds = [*(t for alert in draft.alerts for t in alert.thresholds),
                  *(t for group in draft.filters for t in group)]  # fmt: skip
    if code == "out_of_scope" and thresholds:
        said = condition(thresholds[0].condition, (), reading.vocabulary).removeprefix("price ")
        yield f"alert me when {symbol} {said}"
    asked = [a.word for a in draft.asked if a.word != "bars"]
    words = " + ".join(dict.fromkeys(reading.vocabulary.spelling(word) for word in asked))
    if draft.timeframes:
        yield f"{symbol} {draft.timeframes[0]} candles"
    yield f"{symbol} {words or 'price'} every 5s"
    yield f"{symbol} price every 5s"
    yield EXAMPLE


def _mended(text: str, why: Reading) -> str:
    """Return the sentence with every reason to refuse it mended, as far as it is known how."""
    if any(t.code == "missing_symbol" for t in why.troubles):
        near = next(t.problem.did_you_mean for t in why.troubles if t.code == "missing_symbol")
        return f"{near[0]} {text}"
    edits = [(c.span[0], c.span[1], c.meant) for c in why.corrected]
    for trouble in why.troubles:
        if trouble.edit is not None and trouble.edit[0] < trouble.edit[1]:
            start, stop, by = trouble.edit
            edits.append((*why.folded.original(start, stop), by))
    end = len(text)
    for first, last, by in sorted(edits, reverse=True):
        if last <= end:
            text = f"{text[:first]}{by}{text[last:]}"
            end = first
    return _trimmed(" ".join(text.split()))


def _trimmed(text: str) -> str:
    """Return the sentence without the joining words that an edit left at its ends."""
    words = text.strip(" +,&/-.:").split(" ")
    while words and words[0].lower() in _JOINING:
        words = words[1:]
    while words and words[-1].lower() in _JOINING:
        words = words[:-1]
    return " ".join(words)
