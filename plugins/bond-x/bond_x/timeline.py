"""Write the posts of a simulated X: a function of seed and time, for stream and search alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any

import attrs

from bond_core.clock import NS
from bond_core.plugin import search_terms

_MS = 1_000_000
_SNOWFLAKE_MS = 1_288_834_974_657  # when X's ids begin
_ABOUT = (
    "{cash} looks heavy here", "{cash} {cash} {cash} 🚀", "who is still buying {cash}?",
    "{tag} is the only chart I watch", "sold my {tag}, feels good", "gm {tag}",
    "{name} keeps grinding up", "Why {name} matters: a thread", "{name} holders are patient",
)  # fmt: skip
_NOISE = (
    "so near and yet so far", "link in bio", "coffee first", "the sun is out, hace sol",
    "press F to pay respects", "an apple a day",
)  # fmt: skip
_AUTHORS = ("saylor", "elonmusk", "chartsbykim", "0xharbor", "lena_trades", "quietminer", "tomk")


@attrs.frozen
class Written:
    """A post.

    Attributes:
        number: Its id.
        at_ns: When it was written.
    """

    number: int
    at_ns: int
    author: str
    text: str
    likes: int

    def as_tweet(self) -> dict[str, Any]:
        """Return it as X shows it."""
        at = datetime.fromtimestamp(self.at_ns // NS, UTC)
        return {
            "id": str(self.number),
            "text": self.text,
            "author_id": _author_id(self.author),
            "created_at": f"{at:%Y-%m-%dT%H:%M:%S}.{self.at_ns % NS // _MS:03d}Z",
            "edit_history_tweet_ids": [str(self.number)],
            "public_metrics": {
                "retweet_count": self.likes // 4, "reply_count": self.likes // 8,
                "like_count": self.likes, "quote_count": self.likes // 16,
            },
        }  # fmt: skip


@attrs.define
class Timeline:
    """All posts of a simulated X.

    Attributes:
        per_s: How many are written about each symbol in a second, on average.
        extra: Posts that a test had written.
    """

    seed: int
    per_s: float
    extra: list[Written] = attrs.field(factory=list)

    def between(self, from_ns: int, to_ns: int, symbols: Sequence[str]) -> list[Written]:
        """Return the posts about these symbols, and others, written in [from, to), in order."""
        first, last = from_ns // NS, (to_ns - 1) // NS
        made = (p for second in range(first, last + 1) for p in self._of(second, symbols))
        found = [p for p in (*made, *self.extra) if from_ns <= p.at_ns < to_ns]
        return sorted(found, key=lambda p: p.number)

    def _of(self, second: int, symbols: Sequence[str]) -> Iterator[Written]:
        for symbol in symbols:
            chance = Random(f"{self.seed} {second} {symbol}")
            n = int(2 * self.per_s * chance.random() + chance.random())
            for _ in range(n):
                templates = _ABOUT if chance.random() < 0.8 else _NOISE
                text = _filled(chance.choice(templates), symbol)
                at_ns = second * NS + chance.randrange(1000) * _MS
                likes = int(chance.paretovariate(1.2)) - 1
                yield written(at_ns, chance.choice(_AUTHORS), text, likes, chance.randrange(4096))


def written(at_ns: int, author: str, text: str, likes: int = 0, n: int = 0) -> Written:
    """Return a post of that time, with an id as X makes them."""
    number = ((at_ns // _MS - _SNOWFLAKE_MS) << 22) | n
    return Written(number, at_ns // _MS * _MS, author, text, likes)


def users_of(posts: Sequence[Written]) -> list[dict[str, str]]:
    """Return the posts' authors as X includes them, each once."""
    names = dict.fromkeys(p.author for p in posts)
    return [{"id": _author_id(name), "name": name, "username": name} for name in names]


def _author_id(name: str) -> str:
    return str(int.from_bytes(name.encode()[:7], "big"))


def _filled(template: str, symbol: str) -> str:
    terms = search_terms(symbol)
    name = terms.words[-1].title() if terms.words else terms.cashtag
    return template.format(cash=terms.cashtag, tag=terms.hashtags[-1], name=name)
