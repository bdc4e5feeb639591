"""Turn the items of an instance's feed into posts.

Source: src/views/rss.nimf of github.com/zedeus/nitter. The title has the whole text; what it
begins with tells repeats and answers.
"""

from __future__ import annotations

import re

from bond_core.plugin import Item, Post

_NUMBER = re.compile(r"(?:status/|^)(\d{1,20})(?:\D|$)")
_REPEATED = re.compile(r"RT(?: by @\w+)?: ")
_PREFIX = re.compile(r"(?:Pinned: |R to @\w+: )+")
_NO_TEXT = frozenset({"", "Image", "Video", "Gif"})


def post_of(symbol: str, item: Item) -> Post | None:
    """Return the post that an item is; None for a repeat, or what has no text.

    Raises:
        ValueError: Neither its id nor its address has a post's number.
    """
    if _REPEATED.match(item.title):
        return None
    found = _NUMBER.search(item.id) or _NUMBER.search(item.link or "")
    if found is None:
        raise ValueError("an item has no number of a post")
    text = _PREFIX.sub("", item.title, count=1)
    if text in _NO_TEXT:
        return None
    number = found.group(1)
    author = (item.author or "").removeprefix("@") or None
    return Post(
        symbol=symbol,
        ts=item.published_ns or 0,
        text=text,
        author=author,
        # The same wherever it was heard: an instance is only a way to it.
        url=f"https://x.com/{author or 'i'}/status/{number}",
        id=number,
        seq=int(number),
        venue="nitter",
    )
