"""Read a mapping: paths, conditions and messages become what works with them, or faults."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import attrs

from bond_core.model.instrument import parse_symbol
from bond_websocket.conditions import AnyOf, Conditions, any_of, conditions_of
from bond_websocket.config import (
    CHANNELS,
    EventRule,
    Heartbeat,
    MessageMapping,
    NumberField,
    SideField,
    TimeField,
)
from bond_websocket.faults import Faults
from bond_websocket.path import Path
from bond_websocket.rules import Number, Rule, Side
from bond_websocket.templates import (
    OF_ONE,
    Names,
    Template,
    names_of,
    template_of,
    templates_of,
)
from bond_websocket.values import Unit

_SIZED = ("price", "size")
_NEEDS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "trade": (_SIZED, _SIZED),
    "liquidation": (_SIZED, _SIZED),
    "quote": ((), ("bid", "ask", "bid_size", "ask_size", "last")),
    "funding": ((), ("rate", "mark_price")),
    "open_interest": ((), ("amount", "value")),
    "custom": ((), ()),
}
"""By kind, the numbers that it must have, and those that it may have."""
_ONE_OF = {"quote": ("bid", "ask", "last"), "funding": ("rate", "mark_price"),
           "open_interest": ("amount", "value")}  # fmt: skip
_SIDED = ("trade", "liquidation")
_NUMBERS = tuple(dict.fromkeys(name for _, names in _NEEDS.values() for name in names))
MAX_RULES = 32


@attrs.frozen
class Answer:
    """An answer to what the source asks."""

    when: Conditions
    value: Path | None
    send: Template


@attrs.frozen(kw_only=True)
class Compiled:
    """A mapping, ready for work."""

    rules: tuple[Rule, ...]
    names: Names
    subscribe: tuple[Template, ...]
    unsubscribe: tuple[Template, ...]
    confirm: AnyOf
    ignore: AnyOf
    answers: AnyOf
    beats: tuple[Template, ...]
    replies: tuple[Answer, ...]

    @property
    def texts(self) -> frozenset[str]:
        """Texts that are messages by themselves, and need not be JSON."""
        return self.confirm.texts | self.ignore.texts | self.answers.texts

    def means_nothing(self, text: str, message: Any) -> bool:
        """Whether a message is known, and about no event."""
        return (
            self.ignore.fit(text, message)
            or self.answers.fit(text, message)
            or any(reply.when.fit(message) for reply in self.replies)
        )


def compiled(mapping: MessageMapping) -> tuple[Compiled, Faults]:
    """Return what a mapping means, and what is wrong with it."""
    faults = Faults()
    if not mapping.events:
        faults.add("mapping/events", "is empty: nothing would be heard")
    if len(mapping.events) > MAX_RULES:
        faults.add("mapping/events", f"at most {MAX_RULES}, were {len(mapping.events)}")
    beat = mapping.heartbeat or Heartbeat()
    known = (*OF_ONE, "names", "id")
    found = Compiled(
        rules=tuple(
            _rule(f"mapping/events/{i}", rule, faults)
            for i, rule in enumerate(mapping.events[:MAX_RULES])
        ),
        names=names_of(mapping.symbols, mapping.names, faults),
        subscribe=templates_of("mapping/subscribe", mapping.subscribe, faults, known=known),
        unsubscribe=templates_of("mapping/unsubscribe", mapping.unsubscribe, faults, known=known),
        confirm=any_of("mapping/confirm", mapping.confirm, faults),
        ignore=any_of("mapping/ignore", mapping.ignore, faults),
        answers=any_of("mapping/heartbeat/answers", beat.answers, faults),
        beats=templates_of("mapping/heartbeat/send", beat.send, faults, known=("id",)),
        replies=tuple(
            _answer(f"mapping/heartbeat/replies/{i}", reply.when, reply.value, reply.send, faults)
            for i, reply in enumerate(beat.replies)
        ),
    )
    return found, faults


def _rule(at: str, rule: EventRule, faults: Faults) -> Rule:
    inside = rule.each is not None

    def path(name: str, text: str | None) -> Path | None:
        return None if text is None else faults.path(f"{at}/{name}", text, inside=inside)

    each = None
    if rule.each is not None:
        each = faults.path(f"{at}/each", rule.each, many=True, inside=False)
        if each is not None and each.is_single:
            faults.add(f"{at}/each", "leads to one value: write [*] behind it for its items",
                       text=rule.each, did_you_mean=[f"{rule.each}[*]"])  # fmt: skip
    _check_symbol(at, rule, faults)
    _check_fields(at, rule, faults)
    return Rule(
        kind=rule.kind,
        channel=CHANNELS[rule.kind],
        when=conditions_of(f"{at}/when", rule.when, faults),
        each=each,
        symbol=path("symbol", rule.symbol),
        only=rule.only,
        time=_time(at, rule.time, faults, inside=inside),
        id=path("id", rule.id),
        sequence=path("sequence", rule.sequence),
        numbers=_numbers(at, rule, faults, inside=inside),
        side=_side(at, rule.side, faults, inside=inside),
        values=tuple(
            (name, found)
            for name, text in rule.values.items()
            if (found := path(f"values/{name}", text)) is not None
        ),
    )


def _check_symbol(at: str, rule: EventRule, faults: Faults) -> None:
    given = [name for name in ("symbol", "only") if getattr(rule, name) is not None]
    if rule.kind == "custom":
        if given:
            faults.add(f"{at}/{given[0]}", "events of kind custom belong to no symbol")
    elif len(given) != 1:
        detail = "say whose it is: `symbol`, a path to its name, or `only`, such as BTC/USDT"
        faults.add(f"{at}/symbol", detail if not given else f"{detail}; not both")
    if rule.only is not None and parse_symbol(rule.only) is None:
        why = f"{rule.only[:60]!r} is not a symbol, such as BTC/USDT"
        faults.add(f"{at}/only", why, text=rule.only[:60])


def _check_fields(at: str, rule: EventRule, faults: Faults) -> None:
    required, allowed = _NEEDS[rule.kind]
    for name in required:
        if getattr(rule, name) is None:
            faults.add(f"{at}/{name}", f"a {rule.kind} needs it: the path to its {name}")
    one_of = _ONE_OF.get(rule.kind, ())
    if one_of and all(getattr(rule, name) is None for name in one_of):
        detail = f"a {rule.kind} needs one of {', '.join(one_of)}"
        faults.add(f"{at}/{one_of[0]}", detail)
    stray = [name for name in _NUMBERS if name not in allowed and getattr(rule, name) is not None]
    stray += ["side"] * (rule.side is not None and rule.kind not in _SIDED)
    stray += ["values"] * (bool(rule.values) and rule.kind != "custom")
    for name in stray:
        faults.word(f"{at}/{name}", name, (*allowed, *(["side"] * (rule.kind in _SIDED)),
                    *(["values"] * (rule.kind == "custom"))),
                    f"a {rule.kind} has no {name}")  # fmt: skip


def _time(
    at: str, given: TimeField | str | None, faults: Faults, *, inside: bool
) -> tuple[Path, Unit] | None:
    if given is None:
        detail = 'say when it happened: {"path": "$.T", "unit": "ms"}; `receive`: when it is heard'
        faults.add(f"{at}/time", detail)
        return None
    if isinstance(given, str):
        return None
    path = faults.path(f"{at}/time/path", given.path, inside=inside)
    return None if path is None else (path, given.unit)


def _numbers(at: str, rule: EventRule, faults: Faults, *, inside: bool) -> tuple[Number, ...]:
    found = []
    for name in _NEEDS[rule.kind][1]:
        given = getattr(rule, name)
        if given is None:
            continue
        place, text, factor = f"{at}/{name}", given, None
        if isinstance(given, NumberField):
            place, text, factor = f"{at}/{name}/path", given.path, given.factor
            if not 0 < given.factor < float("inf"):
                faults.add(f"{at}/{name}/factor", f"must be above 0, was {given.factor:g}")
        path = faults.path(place, text, inside=inside)
        if path is not None:
            exact = None if factor in (None, 1.0) else Decimal(repr(factor))
            found.append(Number(name, path, exact, name not in _SIZED))
    return tuple(found)


def _side(at: str, given: SideField | None, faults: Faults, *, inside: bool) -> Side | None:
    if given is None:
        return None
    for name, words in (("buy", given.buy), ("sell", given.sell)):
        if not words or any(isinstance(word, (Mapping, list, tuple)) for word in words):
            faults.add(f"{at}/side/{name}", 'must be a list of values, such as ["buy"] or [true]')
    path = faults.path(f"{at}/side/path", given.path, inside=inside)
    return None if path is None else Side(path, given.buy, given.sell)


def _answer(
    at: str, when: Mapping[str, Any], value: str | None, send: Any, faults: Faults
) -> Answer:
    if not when:
        faults.add(f"{at}/when", "is empty: everything would be answered")
    known = ("id", "value") if value is not None else ("id",)
    return Answer(
        conditions_of(f"{at}/when", when, faults),
        None if value is None else faults.path(f"{at}/value", value, inside=False),
        template_of(f"{at}/send", send, faults, known),
    )
