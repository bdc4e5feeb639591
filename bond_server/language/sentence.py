"""Write a plan as its canonical sentence: understanding that gives the same spec again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from bond_core.model.mentions import Phrases
from bond_server.language.compared import CONDITION_FIELDS, SPREADS
from bond_server.language.durations import written
from bond_server.language.exact import phrase_of
from bond_server.language.families import CHAINS, SUMS
from bond_server.language.items import Symbol
from bond_server.language.plan import TRADED, Plan
from bond_server.language.sources import PlannedSource, is_about_assets
from bond_server.language.vocabulary import Vocabulary

_MARKETS = ("market", "stock")
_OPS = {"crosses_below": "drops below", "crosses_above": "rises above"}
_AGGREGATES = {"avg": "average", "max": "max", "min": "min", "sum": "total"}
_CHAIN_TICKERS = {chain: ticker for ticker, chain in CHAINS.items()}


def sentence(plan: Plan, vocabulary: Vocabulary) -> str:
    """Return the canonical sentence."""
    base = [s for s in plan.sources if s.interval_sec is None]
    apart = [s for s in plan.sources if s.interval_sec is not None]
    parts = [_headed(plan, _phrases(plan, base, vocabulary), base)]
    parts += _where(plan.sources)
    if plan.raw and not any(vocabulary.families[s.family].of in _MARKETS for s in base):
        parts.append("tick by tick")
    if plan.window_sec is not None:
        parts.append(f"over the last {written(plan.window_sec)}")
    if plan.interval_sec is not None and not _paced_by_bars(plan):
        parts.append(f"every {written(plan.interval_sec)}")
    text = " ".join(part for part in parts if part)
    for source in apart:
        phrase = " + ".join(_phrases(plan, [source], vocabulary))
        text += f", {phrase} every {written(source.interval_sec or 0)}"
    return text + "".join(_tail(plan, vocabulary))


def _paced_by_bars(plan: Plan) -> bool:
    """Whether the bars alone say how often: the shortest of them is the interval."""
    lengths = [t for t in plan.timeframes if not t.endswith(("ticks", "vol"))]
    return written(plan.interval_sec or 0) in lengths and not any(
        source.interval_sec for source in plan.sources
    )


def _headed(plan: Plan, phrases: Sequence[str], sources: Sequence[PlannedSource]) -> str:
    symbols = ", ".join(dict.fromkeys(_mention(s, plan.names[s]) for s in plan.traded))
    body = " + ".join(phrases)
    # `SOL transfers` names a chain: there the symbols come last.
    if sources and sources[0].family == "onchain":
        return body if body.endswith(f" on {symbols}") else f"{body} for {symbols}"
    return f"{symbols} {body}"


def _mention(symbol: Symbol, name: str) -> str:
    if "/" in name or symbol.listed:
        return name
    return f"${name}" if symbol.kind == "stock" else f"{symbol.base}/{symbol.quote or 'USDT'}"


def _phrases(
    plan: Plan, sources: Iterable[PlannedSource], vocabulary: Vocabulary
) -> tuple[str, ...]:
    found: list[str] = []
    for source in sources:
        of = vocabulary.families[source.family].of
        found += _market_words(plan, source, vocabulary) if of in _MARKETS else (
            _other_words(plan, source, vocabulary)
        )  # fmt: skip
    return tuple(dict.fromkeys(found))


def _market_words(plan: Plan, source: PlannedSource, vocabulary: Vocabulary) -> list[str]:
    words = list(source.words)
    if plan.narrow:
        return _single_fields(plan, source, vocabulary)
    phrases: list[str] = []
    if plan.whole:
        phrases.append("market data")
        words = [word for word in words if word not in {"price", "bid", "ask"}]
    if plan.derived:
        phrases.append("spread")
        words = [word for word in words if word not in {"bid", "ask"}]
    if plan.timeframes:
        phrases += _bars(plan.timeframes)
        words = [word for word in words if word != "price" or plan.aggregates]
    if plan.raw:
        asked = {word for each in plan.sources for word in each.words}
        if asked <= TRADED:  # it is about trades then, without saying so
            words = [word for word in words if word != "trades"]
        phrases.append("tick by tick")
    deep = {} if plan.depth is None else {"orderbook": f"top {plan.depth} levels orderbook"}
    spelt = [deep.get(word) or vocabulary.spelling(word) for word in words]
    for aggregate in reversed(plan.aggregates):
        at = _aggregated(words, aggregate)
        if at is not None:
            spelt[at] = f"{_AGGREGATES[aggregate]} {spelt[at]}"
    return [*spelt, *phrases]


def _aggregated(words: Sequence[str], aggregate: str) -> int | None:
    """Return the place of the word that an aggregate is of."""
    if aggregate == "sum":
        return next((at for at, word in enumerate(words) if word in SUMS), None)
    if "price" in words:
        return words.index("price")
    return 0 if aggregate == "avg" and words else None


def _single_fields(plan: Plan, source: PlannedSource, vocabulary: Vocabulary) -> list[str]:
    """Return the names of the fields that are wanted of feeds that bring more."""
    phrases: list[str] = []
    for word in source.words:
        for channel in vocabulary.channels_of(source.type, source.family, [word]):
            named = [(f, phrase_of(f)) for f in channel.fields]
            deep = word == "orderbook" and plan.depth is not None
            whole = f"top {plan.depth} levels orderbook" if deep else vocabulary.spelling(word)
            phrases += [p or whole for f, p in named if f in (plan.fields or ())]
        if vocabulary.is_computed(word):
            phrases.append(vocabulary.spelling(word))
    if plan.derived:
        phrases.append("spread")
    found = list(dict.fromkeys((*phrases, *_bars(plan.timeframes))))
    return [f"only {found[0]}", *found[1:]] if found else []


def _bars(timeframes: Iterable[str]) -> list[str]:
    timed = [t for t in timeframes if not t.endswith(("ticks", "vol"))]
    counted = [t for t in timeframes if t not in timed]
    phrases = [f"{', '.join(timed)} candles"] if timed else []
    for each in counted:
        unit = "tick" if each.endswith("ticks") else "volume"
        phrases.append(f"{each.removesuffix('ticks').removesuffix('vol')}-{unit} bars")
    return phrases


def _other_words(plan: Plan, source: PlannedSource, vocabulary: Vocabulary) -> list[str]:
    if source.url is not None:
        return [f"custom websocket {source.url}"]
    words = [vocabulary.spelling(word) for word in source.words]
    owners = {family.type for word in source.words for family, _ in vocabulary.carriers(word)[:1]}
    if owners != {source.family}:
        words = [vocabulary.families[source.family].names[0]]
    if source.chain is not None:
        words[-1] += f" on {_CHAIN_TICKERS[source.chain]}"
    everything = {symbol.base: symbol for symbol in plan.names}
    apart = set(source.symbols) != {symbol.base for symbol in plan.traded}
    if source.symbols and apart and is_about_assets(vocabulary.families[source.family]):
        about = (everything[base] for base in source.symbols)
        words[-1] += " about " + ", ".join(_mention(symbol, symbol.base) for symbol in about)
    if source.accounts:
        words[-1] += " from " + " and ".join(f"@{name}" for name in source.accounts)
    if source.query is not None:
        quoted = (f'"{part}"' for part in Phrases(source.query).parts)
        words[-1] += f" containing {' '.join(quoted)}"
    return words


def _where(sources: Iterable[PlannedSource]) -> list[str]:
    parts: dict[str, None] = {}
    for source in sources:
        if source.exchanges:
            parts["on " + ", ".join(source.exchanges)] = None
        if source.fallback:
            parts["fallback " + ", ".join(source.fallback)] = None
        if source.exclude_exchanges:
            parts["except " + ", ".join(source.exclude_exchanges)] = None
    providers = [s.type for s in sources if s.type != s.family]
    return [*parts, *(["from " + ", ".join(providers)] if providers else [])]


def _tail(plan: Plan, vocabulary: Vocabulary) -> list[str]:
    tail = []
    if plan.replay_sec is not None:
        tail.append(f" replay the last {written(plan.replay_sec)}")
    if plan.duration_sec is not None:
        tail.append(f" for {written(plan.duration_sec)}")
    if plan.filters:
        groups = (
            " and ".join(condition(each, plan.words, vocabulary) for each in group)
            for group in plan.filters
        )
        tail.append(f" only when {' or '.join(groups)}")
    tail += [f", alert me when {_alert(plan, alert, vocabulary)}" for alert in plan.alerts]
    return tail


def _alert(plan: Plan, alert: Mapping[str, object], vocabulary: Vocabulary) -> str:
    several = alert.get("all")
    conditions = several if isinstance(several, list) else [alert]
    text = " and ".join(condition(each, plan.words, vocabulary) for each in conditions)
    if "symbol" in alert:
        subject = next(s for s, name in plan.names.items() if name == alert["symbol"])
        text = f"{_mention(subject, plan.names[subject])} {text}"
    if "for_sec" in alert:
        text += f" for {written(_number(alert['for_sec']))}"
    if "cooldown_sec" in alert:
        text += f" at most once every {written(_number(alert['cooldown_sec']))}"
    return text


def condition(given: Mapping[str, object], words: Sequence[str], vocabulary: Vocabulary) -> str:
    """Return a filter's or an alert's condition in words: `price drops below 2500`.

    `words` are those of the stream: of several that mean the field, one of them is taken.
    """
    field, op, value = str(given["field"]), str(given["op"]), _number(given["value"])
    candidates = [word for word, of in CONDITION_FIELDS.items() if of == field] or [
        field, *(w for w in words for _, c in vocabulary.carriers(w) if c.fields == (field,)),
    ]  # fmt: skip
    word = next((w for w in words if w in candidates), candidates[0])
    single = phrase_of(field) if field.startswith("price_") and word == field else None
    word = single or ("spread" if field in SPREADS else vocabulary.spelling(word))
    window = f" in {written(_number(given['window_sec']))}" if "window_sec" in given else ""
    if op == "abs>" or "change" in given:
        verb = "moves" if op == "abs>" else "drops" if op == "<" else "rises"
        return f"{word} {verb} more than {digits(abs(value))}%{window}"
    return f"{word} {_OPS.get(op, op)} {digits(value)}{window}"


def digits(value: float) -> str:
    """Return a number without an exponent, and without a point where it is whole."""
    return format(Decimal(str(value)), "f").removesuffix(".0")


def _number(value: object) -> float:
    return value if isinstance(value, (int, float)) else 0.0
