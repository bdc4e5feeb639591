"""Turn X's answers into posts, each for every asset it mentions.

Source: https://docs.x.com/x-api/fundamentals/data-dictionary (post, user).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs

from bond_core.clock import NS
from bond_core.plugin import Mentions, Phrases, Post, plain

ASKED: Mapping[str, list[str]] = {
    "tweet_fields": [
        "author_id", "created_at", "edit_history_tweet_ids", "note_tweet", "public_metrics",
    ],
    "expansions": ["author_id"],
    "user_fields": ["username"],
}  # fmt: skip
"""What each request asks for beside id and text."""

_COUNTED = ("like_count", "quote_count", "reply_count", "retweet_count")


@attrs.frozen
class Wanted:
    """Which posts are wanted.

    Attributes:
        mentions: Of which assets.
        accounts: Whose, in lower case; empty is anybody's.
        phrases: What each must say.
    """

    mentions: Mentions
    accounts: frozenset[str]
    phrases: Phrases

    def posts(self, answer: Mapping[str, Any]) -> Iterator[Post]:
        """Give the wanted posts of an answer, oldest first; one for each asset it mentions.

        Raises:
            KeyError, TypeError, ValueError: It is no answer of X's.
        """
        users = {user["id"]: user["username"] for user in _included(answer)}
        data = answer.get("data") or []
        for tweet in sorted([data] if isinstance(data, dict) else data, key=_number):
            author = users.get(tweet.get("author_id"))
            text = plain(_text(tweet))
            if self.accounts and (author or "").lower() not in self.accounts:
                continue
            if not self.phrases.are_in(text):
                continue
            for symbol in self.mentions.of(text):
                yield _post(symbol, tweet, text, author)


def newest_id(answer: Mapping[str, Any]) -> int | None:
    """Return the largest id of an answer to a search, wanted or not."""
    data: Sequence[Mapping[str, Any]] = answer.get("data") or ()
    return max(map(_number, data), default=None)


def _post(symbol: str, tweet: Mapping[str, Any], text: str, author: str | None) -> Post:
    # An edit is a post of its own, with an id of its own: it is the first one's, and counts once.
    first = str((tweet.get("edit_history_tweet_ids") or [tweet["id"]])[0])
    metrics = tweet.get("public_metrics")
    return Post(
        symbol=symbol,
        ts=_ns(tweet["created_at"]),
        text=text,
        author=author,
        url=f"https://x.com/{author or 'i'}/status/{tweet['id']}",
        id=first,
        seq=_number(tweet),
        venue="x",
        engagement=None if metrics is None else sum(int(metrics.get(k, 0)) for k in _COUNTED),
    )


def _included(answer: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    found: Sequence[Mapping[str, Any]] = (answer.get("includes") or {}).get("users") or ()
    return found


def _number(tweet: Mapping[str, Any]) -> int:
    return int(tweet["id"])


def _text(tweet: Mapping[str, Any]) -> str:
    """Return all of the text: `text` ends after 280 characters, `note_tweet` doesn't."""
    note = tweet.get("note_tweet") or {}
    return str(note.get("text") or tweet["text"])


def _ns(iso: str) -> int:
    return round(datetime.fromisoformat(iso).timestamp() * 1000) * (NS // 1000)
