"""Decide as X does which posts a rule is about: for the simulator.

The operators that `rules.py` writes, and no others: words, "phrases", #tags, $cashtags, from:,
is:retweet, OR, a leading minus, parentheses. Matching knows no case, as at X.
Source: https://docs.x.com/x-api/posts/filtered-stream/integrate/build-a-rule.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from bond_x.timeline import Written

_TOKEN = re.compile(r'\(|\)|-?"[^"]*"|[^\s()]+')
Test = Callable[[Written], bool]


class RuleError(ValueError):
    """X would refuse the rule."""


def compiled(rule: str) -> Test:
    """Return what tells whether a post is one of a rule's.

    Raises:
        RuleError: It isn't written as X reads rules.
    """
    tokens = _TOKEN.findall(rule)
    test, rest = _either(tokens)
    if rest:
        raise RuleError(f"no viable alternative at {rest[0]!r}")
    return test


def cashtags_of(rule: str) -> list[str]:
    """Return what stands behind a $ in a rule, else behind a # in capitals."""
    found = re.findall(r"\$([A-Za-z]+)", rule) or re.findall(r"#([A-Z0-9]+)\b", rule)
    return list(dict.fromkeys(found))


def _either(tokens: list[str]) -> tuple[Test, list[str]]:
    tests = []
    while True:
        test, tokens = _both(tokens)
        tests.append(test)
        if not tokens or tokens[0] != "OR":
            return (lambda post: any(test(post) for test in tests)), tokens
        tokens = tokens[1:]


def _both(tokens: list[str]) -> tuple[Test, list[str]]:
    tests = []
    while tokens and tokens[0] not in ("OR", ")"):
        if tokens[0] == "(":
            test, tokens = _either(tokens[1:])
            if not tokens:
                raise RuleError("a ( is not closed")
            tokens = tokens[1:]
        else:
            test, tokens = _term(tokens[0]), tokens[1:]
        tests.append(test)
    if not tests:
        raise RuleError("nothing stands where something should")
    return (lambda post: all(test(post) for test in tests)), tokens


def _term(token: str) -> Test:
    if token.startswith("-"):
        test = _term(token[1:])
        return lambda post: not test(post)
    if token == "is:retweet":  # noqa: S105 -- a word of a rule
        return lambda post: post.text.startswith("RT @")
    if token.startswith("from:"):
        return lambda post: post.author.lower() == token[5:].lower()
    word = re.escape(token.strip('"')).replace(r"\ ", r"\s+")
    # A word is also what a tag is made of; a tag and a cashtag are only themselves.
    before = r"(?<!\w)" if token[0] not in "$#" else ""
    pattern = re.compile(rf"(?i){before}{word}(?!\w)")
    return lambda post: pattern.search(post.text) is not None
