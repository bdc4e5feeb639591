"""Say a spec in English: the sentence that becomes it, or what of it no sentence says.

The sentence is written from the spec and then understood again. It counts only if that gives
the same spec: what is said is never nearly what runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from bond_core.errors import RequestError
from bond_core.plugin.specs import Channel
from bond_core.spec.conditions.parse import parse_condition
from bond_core.spec.conditions.tree import Binary, Call, Constant, Name, Node, Unary
from bond_core.spec.duration import format_duration, parse_duration_ms
from bond_core.spec.read import read_spec
from bond_core.spec.stream_spec import AlertSpec, SourceSpec, StreamOptions, StreamSpec
from bond_server.language.compile import MAX_LENGTH, understand
from bond_server.language.durations import plain
from bond_server.language.exact import phrase_of
from bond_server.language.families import EVENT_TYPES
from bond_server.language.items import Symbol
from bond_server.language.plan import Plan
from bond_server.language.sentence import sentence
from bond_server.language.sources import PlannedSource, distinct
from bond_server.language.vocabulary import Vocabulary

_SOURCE_KEYS = {
    "name": "name", "mapping": "mapping",
    "lateness_ms": "lateness_sec", "stale_ms": "stale_sec",
}  # fmt: skip
_SPEC_KEYS = {"late": "late", "corrections_ms": "corrections_sec", "fill": "fill", "sinks": "sinks"}
_ALERT_KEYS = {"name": "name", "recover": "recover", "no_data_ms": "no_data_sec"}
_SPREADS = {"spread", "venue_spread"}
_OPTION_KEYS = {"ephemeral": "ephemeral", "label": "label"}


@attrs.frozen(kw_only=True)
class Said:
    """A spec in English.

    Attributes:
        sentence: What becomes it; None where nothing does.
        unsayable: JSON pointers to what English has no words for, where that is known.
    """

    sentence: str | None
    unsayable: tuple[str, ...] = ()


class _UnsayableError(Exception):
    """There are no words for this part of a spec; its text is the part's pointer."""


def say(spec: StreamSpec, options: StreamOptions, vocabulary: Vocabulary) -> Said:
    """Return the sentence that a spec is; it need not be bound to what is installed."""
    unsayable = tuple(_without_words(spec, options))
    if unsayable:
        return Said(sentence=None, unsayable=unsayable)
    try:
        text = sentence(_plan_of(spec, options, vocabulary), vocabulary)
        understood = read_spec(understand(text, vocabulary).spec) if len(text) <= MAX_LENGTH else ()
    except _UnsayableError as error:
        return Said(sentence=None, unsayable=(str(error),))
    except RequestError:
        return Said(sentence=None, unsayable=("",))
    if not understood or not _is_same(understood[0], spec, vocabulary):
        return Said(sentence=None, unsayable=("",))
    return Said(sentence=text)


def _without_words(spec: StreamSpec, options: StreamOptions) -> Iterable[str]:
    """Yield pointers to what English never says."""
    yield from _said_otherwise(spec, _SPEC_KEYS, "/spec")
    for n, source in enumerate(spec.sources):
        yield from _said_otherwise(source, _SOURCE_KEYS, f"/spec/sources/{n}")
    for n, alert in enumerate(spec.alerts):
        yield from _said_otherwise(alert, _ALERT_KEYS, f"/spec/alerts/{n}")
    yield from _said_otherwise(options, _OPTION_KEYS, "")
    if spec.simulate or any(source.simulate for source in spec.sources):
        yield "/spec/simulate"


def _said_otherwise(
    data: attrs.AttrsInstance, keys: Mapping[str, str], pointer: str
) -> Iterable[str]:
    usual = {field.name: field.default for field in attrs.fields(type(data))}
    for name, key in keys.items():
        if getattr(data, name) != usual[name]:
            yield f"{pointer}/{key}"


def _plan_of(spec: StreamSpec, options: StreamOptions, vocabulary: Vocabulary) -> Plan:
    names = {_symbol(name, vocabulary): name for name in spec.symbols}
    fields = set(spec.fields or ())
    sources = tuple(_source(source, spec, fields, vocabulary) for source in spec.sources)
    markets = [s for s in sources if _of(s, vocabulary) in {"market", "stock"}]
    heard = {name for s in markets for name in s.symbols}
    computed = _computed(spec, sources, vocabulary)
    sources = tuple(_with_computed(source, computed, vocabulary) for source in sources)
    for n, source in enumerate(sources):
        if not source.words and not _SPREADS & set(computed):
            raise _UnsayableError(f"/spec/sources/{n}")
    timed = [t for t in spec.timeframes if not t.endswith(("ticks", "vol"))]
    is_timed = timed != [format_duration(spec.interval_ms)]
    counted = [t for t in spec.timeframes if t not in timed]
    words = distinct(word for source in sources for word in source.words)
    return Plan(
        symbols=spec.symbols, names=names,
        traded=tuple(s for s, name in names.items() if name in heard) or tuple(names),
        sources=sources, words=words, fields=spec.fields, computed=(),
        whole=spec.fields is None and bool(markets), narrow=_is_narrow(sources, fields, vocabulary),
        interval_sec=None if counted and not is_timed else spec.interval_ms / 1000,
        timeframes=(*(timed if is_timed else ()), *counted), aggregates=(),
        window_sec=None if spec.window_ms is None else spec.window_ms / 1000,
        duration_sec=None if options.duration_ms is None else options.duration_ms / 1000,
        replay_sec=None if options.replay_ms is None else options.replay_ms / 1000,
        depth=spec.depth, raw=spec.mode == "raw",
        derived=("spread",) if _SPREADS & set(computed) else (),
        filters=() if spec.filter is None else _groups(spec.filter, "/spec/filter"),
        alerts=tuple(_alert(alert, n) for n, alert in enumerate(spec.alerts)), assumed=(),
    )  # fmt: skip


def _symbol(name: str, vocabulary: Vocabulary) -> Symbol:
    """Return what a mention of this symbol says."""
    pair, _, settle = name.partition(":")
    base, _, quote = pair.partition("/")
    asset = vocabulary.assets.by_ticker.get(base)
    if quote:
        return Symbol(base, "crypto", quote, settle or None, bool(settle), asset is not None)
    return Symbol(base, asset.kind if asset else "stock", listed=asset is not None)


def _of(source: PlannedSource, vocabulary: Vocabulary) -> str:
    return vocabulary.families[source.family].of


def _family_of(source: SourceSpec, symbols: Iterable[str], vocabulary: Vocabulary) -> str:
    for name, family in vocabulary.families.items():
        if source.type == name or source.type in family.names:
            return name
    if source.type in vocabulary.providers.values():
        return "ccxt" if all("/" in symbol for symbol in symbols) else "equities"
    raise _UnsayableError("/spec/sources")


def _source(
    source: SourceSpec, spec: StreamSpec, fields: set[str], vocabulary: Vocabulary
) -> PlannedSource:
    family = _family_of(source, source.symbols or spec.symbols, vocabulary)
    known = vocabulary.families[family]
    words: list[str] = []
    channels = vocabulary.channels_of(source.type, family, ()) or known.channels
    for channel in channels:
        is_wanted = channel.default if spec.fields is None else _is_asked(channel, fields)
        if is_wanted:
            words += [next(iter(channel.words.values()))] if channel.words else known.named
    if source.event_types:
        by_type = {kind: word for word, kind in EVENT_TYPES.items()}
        words = [by_type[kind] for kind in source.event_types if kind in by_type]
    return PlannedSource(
        type=source.type, family=family, words=distinct(words),
        symbols=source.symbols or _default_symbols(spec, family, vocabulary),
        exchanges=source.exchanges, exclude_exchanges=source.exclude_exchanges,
        fallback=source.fallback,
        chain=source.chain, event_types=source.event_types, accounts=source.accounts,
        query=source.query, url=source.url,
        interval_sec=None if source.interval_ms is None else source.interval_ms / 1000,
    )  # fmt: skip


def _is_asked(channel: Channel, fields: set[str]) -> bool:
    """Whether a feed's fields are wanted: all of them, or some that can be said one by one."""
    wanted = fields & set(channel.fields)
    return bool(wanted) and (
        wanted == set(channel.fields) or all(phrase_of(field) for field in wanted)
    )


def _is_narrow(sources: Iterable[PlannedSource], fields: set[str], vocabulary: Vocabulary) -> bool:
    brought = {
        field
        for source in sources
        for channel in vocabulary.channels_of(source.type, source.family, source.words)
        for field in channel.fields
    }
    quoted = "spread" not in fields or {"bid_avg", "ask_avg"} <= fields
    return bool(fields) and not (brought <= fields and quoted)


def _default_symbols(spec: StreamSpec, family: str, vocabulary: Vocabulary) -> tuple[str, ...]:
    """Return what a source without symbols is asked for: those of the stream that it can have."""
    known = vocabulary.families[family]
    if known.of == "nothing" or all(channel.scope == "stream" for channel in known.channels):
        return ()
    if known.of == "asset":
        return distinct(name.partition("/")[0] for name in spec.symbols)
    return tuple(name for name in spec.symbols if ("/" in name) == (known.of == "market"))


def _computed(
    spec: StreamSpec, sources: Iterable[PlannedSource], vocabulary: Vocabulary
) -> tuple[str, ...]:
    """Return the words for the fields that no channel of the sources brings whole."""
    wanted = [*(spec.fields or ()), *spec.derived]
    words = {word for source in sources for word in source.words}
    brought = {
        field
        for source in sources
        for channel in vocabulary.families[source.family].channels
        if words & set(channel.words.values() or vocabulary.families[source.family].named)
        for field in channel.fields
    }
    for field in wanted:
        if field not in brought and not vocabulary.is_computed(field) and field not in _SPREADS:
            raise _UnsayableError("/spec/fields")
    return tuple(field for field in wanted if field not in brought)


def _with_computed(
    source: PlannedSource, computed: Iterable[str], vocabulary: Vocabulary
) -> PlannedSource:
    """Return a source with the words for the computed fields that it is asked for."""
    words = [
        field
        for field in computed
        if field not in _SPREADS
        and source.family in {family.type for family, _ in vocabulary.carriers(field)}
    ]
    return attrs.evolve(source, words=distinct((*source.words, *words)))


def _groups(text: str, pointer: str) -> tuple[tuple[Mapping[str, object], ...], ...]:
    """Return a condition as alternatives, in each of which all must hold."""
    return tuple(
        tuple(_simple(part, pointer) for part in _parts(group, "&&"))
        for group in _parts(parse_condition(text), "||")
    )


def _parts(node: Node, op: str) -> list[Node]:
    if isinstance(node, Binary) and node.op == op:
        return [*_parts(node.left, op), *_parts(node.right, op)]
    return [node]


def _simple(node: Node, pointer: str) -> Mapping[str, object]:
    """Return one comparison as sentences have it."""
    match node:
        case Call("crosses_above" | "crosses_below" as op, (Name() as name, level)):
            return {"field": _field(name, pointer), "op": op, "value": _value(level, pointer)}
        case Binary(">", Call("abs", (Call("pct_change", (Name() as name, window)),)), level):
            looked = {"field": _field(name, pointer), "op": "abs>", "window_sec": _window(window)}
            return {**looked, "value": _value(level, pointer)}
        case Binary(op, Call("pct_change", (Name() as name, window)), level) if op in "<>":
            value = _value(level, pointer)
            if (value < 0) != (op == "<"):
                raise _UnsayableError(pointer)
            looked = {"field": _field(name, pointer), "op": op, "window_sec": _window(window)}
            return {**looked, "value": value, "change": "percent"}
        case Binary(op, Call("sum_over", (Name() as name, window)), level):
            looked = {"field": _field(name, pointer), "op": op, "window_sec": _window(window)}
            return {**looked, "value": _value(level, pointer)}
        case Binary("<" | ">" | "<=" | ">=" | "==" as op, Name() as name, level):
            return {"field": _field(name, pointer), "op": op, "value": _value(level, pointer)}
        case _:
            raise _UnsayableError(pointer)


def _field(name: Name, pointer: str) -> str:
    if len(name.path) != 1:
        raise _UnsayableError(pointer)
    return name.path[0]


def _value(node: Node, pointer: str) -> float:
    if isinstance(node, Unary) and node.op == "-":
        return -_value(node.of, pointer)
    if isinstance(node, Constant) and isinstance(node.value, int | float):
        return plain(node.value)
    raise _UnsayableError(pointer)


def _window(node: Node) -> float:
    ms = parse_duration_ms(node.value) if isinstance(node, Constant) else None
    return plain((ms or 0) / 1000)


def _alert(alert: AlertSpec, n: int) -> Mapping[str, object]:
    pointer = f"/spec/alerts/{n}"
    groups = _groups(alert.when, pointer)
    if len(groups) > 1:
        raise _UnsayableError(pointer)
    said: dict[str, object] = dict(groups[0][0]) if len(groups[0]) == 1 else {
        "all": [dict(each) for each in groups[0]]
    }  # fmt: skip
    if alert.for_ms:
        said["for_sec"] = plain(alert.for_ms / 1000)
    if alert.cooldown_ms:
        said["cooldown_sec"] = plain(alert.cooldown_ms / 1000)
    return said if alert.symbol is None else {**said, "symbol": alert.symbol}


def _is_same(one: StreamSpec, other: StreamSpec, vocabulary: Vocabulary) -> bool:
    return _resolved(one, vocabulary) == _resolved(other, vocabulary)


def _resolved(spec: StreamSpec, vocabulary: Vocabulary) -> StreamSpec:
    """Return the spec with each source's symbols; the order of sources says nothing."""
    sources = [
        attrs.evolve(
            source,
            simulate=None,
            symbols=source.symbols
            or _default_symbols(spec, _family_of(source, spec.symbols, vocabulary), vocabulary),
        )
        for source in spec.sources
    ]
    return attrs.evolve(spec, sources=tuple(sorted(sources, key=repr)))
