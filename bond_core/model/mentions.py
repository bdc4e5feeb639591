"""Find which assets a text is about: BTC, $BTC, #bitcoin, "Bitcoin", and no NEAR in "near".

What counts as a mention of an asset, from the surest:

    $BTC $btc            a cashtag, in any case
    #BTC #btc #Bitcoin   a hashtag that is the ticker or a name of it, whole
    BTC/USDT BTCUSDT     a pair that begins or ends with it; a currency it is priced in is none
    Bitcoin bitcoin      a name; one that is also a plain word (Apple) only with a capital
    BTC btc              the ticker as a word; if it is also a plain word (NEAR, OP, SOL) only in
                         capitals, not amid shouting, and where the text is about markets

A longer name wins over a shorter one in it: "bitcoin cash" is BCH and no BTC. Addresses (URLs,
e-mail, @accounts) mention nothing. Tickers of one or two letters count as tags and in pairs
only: as a word they are initials.

How well this does is measured by `tests/core/model/test_mentions.py` on labelled lines.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources

import attrs

from bond_core.model.assets import bundled_assets
from bond_core.model.text import MAX_CHARS


def _words(section: str) -> frozenset[str]:
    """Return the words of a section of the list beside this file."""
    text = resources.files(__package__).joinpath("mentions.txt").read_text(encoding="utf-8")
    lines = text.partition(f"[{section}]\n")[2].partition("[")[0].splitlines()
    return frozenset(word for line in lines if not line.startswith("#") for word in line.split())


_QUOTES = _words("quotes")
_WORDS = _words("tickers")
_PLAIN_NAMES = _words("names")
_MARKET = _words("market")

_ADDRESS = re.compile(
    r"(?i)\b(?:https?://|www\.)\S+|\S+@\S+\.\w+|(?<![\w.])@\w+"
    r"|\b[\w-]+\.(?:com|org|net|io|xyz|fi|app|info|co|eth)\b\S*"
)
_NUMBER = re.compile(r"[$€£]\s?\d|\d\s?%|\b\d+(?:\.\d+)?[kKmMxX]\b")
_TAG = re.compile(r"(?<![\w$#&])([$#])([A-Za-z0-9_]*[A-Za-z][A-Za-z0-9_]*)")
_WORD = re.compile(r"(?<![\w$#@.])[A-Za-z0-9]{2,}(?:\.[A-Z]{1,2}\b)?(?!\w)")
_PAIR = re.compile(r"(?<![\w$#@/])([A-Z0-9]{1,10})([/-])([A-Z0-9]{2,10})(?![\w/])")
_JOINED = re.compile(r"\b([A-Z0-9]{1,8}?)(?:USDT|USDC|USD|PERP|EUR)\b")
_STARTS = re.compile(r"(?:^|[.!?:;\n]\s*|[\"“(]\s*)$")


@attrs.frozen
class SearchTerms:
    """What to ask a source for, to be sent everything that may be about an asset.

    Attributes:
        symbol: The asset.
        cashtag: `$BTC`.
        hashtags: `#BTC`, `#bitcoin`: the ticker, and names of one word.
        words: Words and phrases: the names; the ticker too, unless it is also a plain word.
    """

    symbol: str
    cashtag: str
    hashtags: tuple[str, ...]
    words: tuple[str, ...]


def search_terms(symbol: str) -> SearchTerms:
    """Return what to ask for. It is more than what `Mentions` takes: look at each answer."""
    asset = bundled_assets().by_ticker.get(symbol)
    names = asset.names if asset is not None else ()
    single = tuple(name for name in names if name.isalnum())
    bare = () if len(symbol) < 3 or _is_word(symbol) else (symbol,)
    return SearchTerms(
        symbol=symbol,
        cashtag=f"${symbol}",
        hashtags=tuple(dict.fromkeys((f"#{symbol}", *(f"#{name}" for name in single)))),
        words=(*bare, *names),
    )


class Mentions:
    """Tells which of some assets a text mentions.

    Args:
        symbols: The assets, by ticker, as sources are asked for them: `BTC`.
    """

    def __init__(self, symbols: Iterable[str]) -> None:
        self.symbols = tuple(dict.fromkeys(symbols))
        self._wanted = frozenset(self.symbols)

    def of(self, text: str) -> tuple[str, ...]:
        """Return the assets that the text mentions, in the order they were asked for."""
        text = unicodedata.normalize("NFKC", text[:MAX_CHARS])
        text = _ADDRESS.sub(" ", text)
        found = self._tagged(text) | self._paired(text)
        rest, named = self._named(text)
        found |= named
        if not self._wanted <= found:
            found |= self._bare(rest, is_market=bool(found) or _is_market(text))
        return tuple(symbol for symbol in self.symbols if symbol in found)

    def _tagged(self, text: str) -> set[str]:
        found = set()
        for mark, tag in _TAG.findall(text):
            upper = tag.upper()
            is_ticker = upper in self._wanted and (tag == upper or not _is_word(upper))
            if mark == "$" or is_ticker:
                found.add(upper)
            elif (symbol := _names().get(_squeezed(tag))) is not None:
                found.add(symbol)
        return found & self._wanted

    def _paired(self, text: str) -> set[str]:
        found = set(_JOINED.findall(text))
        for first, _, second in _PAIR.findall(text):
            if all(s in self._wanted or _assets_like(s) for s in (first, second)):
                found.add(first)
                found |= {second} - _QUOTES
        return found & self._wanted

    def _named(self, text: str) -> tuple[str, set[str]]:
        """Return the text without the names of assets, and which were there."""
        found: set[str] = set()

        def take(match: re.Match[str]) -> str:
            name = _spaced(match.group(1).lower().replace("-", " "))
            symbol = _names()[name]
            if name in _PLAIN_NAMES and not _is_proper(match, text):
                return match.group()
            found.add(symbol)
            return " "

        return _name_pattern().sub(take, text), found & self._wanted

    def _bare(self, text: str, *, is_market: bool) -> set[str]:
        found = set()
        words = list(_WORD.finditer(text))
        written = [match.group() for match in words]
        for at, match in enumerate(words):
            word = match.group()
            upper = word.upper()
            if upper not in self._wanted or len(upper) < 3:
                continue
            if _is_quote_of_pair(upper, text, match.start()):
                continue
            if not _is_word(upper):
                if word in (upper, upper.lower(), upper.capitalize()):
                    found.add(upper)
            elif word == upper and is_market and not _is_shouted(written, at):
                found.add(upper)
        return found


class Phrases:
    """A query: every one of its parts must be in a text.

    Args:
        query: Parts in quotes are phrases, `#tags` are tags; of several words outside of quotes
            each must be there. Without any quotes or tags all of it is one phrase.
    """

    def __init__(self, query: str) -> None:
        parts = re.findall(r'"([^"]+)"|(\S+)', query)
        if '"' not in query and "#" not in query:
            parts = [(query, "")]
        self.parts = tuple(
            dict.fromkeys(p for quoted, word in parts if (p := _spaced(quoted or word)))
        )
        self._patterns = [
            re.compile(
                rf"(?<!\w){re.escape(_folded(p)).replace(chr(92) + ' ', chr(92) + 's+')}(?!\w)"
            )
            for p in self.parts
        ]

    def are_in(self, text: str) -> bool:
        """Whether the text has all of them, as whole words, in any case."""
        folded = _folded(text[:MAX_CHARS])
        return all(pattern.search(folded) for pattern in self._patterns)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _spaced(text: str) -> str:
    return " ".join(text.split())


def _squeezed(tag: str) -> str:
    """Return a tag as the name it may be: `ShibaInu` and `shiba_inu` are `shibainu`."""
    return tag.replace("_", "").lower()


@cache
def _names() -> Mapping[str, str]:
    """Return name → ticker; names of several words also in one, as tags have them."""
    names = dict(bundled_assets().by_name)
    for name, ticker in tuple(names.items()):
        names.setdefault(name.replace(" ", ""), ticker)
    names["bitcoin sv"] = names["bitcoinsv"] = "BSV"
    return names


@cache
def _name_pattern() -> re.Pattern[str]:
    names = sorted(bundled_assets().by_name, key=len, reverse=True)
    spaced = (re.escape(name).replace(r"\ ", r"[\s-]+") for name in ("bitcoin sv", *names))
    return re.compile(rf"(?i)(?<![\w$#@])({'|'.join(spaced)})s?(?!\w)")


@cache
def _is_word(ticker: str) -> bool:
    asset = bundled_assets().by_ticker.get(ticker)
    return (asset is None or asset.is_word) or ticker.lower() in _WORDS


def _assets_like(text: str) -> bool:
    return text in _QUOTES or text in bundled_assets().by_ticker


def _is_quote_of_pair(ticker: str, text: str, start: int) -> bool:
    return ticker in _QUOTES and start > 0 and text[start - 1] in "/-"


def _is_proper(match: re.Match[str], text: str) -> bool:
    """Whether a name that is a word too is meant: a capital that no rule wants, or `ether ETF`."""
    if not match.group()[0].isupper():
        after = _WORD.search(text, match.end())
        return after is not None and after.group().lower() in _MARKET
    return not _STARTS.search(text[: match.start()]) or _is_market(text)


def _is_market(text: str) -> bool:
    if _NUMBER.search(text) or "$" in text:
        return True
    return any(word.lower() in _MARKET for word in re.findall(r"[A-Za-z]+", text))


def _is_shouted(words: list[str], at: int) -> bool:
    """Whether a word in capitals stands among others that are no tickers."""
    beside = [*words[max(0, at - 2) : at], *words[at + 1 : at + 3]]
    loud = [w for w in beside if w.isalpha() and w.isupper() and not _assets_like(w)]
    return len(loud) >= max(1, (len(beside) + 1) // 2)
