"""Write what X is asked for: a stream's rules, and a search's queries.

Source: https://docs.x.com/x-api/posts/filtered-stream/integrate/build-a-rule (operators). What
comes back is looked at again (`posts.py`): X tells no NEAR from near.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from bond_core.plugin import Fatal, Phrases, search_terms

MAX_CHARS = 512
"""The longest rule or query that every plan allows."""

_ACCOUNT = re.compile(r"[A-Za-z0-9_]{1,15}")
_TAG = re.compile(r"#\w+")
_NO_REPEATS = "-is:retweet"


def accounts_of(given: Iterable[str]) -> tuple[str, ...]:
    """Return accounts without their @.

    Raises:
        Fatal: One can't be the name of an account.
    """
    accounts = tuple(name.removeprefix("@") for name in given)
    for name in accounts:
        if not _ACCOUNT.fullmatch(name):
            raise Fatal(
                f"{name!r} can't be an account on X: names have up to 15 letters, digits and _",
                fix='"accounts": ["saylor"]',
            )
    return accounts


def narrowing(accounts: Sequence[str], query: str) -> str:
    """Return the part of a rule that holds for each symbol: who wrote it, and what it must say."""
    parts = []
    if accounts:
        parts.append(_any(f"from:{name}" for name in accounts))
    parts += [p if _TAG.fullmatch(p) else _quoted(p) for p in Phrases(query).parts]
    return " ".join((*parts, _NO_REPEATS))


def rule_of(symbol: str, rest: str, *, cashtags: bool) -> str:
    """Return the rule for one symbol; of many names the first that fit."""
    return next(iter(queries_of([symbol], rest, cashtags=cashtags)))


def queries_of(symbols: Iterable[str], rest: str, *, cashtags: bool) -> list[str]:
    """Return the fewest queries that ask for all symbols, none longer than X allows.

    Raises:
        Fatal: What the user wants besides leaves no room for a symbol.
    """
    room = MAX_CHARS - len(rest) - len("() ")
    queries: list[str] = []
    terms: list[str] = []
    for symbol in symbols:
        own = _fitting(_terms(symbol, cashtags=cashtags), room)
        if terms and len(" OR ".join((*terms, *own))) > room:
            queries.append(f"{_any(terms)} {rest}")
            terms = []
        terms += own
    return [*queries, f"{_any(terms)} {rest}"] if terms else queries


def _terms(symbol: str, *, cashtags: bool) -> list[str]:
    asked = search_terms(symbol)
    # A cashtag on X is letters; a tag ends at what is neither letter, digit nor _.
    cash = [asked.cashtag] if cashtags and asked.cashtag[1:].isalpha() else []
    tags = [tag for tag in asked.hashtags if _TAG.fullmatch(tag)]
    words = [word if word.isalnum() else _quoted(word) for word in asked.words]
    return list(dict.fromkeys((*cash, *tags, *words)))


def _fitting(terms: Sequence[str], room: int) -> list[str]:
    kept: list[str] = []
    for term in terms:
        if len(" OR ".join((*kept, term))) > room:
            break
        kept.append(term)
    if not kept:
        raise Fatal("the accounts and words asked for are too many for one rule at X")
    return kept


def _any(terms: Iterable[str]) -> str:
    return f"({' OR '.join(terms)})"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', " ").replace("\\", " ") + '"'
