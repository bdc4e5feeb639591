"""Messages that are sent: JSON or text in which a few placeholders are filled, and nothing else.

    {"op": "subscribe", "args": ["trades.{name}"], "id": "{id}"}      once a symbol
    {"type": "subscribe", "product_ids": ["{names}"]}                 once for all of them
    "ping"                                                            once

`{names}` within a text of a list makes one text for each symbol.
"""  # fmt: skip

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from bond_core.model.instrument import parse_symbol
from bond_websocket.faults import Faults

OF_A_SYMBOL = ("base", "quote", "settle")
OF_ONE = ("symbol", "name", *OF_A_SYMBOL)
CASES = {"lower": str.lower, "upper": str.upper}
_PLACE = re.compile(r"\{([A-Za-z_]+)(?::([A-Za-z_]*))?\}")
_MAX_NODES, _MAX_DEPTH = 500, 12


@attrs.frozen
class Names:
    """How the source writes symbols.

    Attributes:
        form: A text with the parts of a symbol.
        odd: By symbol, what is written otherwise.
    """

    form: str
    odd: Mapping[str, str]

    def of(self, symbol: str) -> str | None:
        """Return the source's name of a symbol; None where it lacks a part that the form has."""
        if symbol in self.odd:
            return self.odd[symbol]
        parts = _parts(symbol)
        if any(parts.get(name) is None for name, _ in _PLACE.findall(self.form)):
            return None
        return _filled(self.form, parts)


def names_of(form: str, odd: Mapping[str, str], faults: Faults) -> Names:
    """Read how the source writes symbols."""
    _check_text("mapping/symbols", form, OF_A_SYMBOL, faults)
    if not _PLACE.search(form) and not odd:
        faults.add("mapping/symbols", "every symbol has one name: use {base} and {quote}")
    for symbol, name in odd.items():
        at = f"mapping/names/{symbol.replace('~', '~0').replace('/', '~1')}"
        if parse_symbol(symbol) is None:
            faults.add(at, f"{symbol[:60]!r} is not a symbol, such as BTC/USDT", text=symbol[:60])
        elif not name:
            faults.add(at, "is empty")
    return Names(form, odd)


@attrs.frozen
class Template:
    """One message to send."""

    body: Any
    uses: frozenset[str]

    @property
    def is_for_each(self) -> bool:
        """Whether it is sent once for each symbol."""
        return not self.uses.isdisjoint(OF_ONE)

    @property
    def is_for_all(self) -> bool:
        """Whether it names all symbols at once."""
        return "names" in self.uses

    def fill(self, *, symbol: str = "", names: Sequence[str] = (), number: int = 0) -> Any:
        """Return the message; for one symbol `names` has its name alone."""
        parts: dict[str, Any] = {**_parts(symbol), "symbol": symbol, "id": str(number)}
        parts["name"] = names[0] if names else ""
        return _fill(self.body, parts, names, number)


def templates_of(
    at: str, given: Sequence[Any], faults: Faults, *, known: Sequence[str]
) -> tuple[Template, ...]:
    """Read messages that may have these placeholders."""
    return tuple(template_of(f"{at}/{i}", each, faults, known) for i, each in enumerate(given))


def template_of(at: str, body: Any, faults: Faults, known: Sequence[str]) -> Template:
    """Read one message."""
    uses: set[str] = set()
    size = 0
    for place, text, is_in_list, depth in _texts(body, at, is_in_list=False, depth=0):
        size += 1
        if size > _MAX_NODES or depth > _MAX_DEPTH:
            faults.add(at, "a message is too large, or nested too deep")
            break
        if text is None:
            continue
        uses |= _check_text(place, text, known, faults)
        if "{names" in text and not is_in_list and not _PLACE.fullmatch(text):
            faults.add(place, "{names} within a text is for the items of a list", text=text[:60])
    if body in (None, "", [], {}) or isinstance(body, bool):
        faults.add(at, "is no message: a text, or JSON")
    if "names" in uses and uses & set(OF_ONE):
        faults.add(at, "has {names}, so it is sent once: what is one symbol's does not fit in it")
    return Template(body, frozenset(uses))


def _check_text(at: str, text: str, known: Sequence[str], faults: Faults) -> set[str]:
    found = set()
    for name, case in _PLACE.findall(text):
        if name not in known:
            faults.word(at, name, known, f"there is no placeholder {{{name}}} here")
        elif case and case not in CASES:
            faults.word(at, case, CASES, f"there is no form {{{name}:{case}}}")
        else:
            found.add(name)
    return found


def _texts(
    body: Any, at: str, *, is_in_list: bool, depth: int
) -> Iterator[tuple[str, str | None, bool, int]]:
    """Yield every node of a message: its place, its text, whether it is an item, how deep it is."""
    yield at, body if isinstance(body, str) else None, is_in_list, depth
    if depth > _MAX_DEPTH:
        return
    if isinstance(body, Mapping):
        for key, item in body.items():
            place = f"{at}/{str(key).replace('~', '~0').replace('/', '~1')}"
            yield from _texts(item, place, is_in_list=False, depth=depth + 1)
    elif isinstance(body, (list, tuple)):
        for i, item in enumerate(body):
            yield from _texts(item, f"{at}/{i}", is_in_list=True, depth=depth + 1)


def _fill(body: Any, parts: Mapping[str, Any], names: Sequence[str], number: int) -> Any:
    if isinstance(body, Mapping):
        return {key: _fill(item, parts, names, number) for key, item in body.items()}
    if isinstance(body, (list, tuple)):
        filled: list[Any] = []
        for item in body:
            if isinstance(item, str) and "{names" in item:
                filled += [_filled(item, {**parts, "names": name}) for name in names]
            else:
                filled.append(_fill(item, parts, names, number))
        return filled
    if not isinstance(body, str):
        return body
    if body == "{id}":
        return number
    alone = _PLACE.fullmatch(body)
    if alone and alone[1] == "names":
        return [_filled(body, {"names": name}) for name in names]
    return _filled(body, parts)


def _filled(text: str, parts: Mapping[str, Any]) -> str:
    def part(found: re.Match[str]) -> str:
        name, case = found.groups()
        if parts.get(name) is None:
            return found[0]
        return CASES[case](parts[name]) if case else str(parts[name])

    return _PLACE.sub(part, text)


def _parts(symbol: str) -> dict[str, str | None]:
    found = parse_symbol(symbol)
    if found is None:
        return {}
    return {"base": found.base, "quote": found.quote, "settle": found.settle}
