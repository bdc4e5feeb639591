"""What a sentence is made of, once read: items that the grammar's rules look at and take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import attrs

from bond_core.errors import Problem
from bond_server.language.lexicon import Kind
from bond_server.language.normalise import Folded
from bond_server.language.vocabulary import Vocabulary

MOST_PROBLEMS = 10  # more of them help nobody to mend a sentence

ItemKind = (
    Kind
    | Literal[
        "url", "quote", "number", "duration", "account", "tag", "maybe", "unknown",
        "unknown_venue", "mark", "noise",
    ]
)  # fmt: skip


@attrs.frozen
class Symbol:
    """What is to be watched, as far as its mention says.

    Attributes:
        base: The ticker, in capitals.
        kind: `crypto` or `stock`.
        quote: What it is priced in; None where the mention leaves it open.
        settle: What a swap settles in, and its expiry, as in `BTC/USD:BTC-220527`.
        swap: Whether it names a swap.
        listed: Whether the bundled list knows it.
    """

    base: str
    kind: Literal["crypto", "stock"]
    quote: str | None = None
    settle: str | None = None
    swap: bool = False
    listed: bool = True


@attrs.define(kw_only=True, eq=False)
class Item:
    """A word, number, phrase or sign, and what came of it.

    Attributes:
        start: Where it begins, in folded characters; `end` likewise.
        name: Which one of its kind: a key, a field's words, an exchange's id, an account.
        number: Its value; seconds for a duration.
        unit: `%` or `$` of a number; the unit's spelling of a duration.
        written: Its words with their misspellings corrected, in lower case.
        role: What a rule took it for; None while nobody has.
        meaning: What it stands for.
    """

    kind: ItemKind
    start: int
    end: int
    written: str
    name: str = ""
    number: float = 0.0
    unit: str = ""
    symbol: Symbol | None = None
    glued: bool = False
    role: str | None = None
    meaning: str = ""

    def take(self, role: str, meaning: str = "") -> None:
        """Let it be understood as this."""
        self.role = role
        self.meaning = meaning

    def is_key(self, *names: str) -> bool:
        """Whether it is one of these words of the grammar."""
        return self.kind == "key" and self.name in names


@attrs.frozen(kw_only=True)
class Correction:
    """A misspelt word that was understood all the same."""

    span: tuple[int, int]
    written: str
    meant: str


@attrs.frozen(kw_only=True)
class Warning_:  # noqa: N801 -- `Warning` is Python's own
    """Something to know about what was understood: a default taken, a word left over.

    Attributes:
        instead: What to write at `span` to be rid of it, where that is known.
    """

    code: str
    detail: str
    span: tuple[int, int] | None = None
    instead: str = ""


@attrs.frozen(kw_only=True)
class Trouble:
    """A reason to refuse the sentence.

    Attributes:
        edit: The folded span to replace and what by, to mend it; None if nobody knows.
    """

    code: str
    problem: Problem
    edit: tuple[int, int, str] | None = None


@attrs.define(kw_only=True)
class Reading:
    """A sentence being understood: its items, and what was noticed on the way."""

    text: str
    folded: Folded
    vocabulary: Vocabulary
    shouting: bool
    items: list[Item] = attrs.field(factory=list)
    corrected: list[Correction] = attrs.field(factory=list)
    warnings: list[Warning_] = attrs.field(factory=list)
    troubles: list[Trouble] = attrs.field(factory=list)

    def free(self, at: int) -> Item | None:
        """Return the item at this place if there is one that no rule has taken."""
        if 0 <= at < len(self.items) and self.items[at].role is None:
            return self.items[at]
        return None

    def skip(self, at: int, *, over: Iterable[str] = ("filler",), step: int = 1) -> int:
        """Return the next place, from `at` on, whose item is of none of these kinds."""
        kinds = frozenset(over)
        while 0 <= at < len(self.items) and (
            self.items[at].kind in kinds and self.items[at].role is None
        ):
            at += step
        return at

    def every(self, *kinds: ItemKind) -> Iterator[tuple[int, Item]]:
        """Yield the untaken items of these kinds, with their places."""
        for at, item in enumerate(self.items):
            if item.role is None and item.kind in kinds:
                yield at, item

    def span(self, first: Item, last: Item | None = None) -> tuple[int, int]:
        """Return where these items stand in the sentence as given."""
        return self.folded.original(first.start, (last or first).end)

    def refuse(
        self,
        code: str,
        detail: str,
        first: Item | None = None,
        last: Item | None = None,
        *,
        did_you_mean: Iterable[str] = (),
        instead: str | None = None,
        edit: tuple[int, int, str] | None = None,
    ) -> None:
        """Note a reason to refuse; in the fix `instead` replaces the items' words.

        `edit` replaces other words than those at fault: a folded span, and what by.
        """
        span = text = None
        if first is not None:
            end = (last or first).end
            span = self.span(first, last)
            text = self.text[span[0] : span[1]]
            edit = edit if instead is None else (first.start, end, instead)
        problem = Problem(
            detail=detail, pointer="/natural_language", span=span, text=text,
            did_you_mean=tuple(did_you_mean),
        )  # fmt: skip
        self.troubles.append(Trouble(code=code, problem=problem, edit=edit))

    def warn(
        self, code: str, detail: str, first: Item | None = None, last: Item | None = None,
        *, instead: str = "",
    ) -> None:  # fmt: skip
        """Note something to tell about what was understood."""
        span = None if first is None else self.span(first, last)
        self.warnings.append(Warning_(code=code, detail=detail, span=span, instead=instead))
