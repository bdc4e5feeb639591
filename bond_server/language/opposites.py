"""Refuse a condition that is said as its opposite: `skip anything below 150`, `isn't above 70k`.

What such a word belongs to is not always clear, so it is never turned round quietly: the fix
says what would then have to hold, and its author may send that.
"""

from __future__ import annotations

from bond_server.language.items import Reading

_OPPOSITES = {">": "<=", "<": ">=", ">=": "<", "<=": ">"}
_NEGATIONS = frozenset({
    "not", "never", "isn", "isnt", "aren", "arent", "doesn", "doesnt", "don", "dont", "didn",
    "hasn", "longer",
})  # fmt: skip
_HIDING = frozenset({
    "skip", "skipping", "ignore", "ignoring", "omit", "omitting", "leave out", "drop", "remove",
    "don't include", "do not include",
})  # fmt: skip
"""Verbs that are about records wherever a condition follows."""
_LEFT_OUT = ("venue", "provider", "field", "source")
_LOOSE = ("filler", "mark", "join")


def refuse_opposite(reading: Reading, begin: int, at: int, *, is_led: bool) -> None:
    """Refuse what turns the comparison at `at` round; its clause begins at `begin`."""
    if (place := _hiding_place(reading, at)) is not None:
        _refuse(reading, place, at, "only when")
        return
    for place in range(at - 1, begin - 1, -1):
        item = reading.items[place]
        if item.written in _NEGATIONS and item.role is None:
            is_no_longer = place > begin and reading.items[place - 1].written == "no"
            _refuse(reading, place - is_no_longer, at, "")
            return
        if not is_led and item.kind in ("field", "source", "symbol", "duration", "number"):
            return


def _hiding_place(reading: Reading, at: int) -> int | None:
    """Return where it says that records which fulfil this are not wanted."""
    for place in range(at - 1, -1, -1):
        item = reading.items[place]
        ends_another = item.role == "condition" and item.kind in {"number", "duration"}
        if ends_another or item.is_key("only", "alert") or "only" in item.written.split():
            return None
        if item.role is None and (item.is_key("unless") or _hides(reading, place, at)):
            return place
    return None


def _hides(reading: Reading, place: int, at: int) -> bool:
    """Whether `skip` or `except` here is about records, and not about an exchange or a field."""
    item = reading.items[place]
    if item.written in _HIDING:
        return True
    if not item.is_key("without") or item.written in {"minus", "not", "never"}:
        return False
    after = reading.skip(place + 1, over=_LOOSE)
    target = reading.free(after)
    if target is None or target.kind not in _LEFT_OUT:
        is_other = target is not None and target.is_key("from", "exchanges")
        return not (is_other or reading.items[place + 1].written in _NEGATIONS)
    return target.name == "price" and reading.skip(after + 1, over=_LOOSE) == at


def _refuse(reading: Reading, place: int, at: int, lead: str) -> None:
    item, compared = reading.items[place], reading.items[at]
    said = ">, <, >=, <=" if not lead else f'"{lead}"'
    detail = f'"{item.written}" is not understood here: say what must hold, as in {said}'
    edit = None
    opposite = _OPPOSITES.get(compared.name) if compared.kind == "compare" else None
    if opposite is not None:
        edit = (item.start, compared.end, _joined(lead, _words(reading, place, at, lead), opposite))
    reading.refuse("unsupported", detail, item, edit=edit)
    item.take("unparsed")


def _words(reading: Reading, place: int, at: int, lead: str) -> str:
    """Return the words for what is compared, which stand between."""
    if not lead:
        return ""
    between = reading.items[place + 1 : at]
    return _joined(*(i.written for i in between if i.kind in ("field", "source") or i.symbol))


def _joined(*words: str) -> str:
    return " ".join(word for word in words if word)
