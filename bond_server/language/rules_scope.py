"""Rules that refuse what Bond doesn't do: orders, instructions to a model, unknown sources."""

from __future__ import annotations

from bond_server.language.addresses import why_forbidden
from bond_server.language.draft import Draft, Rule
from bond_server.language.items import Item, ItemKind, Reading
from bond_server.language.refused_words import AMBIGUOUS_FIELDS

_MARKET_SITES = frozenset({
    "yahoo", "yahoo finance", "tradingview", "coingecko", "coinmarketcap", "refinitiv",
    "bloomberg", "reuters",
})  # fmt: skip
_DETERMINERS = frozenset({"my", "a", "an", "some", "all", "the", "one"})
_LABELS = frozenset({
    "symbol", "symbols", "pair", "pairs", "market", "field", "fields", "ticker symbol", "stream",
    "ticker", "source", "sources", "every", "coin", "token",
})  # fmt: skip
_ABOUT_POSTS = frozenset({"mentions", "mention", "comments", "posts", "sentiment", "threads"})


def foreign_instructions(reading: Reading, _: Draft) -> None:
    """Refuse what is addressed to a language model, not to a compiler of streams."""
    verb = next(reading.every("foreign_verb"), None)
    noun = next(reading.every("foreign_noun"), None)
    direct = next(reading.every("foreign"), None)
    found = direct or (verb if verb and noun else None)
    if found is None:
        return
    item = found[1]
    detail = "Bond compiles streams of market data, and nothing else"
    reading.refuse("out_of_scope", detail, item, item)


def orders(reading: Reading, _: Draft) -> None:
    """Refuse to trade: Bond listens."""
    for at, item in list(reading.every("order", "order_before_asset", "swap", "field")):
        amount = _leads_to(reading, at, "number", "duration")
        if item.kind == "swap" and not (item.written == "swap" and amount):
            continue
        asset = amount or _leads_to(reading, at, "symbol", "maybe")
        if item.kind == "order_before_asset" and not asset:
            continue
        if item.kind == "field" and not (_is_order(reading, at) and asset):
            continue
        item.take("unparsed")
        detail = f"Bond listens to markets and doesn't trade: it can't \"{item.written}\""
        reading.refuse("out_of_scope", detail, item)


def _is_order(reading: Reading, at: int) -> bool:
    """Whether `close` or `transfer` begins a sentence, as in `close 1 BTC`."""
    begins = all(item.kind in ("filler", "mark") for item in reading.items[:at])
    return begins and reading.items[at].written in ("close", "transfer")


def _leads_to(reading: Reading, at: int, *kinds: ItemKind) -> bool:
    place = at + 1
    while (item := reading.free(place)) and item.written in _DETERMINERS:
        place += 1
    return item is not None and item.kind in kinds


def unknown_sources(reading: Reading, draft: Draft) -> None:
    """Refuse a source that is known to exist, but not to Bond."""
    for at, item in reading.every("foreign_source"):
        last = item
        follower = reading.free(at + 1)
        if follower is not None and follower.written in _ABOUT_POSTS:
            last = follower
            follower.take("unparsed")
        item.take("unparsed")
        if item.name in _MARKET_SITES:
            _refuse_site(reading, at, item, draft)
            continue
        detail = f'Bond has no source for "{item.written}"'
        lead = reading.free(at - 1)
        edit = (item.start, last.end, "tweets")
        if lead is not None and lead.is_key("from", "by"):
            edit = (lead.start, last.end, "+ tweets")
        reading.refuse("unknown_source", detail, item, did_you_mean=("tweets", "news"), edit=edit)


def _refuse_site(reading: Reading, at: int, item: Item, draft: Draft) -> None:
    before = reading.free(at - 1)
    first = before if before is not None and before.is_key("from") else item
    near = ("alpaca",) if any(s.kind == "stock" for _, s in draft.symbols) else ("binance",)
    detail = f'Bond has no source for "{item.written}"; market data comes from the exchanges'
    edit = (first.start, item.end, "")
    reading.refuse("unknown_source", detail, item, did_you_mean=near, edit=edit)


def unsupported(reading: Reading, _: Draft) -> None:
    """Refuse what markets have but Bond doesn't compute."""
    others = any(True for _ in reading.every("field", "source", "bars"))
    for _at, item in reading.every("unsupported"):
        item.take("unparsed")
        detail = f'Bond doesn\'t provide "{item.written}"'
        instead = "" if others else item.name
        reading.refuse("unsupported", detail, item, did_you_mean=(item.name,), instead=instead)


def destinations(reading: Reading, _: Draft) -> None:
    """Refuse to say where records go: `save to csv`, `to my webhook`."""
    for at, item in list(reading.every("key")):
        if not item.is_key("sink"):
            continue
        first = at
        while (lead := reading.free(first - 1)) and _leads_to_sink(lead):
            first -= 1
        detail = (
            f'where records go is not said in a sentence ("{item.written}"): read them with a '
            "client or the command line, or name a sink in a spec"
        )
        edit = (reading.items[first].start, item.end, "")
        reading.refuse("unsupported", detail, item, edit=edit)
        item.take("unparsed")


def _leads_to_sink(item: Item) -> bool:
    is_leading = item.kind in {"unknown", "filler", "join", "mark"} or item.is_key("in", "from")
    return is_leading or item.is_key("against")


def labels(reading: Reading, _: Draft) -> None:
    """Read `symbol=BTCUSDT interval=1s`: the sign belongs to the label before it."""
    for at, item in list(reading.every("compare")):
        before = reading.free(at - 1)
        if item.written == "=" and before is not None and (
            before.is_key("cadence", "exchanges") or before.written in _LABELS
        ):  # fmt: skip
            item.kind, item.name = "mark", "="


def ambiguous_fields(reading: Reading, _: Draft) -> None:
    """Refuse `order imbalance`: of the book, of quotes, or of trades?"""
    for _at, item in reading.every("ambiguous_field"):
        choices = AMBIGUOUS_FIELDS[item.name]
        detail = f'"{item.written}" may be {" or ".join(choices)}: say which'
        reading.refuse("ambiguous_field", detail, item, did_you_mean=choices, instead=choices[0])
        item.take("unparsed")


def addresses(reading: Reading, draft: Draft) -> None:
    """Take a custom source's address, or refuse one that a stream may not open."""
    for at, item in reading.every("url"):
        why = why_forbidden(item.name)
        lead = reading.free(reading.skip(at - 1, step=-1))
        if why is None and lead is not None and lead.is_key("against"):
            detail = (
                "where records go is not said in a sentence: read them with a client or the "
                "command line, or name a sink in a spec"
            )
            item.take("unparsed")
            reading.refuse("unsupported", detail, item, edit=(lead.start, item.end, ""))
            continue
        if why is None:
            item.take("source", item.name)
            draft.urls.append(item.name)
            continue
        item.take("unparsed")
        reading.refuse("forbidden_url", why, item, instead="")


def noise(reading: Reading, _: Draft) -> None:
    """Refuse signs that are of no sentence."""
    for _at, item in reading.every("noise"):
        item.take("unparsed")
        detail = f'"{item.name}" has no meaning here'
        reading.refuse("not_understood", detail, item, instead=",")


SCOPE_RULES: tuple[Rule, ...] = (
    labels, foreign_instructions, orders, addresses, noise, unsupported, destinations,
    ambiguous_fields,
)  # fmt: skip
