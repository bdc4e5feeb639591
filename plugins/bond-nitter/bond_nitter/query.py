"""Write what a Nitter instance is asked for.

Source: `/search/rss` of github.com/zedeus/nitter (src/routes/rss.nim), which takes X's operators
and at most 200 characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from bond_core.plugin import Fatal, Phrases, search_terms

MAX_CHARS = 200

_ACCOUNT = re.compile(r"[A-Za-z0-9_]{1,15}")
_TAG = re.compile(r"#\w+")


def query_of(symbol: str, accounts: Iterable[str], query: str) -> str:
    """Return the search for one symbol; of many names the first that fit.

    Raises:
        Fatal: An account can't be one, or so much is asked for that no name fits.
    """
    rest = _narrowing(tuple(name.removeprefix("@") for name in accounts), query)
    asked = search_terms(symbol)
    terms = [asked.cashtag, *asked.hashtags, *asked.words]
    kept: list[str] = []
    for term in dict.fromkeys(t if " " not in t else _quoted(t) for t in terms):
        if len(" ".join(filter(None, (_any((*kept, term)), rest)))) <= MAX_CHARS:
            kept.append(term)
    if not kept:
        raise Fatal("the accounts and words asked for are too many for one search")
    return " ".join(filter(None, (_any(kept), rest)))


def _narrowing(accounts: Sequence[str], query: str) -> str:
    for name in accounts:
        if not _ACCOUNT.fullmatch(name):
            raise Fatal(
                f"{name!r} can't be an account on X: names have up to 15 letters, digits and _",
                fix='"accounts": ["saylor"]',
            )
    parts = [_any(f"from:{name}" for name in accounts)] if accounts else []
    parts += [p if _TAG.fullmatch(p) else _quoted(p) for p in Phrases(query).parts]
    return " ".join(parts)


def _any(terms: Iterable[str]) -> str:
    return f"({' OR '.join(terms)})"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', " ") + '"'
