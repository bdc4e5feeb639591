"""Rules about what: field words, sources, whose posts, order books, spreads, raw events."""

from __future__ import annotations

from bond_server.language.draft import CHAIN, TOPIC, Asked, Draft, Rule
from bond_server.language.exact import is_field
from bond_server.language.families import CHAIN_WORDS, CHAINS
from bond_server.language.items import Item, Reading
from bond_server.language.nearest import nearest
from bond_server.language.words import AGGREGATES

_LOOSE = ("filler", "mark", "join")
_ONE = frozenset({
    "trade", "quote", "order book", "orderbook", "tweet", "post", "liquidation", "transfer",
    "transaction",
})  # fmt: skip
"""What an event is called in the singular, behind `every`."""
_SHOWING = frozenset({
    "show", "send", "give", "get", "stream", "display", "print", "deliver", "push",
})  # fmt: skip
_UPDATED = frozenset({"trades", "bid ask", "orderbook"})


def accounts(reading: Reading, draft: Draft) -> None:
    """Read `from @elonmusk and @saylor`, and `tweets by elonmusk`."""
    for at, item in list(reading.every("account")):
        draft.accounts.append(item.name)
        item.take("account", f"@{item.name}")
        lead = reading.free(reading.skip(at - 1, over=_LOOSE, step=-1))
        if lead is not None and lead.is_key("from", "by", "accounts"):
            lead.take("filler")
    for at, item in list(reading.every("unknown")):
        lead = reading.free(at - 1)
        posts = reading.free(at - 2)
        if lead is None or not lead.is_key("from", "by") or not _is_posts(posts):
            continue
        behind = reading.free(at + 1)
        if behind is not None and behind.kind == "unknown" and behind.written.isalpha():
            _refuse_name(reading, item, behind)
            continue
        if item.written.isascii() and item.written.isalnum():
            draft.assumed.append(f"{item.written}=the account @{item.written}")
            draft.accounts.append(item.written)
            item.take("account", f"@{item.written}")
            lead.take("filler")


def _refuse_name(reading: Reading, first: Item, last: Item) -> None:
    """Refuse `tweets by elon musk`: an account is no name."""
    near = f"@{first.written}{last.written}"
    detail = f'whose account is that? Write it as it is, such as "{near}"'
    reading.refuse("not_understood", detail, first, last, did_you_mean=(near,), instead=near)
    for item in (first, last):
        item.take("unparsed")


def _is_posts(item: Item | None) -> bool:
    return item is not None and item.kind in {"field", "source"} and (
        item.name in {"tweets", "twitter", "nitter"}
    )  # fmt: skip


def queries(reading: Reading, draft: Draft) -> None:
    """Read `containing "ETF approval"` and `#ETF`, and `SOL price + #solana tweets` likewise."""
    parts = []
    _tags_beside_their_asset(reading)
    for at, item in list(reading.every("quote", "tag")):
        if not item.name.strip("#"):
            item.take("filler")
            continue
        parts.append(item.name)
        item.take("query", item.name)
        lead = reading.free(reading.skip(at - 1, over=_LOOSE, step=-1))
        if lead is not None and lead.is_key("containing", "about"):
            lead.take("filler")
    parts = list(dict.fromkeys(parts))
    if len(parts) > 1:  # a phrase among others keeps its quotes
        has_tag = any(part.startswith("#") or " " in part for part in parts)
        # Without any quotes or tags, several words would be one phrase.
        parts = [f'"{part}"' if " " in part or not has_tag else part for part in parts]
    if parts:
        draft.query = " ".join(parts)


def _tags_beside_their_asset(reading: Reading) -> None:
    """Let `#solana` be what posts contain, where the sentence names Solana without it."""
    mentions = [item for _, item in reading.every("symbol") if item.symbol is not None]
    named = {i.symbol.base for i in mentions if i.symbol and not i.written.startswith("#")}
    for item in mentions:
        if item.written.startswith("#") and item.symbol and item.symbol.base in named:
            item.kind, item.symbol = "tag", None
            item.name = reading.folded.text[item.start : item.end]


def about(reading: Reading, draft: Draft) -> None:
    """Read whom posts or news are about, where a sentence says it apart: `tweets about solana`."""
    for at, item in list(reading.every("key")):
        if not item.is_key("about", "containing"):
            continue
        place = reading.skip(at + 1)
        target = reading.free(place)
        while target is not None and target.kind in {"symbol", "maybe"} and target.symbol:
            draft.about.append(target.symbol)
            target.kind, target.name = "symbol", TOPIC
            place = reading.skip(place + 1, over=_LOOSE)
            if (joint := reading.free(place)) is not None and joint.is_key("or"):
                place = reading.skip(place + 1, over=_LOOSE)
            target = reading.free(place)
            item.take("filler")
        if target is not None and target.kind == "unknown" and item.role is None:
            _refuse_topic(reading, item, target)


def _refuse_topic(reading: Reading, lead: Item, target: Item) -> None:
    known = reading.vocabulary.assets
    capitals = reading.folded.text[target.start : target.end].isupper()
    near = nearest((target.name or target.written).upper(), known.by_ticker) if capitals else ()
    plain = target.written.replace('"', "")
    quoted = f'containing "{plain}"'
    detail = f'I don\'t know "{target.written}"; put it in quotes to search for the word'
    edit = (target.start, target.end, near[0]) if near else (lead.start, target.end, quoted)
    reading.refuse("unknown_symbol", detail, target, did_you_mean=(*near, quoted), edit=edit)
    target.take("unparsed")


def order_book_depth(reading: Reading, draft: Draft) -> None:
    """Read `top 10 levels`, `depth 20`, `10 level order book`."""
    for at, item in list(reading.every("number")):
        before = reading.free(reading.skip(at - 1, over=("mark", "filler"), step=-1))
        after = reading.free(reading.skip(at + 1, over=("mark",)))
        led = before is not None and before.is_key("top", "levels")
        followed = after is not None and after.is_key("levels")
        booked = any(f.name == "orderbook" for _, f in reading.every("field"))
        sided = after is not None and after.kind == "field" and after.name[:3] in {"bid", "ask"}
        if not (followed or (led and (booked or sided))):
            continue
        if item.number < 1 or item.number != int(item.number) or item.unit:
            continue
        draft.depth = int(item.number)
        item.take("field", f"depth {draft.depth}")
        for other in (before if led else None, after if followed else None):
            if other is not None:
                other.take("field", f"depth {draft.depth}")
        if not booked:
            draft.asked.append(Asked("orderbook", at))


def bare_depth(reading: Reading, draft: Draft) -> None:
    """Read `BTC depth every 1s`: the order book, as deep as it usually is."""
    if any(item.name == "orderbook" for _, item in reading.every("field")):
        return
    for at, item in list(reading.every("key")):
        if item.is_key("levels") and item.written == "depth":
            beside = [reading.free(at - 1) if at else None, reading.free(at + 1)]
            if not any(each is not None and each.kind == "number" for each in beside):
                item.take("field", "orderbook")
                draft.asked.append(Asked("orderbook", at))


def raw_events(reading: Reading, draft: Draft) -> None:
    """Read `tick by tick`: no windows, every event as it comes.

    It is about trades where the sentence names nothing that trades don't bring; `raw trades`
    is in any case.
    """
    for at, item in list(reading.every("key")):
        if not item.is_key("raw", "tick"):
            continue
        draft.raw = True
        item.take("field", "every event")
        if "trade" in item.written:
            draft.asked.append(Asked("trades", at))
            draft.unwanted.discard("trades")
        else:
            draft.ticks = at


def every_event(reading: Reading, draft: Draft) -> None:
    """Read `every BTC trade`, `each tweet about BTC` and `BTC order book updates` likewise."""
    items = reading.items
    for at, item in list(reading.every("key")):
        if item.is_key("every"):
            rest = (i for i in items[at + 1 :] if i.kind not in {"symbol", *_LOOSE})
            what = next(rest, None)
            is_one = what is not None and what.kind == "field" and what.written in _ONE
        else:
            is_update = at > 0 and item.written in {"update", "updates"}
            is_one = is_update and items[at - 1].kind == "field" and items[at - 1].name in _UPDATED
        if is_one and draft.intervals:
            item.take("filler")
            draft.assumed.append("every event=told together, one record an interval")
        elif is_one:
            draft.raw = True
            item.take("field", "every event")


def spreads(reading: Reading, draft: Draft) -> None:
    """Read `spread between binance and coinbase`, and `spread` as the one of bid and ask."""
    for at, item in list(reading.every("key")):
        if not item.is_key("spread", "cross_spread"):
            continue
        across = len(dict.fromkeys(draft.venues)) > 1
        if not across and item.written.startswith("compar"):
            detail = f'"{item.written}" with what? Two exchanges can be: spread on binance, okx'
            reading.refuse("unsupported", detail, item, instead="")
            item.take("unparsed")
            continue
        if not across and item.name == "cross_spread":
            detail = f'"{item.written}" is between two exchanges: name them'
            reading.refuse("unsupported", detail, item, did_you_mean=("spread",), instead="spread")
            item.take("unparsed")
            continue
        points = [i for i in reading.items[at + 1 :] if i.written in ("bps", "basis points")]
        if points and not across:
            item.kind, item.name = "field", "spread_bps"
            lead = reading.free(reading.items.index(points[0]) - 1)
            points[0].take("field", "spread_bps")
            if lead is not None and lead.is_key("over"):
                lead.take("filler")
            continue
        name = "cross_exchange_spread" if across else "spread"
        draft.derived.append(name)
        draft.asked += [Asked("bid", at), Asked("ask", at)]
        draft.unwanted -= {"bid", "ask"}
        item.take("field", name)


def chains(reading: Reading, draft: Draft) -> None:
    """Read `solana transfers` and `transfers on solana`: the asset is the chain."""
    for at, item in list(reading.every("field")):
        if item.name not in CHAIN_WORDS:
            continue
        before = reading.free(reading.skip(at - 1, over=("mark",), step=-1))
        on = reading.free(at + 1)
        after = reading.free(at + 2) if on is not None and on.is_key("from") else None
        for symbol_item in (after, before):
            symbol = symbol_item.symbol if symbol_item is not None else None
            if symbol_item is None or symbol_item.kind == "maybe" or symbol_item.name == TOPIC:
                continue
            if symbol is None or symbol.base not in CHAINS:
                continue
            if symbol.quote is None and draft.chain in (None, symbol):
                draft.chain = symbol
                symbol_item.name = CHAIN
                break


def only_fields(reading: Reading, draft: Draft) -> None:
    """Read `close only`, `just the high and low`, `price, nothing else`."""
    for at, item in list(reading.every("key")):
        if not item.is_key("only"):
            continue
        ends = item.written.endswith(("else", "more"))
        shows = at + 1 < len(reading.items) and reading.items[at + 1].written in _SHOWING
        if draft.filters and shows:  # `only show trades if the price is above 60k`
            item.take("condition")
        elif ends or _is_about_fields(reading, at):
            draft.only = True
            item.take("field", "only")


def _is_about_fields(reading: Reading, at: int) -> bool:
    """Whether `only` here is about the field before or behind it, and not about a place."""
    items, ahead, behind = reading.items, at + 1, at - 1
    while ahead < len(items) and items[ahead].kind in {"filler", "symbol", "maybe", "swap"}:
        ahead += 1
    while behind >= 0 and items[behind].kind == "filler":
        behind -= 1
    if ahead < len(items) and is_field(items[ahead]):
        return True
    about = ahead < len(items) and (
        items[ahead].kind in {"venue", "provider"}
        or items[ahead].is_key("from", "by", "about", "containing", "accounts")
    )
    return not about and behind >= 0 and is_field(items[behind])


def fields(reading: Reading, draft: Draft) -> None:
    """Read every field word and every source's name."""
    for at, item in list(reading.every("field", "source", "agg")):
        if item.kind == "agg":
            draft.aggregates.append(AGGREGATES.get(item.name, item.name))
            item.take("field", draft.aggregates[-1])
            continue
        if item.written == "imbalance":
            _say_of_what(reading, draft, item)
        if item.kind == "source":
            named = reading.vocabulary.families[item.name].named
            draft.asked += [Asked(word, at, item.name) for word in named]
            item.take("source", item.name)
            continue
        draft.asked += [Asked(word, at) for word in item.name.split()]
        item.take("field", item.name)
    _refuse_contradiction(reading, draft)
    draft.asked = [  # what a condition looks at is needed, wanted or not
        asked
        for asked in draft.asked
        if asked.word not in draft.unwanted or reading.items[asked.place].role == "condition"
    ]


def _say_of_what(reading: Reading, draft: Draft, item: Item) -> None:
    """Decide what `imbalance` is of: the order book where there is one, else the quotes."""
    if any(asked.word == "orderbook" for asked in draft.asked) or any(
        each.kind == "field" and each.name == "orderbook" for each in reading.items
    ):
        item.name = "book_imbalance"
    else:
        draft.assumed.append("imbalance=of quotes, their best bid and ask")


def _refuse_contradiction(reading: Reading, draft: Draft) -> None:
    """Refuse `price but not price`."""
    for asked in draft.asked:
        item = reading.items[asked.place]
        if asked.word in draft.unwanted and item.role == "field" and item.name == asked.word:
            detail = f'"{item.written}" is asked for, and left out'
            reading.refuse("not_understood", detail, item)
            return


BEFORE_VENUES: tuple[Rule, ...] = (accounts, queries, about, order_book_depth, bare_depth)
AFTER_VENUES: tuple[Rule, ...] = (
    only_fields, raw_events, every_event, spreads, chains, fields,
)  # fmt: skip
