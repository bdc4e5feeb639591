"""The last rule: what is left over when every other rule has had its turn."""

from __future__ import annotations

from collections.abc import Iterable

from bond_server.language.draft import Draft, Rule
from bond_server.language.items import Item, Reading
from bond_server.language.nearest import nearest
from bond_server.language.refused_words import TELLING
from bond_server.language.words import SOFT

_SIDES = ("long", "short")  # they would narrow what they stand before
_MATTERS = ("change", "currency", "number", "duration", "unit")
_TELLING_KEYS = (
    "without", "unless", "when", "inverse", "since", "other", "times", "once", "twice", "thrice",
    "top", "levels", "rolling", "exchanges", "next",
)  # fmt: skip
_NEGATIONS = frozenset({
    "not", "never", "don", "dont", "doesn", "doesnt", "isn", "isnt", "nor", "neither", "except",
})  # fmt: skip
_TOO_MUCH = 0.3  # of a sentence's words not understood: then none of it can be trusted


def leftovers(reading: Reading, draft: Draft) -> None:
    """Say what was not understood; refuse where that is too much of the sentence."""
    soft = {"filler", "join", "mark", "order_before_asset", "foreign_noun"}
    hard: list[Item] = []
    words = 0
    for at, item in enumerate(reading.items):
        if item.role is None and (_is_one_of(reading, at) or _is_by_interval(reading, at)):
            item.take("filler")
        words += item.kind not in {"join", "mark", "filler"}
        is_soft = item.kind in soft and item.written not in _SIDES
        is_soft |= _is_of_book(item, draft)
        soft_key = _is_soft_key(item) and not (
            _asks_where(reading, at) or (item.is_key("next") and _is_before_field(reading, at))
        )
        if item.role is None and (is_soft or soft_key):
            item.take("filler")
        elif item.role is None:
            hard.append(item)
            item.take("unparsed")
    if reading.troubles or not hard:
        return
    nothing = not (draft.asked or draft.symbols or draft.urls)
    # An alert that looks at nothing would never be told, a comparison let everything pass.
    nothing |= any(item.is_key("alert") or item.kind == "compare" for item in hard)
    # Without any symbol it is refused for that, whatever else is left.
    nothing |= bool(draft.symbols) and any(
        _matters(reading, item, is_asked=bool(draft.asked)) for item in hard
    )
    has_subject = bool(draft.symbols) or not draft.asked  # else it is refused for having none
    if nothing or (has_subject and len(hard) > _TOO_MUCH * words):
        _refuse_leftovers(reading, hard)
        return
    for item in hard:
        reading.warn("unparsed", f'"{item.written}" was not understood', item)


def _matters(reading: Reading, item: Item, *, is_asked: bool) -> bool:
    """Whether a sentence surely means something else without what was not understood.

    A number was how much of something; a word before an exchange, a field or an `if` says
    which or how (`negative tweets`, `shout if`), one behind `every` and `in` how often or what.
    """
    if item.name == "abs>":  # `open interest change` is told, `only on change` was a condition
        return any(each.is_key("only") for each in reading.items) or _is_led(reading, item)
    if item.written == "one":  # `one price`
        return False
    is_telling = item.is_key(*_TELLING_KEYS) and item.written != "x"
    if item.written in TELLING or item.kind in _MATTERS or is_telling:
        return True
    return _says_which(reading, item, is_asked=is_asked)


def _says_which(reading: Reading, item: Item, *, is_asked: bool) -> bool:
    """Whether an unknown word stands where it says which, how often or of what."""
    if item.kind not in ("unknown", "maybe") or not item.written.isalpha():
        return False
    at = reading.items.index(item)
    if item.kind == "maybe":  # `eth gas is below 10`
        follower = reading.skip(at + 1)
        return follower < len(reading.items) and reading.items[follower].kind == "compare"
    if at and reading.items[at - 1].is_key("every", "in", "since"):
        return True
    before = reading.items[at - 1 : at] if at else []
    if before and before[0].role == "condition" and before[0].kind in ("number", "duration"):
        return True  # the unit of what is compared
    following = reading.items[at + 1 : at + 2]
    if following and following[0].role == "field" and not following[0].glued:
        return True
    after = (each for each in reading.items[at + 1 :] if each.kind not in {"filler", "mark"})
    led = next(after, None)
    if led is not None and (led.role == "exchange" or _leads_on(led)):
        return True
    return bool(at) and not is_asked and _is_in_fields_place(reading, at)


def _is_led(reading: Reading, item: Item) -> bool:
    """Whether it is the `changes` of `on change` and of `every time it changes`."""
    at = reading.skip(reading.items.index(item) - 1, step=-1)
    while at >= 0 and reading.items[at].kind == "filler":
        at -= 1
    return at >= 0 and reading.items[at].is_key("from", "every", "when", "only")


def _leads_on(item: Item) -> bool:
    is_compared = item.role == "condition" and item.kind in ("compare", "change")
    return (
        item.is_key("exchanges")
        or is_compared
        or (item.is_key("when") and item.role == "condition")
    )


def _is_in_fields_place(reading: Reading, at: int) -> bool:
    """Whether an unknown word stands where a field's should: `BTC microprice every 1s`."""
    last = at + 1 == len(reading.items) or reading.items[at + 1].role == "interval"
    return last and reading.items[at - 1].role == "symbol"


def _is_by_interval(reading: Reading, at: int) -> bool:
    """Whether this is the `at most` of `at most every 10s`."""
    beside = (*reading.items[max(at - 1, 0) : at], *reading.items[at + 1 : at + 2])
    is_bound = reading.items[at].kind == "compare" and reading.items[at].name in {"<=", ">="}
    return is_bound and any(item.role == "interval" for item in beside)


def _is_one_of(reading: Reading, at: int) -> bool:
    """Whether this is the 1 of `the price of 1 bitcoin`."""
    item, following = reading.items[at], reading.items[at + 1 : at + 2]
    one = item.kind == "number" and item.number == 1 and not item.unit
    return one and bool(following) and following[0].kind == "symbol"


def _is_soft_key(item: Item) -> bool:
    return item.kind == "key" and item.name in SOFT


def _asks_where(reading: Reading, at: int) -> bool:
    """Whether this is the `venue` of `lowest ask and its venue`."""
    beside = reading.items[max(at - 3, 0) : at + 4]
    is_one = reading.items[at].written in ("venue", "exchange")
    return is_one and not any(item.role == "exchange" for item in beside)


def _is_before_field(reading: Reading, at: int) -> bool:
    """Whether this is the `next` of `next funding`."""
    following = reading.items[at + 1 : at + 2]
    return bool(following) and following[0].role == "field"


def _is_of_book(item: Item, draft: Draft) -> bool:
    """Whether this is the `depth` of `full depth order book`."""
    return item.is_key("levels") and any(asked.word == "orderbook" for asked in draft.asked)


def _refuse_leftovers(reading: Reading, hard: Iterable[Item]) -> None:
    for item in list(hard)[:5]:
        single = reading.vocabulary.lexicon.single
        near = [
            w for w in nearest(item.written, single)
            if single[w].kind != "filler" and w.isalpha() and len(item.written) > 2
        ]  # fmt: skip
        detail = f'I don\'t understand "{item.written}"'
        if item.is_key("alert"):
            detail = "an alert of what? Such as: alert me when BTC drops below 60k, or moves 2%"
        last = _denied(reading, item)  # `BTC, ignore binance` is not mended to `BTC binance`
        edit = (item.start, last.end, "")
        reading.refuse("not_understood", detail, item, did_you_mean=near[:3], edit=edit)


def _denied(reading: Reading, item: Item) -> Item:
    """Return the last item of what a negation is about; the item itself where it is none."""
    is_negation = item.kind == "foreign_verb" or item.is_key("without", "unless") or (
        item.written in _NEGATIONS
    )  # fmt: skip
    if not is_negation:
        return item
    at = reading.items.index(item) + 1
    while at < len(reading.items) and reading.items[at].kind in ("filler", "mark"):
        at += 1
    denied = reading.items[at] if at < len(reading.items) else item
    return item if denied.role == "interval" else denied


LAST_RULES: tuple[Rule, ...] = (leftovers,)
