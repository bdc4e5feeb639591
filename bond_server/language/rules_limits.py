"""Rules that refuse, or tell of, what a record doesn't say though its words are all known.

`BTC price per exchange`, `all BTC pairs`, `bitcoin ETF`, `will BTC hit 100k`: each word has a
meaning here, and without the one that matters the sentence would be about something else.
"""

from __future__ import annotations

from bond_server.language.draft import Asked, Draft, Rule
from bond_server.language.families import SUMS, SWAP_WORDS
from bond_server.language.items import Item, Reading
from bond_server.language.words import AGGREGATES

_SAID = frozenset({"mentions", "mention", "comments", "talk", "talking", "posting", "saying"})
_POSTS = frozenset({"tweets", "twitter", "nitter", "news", "trends"})
_MANY = frozenset({"pair", "pairs", "coins", "tokens", "symbols", "markets", "market", "stocks"})
_FUNDS = frozenset({"etf", "etfs"})
_FUND_OF = {"BTC": "IBIT", "ETH": "ETHA"}
_COUNT = frozenset({"count", "counts", "number", "how often"})
_BY_VENUE = frozenset({"volume_share"})
_TOGETHER = frozenset({"combined", "together", "aggregated", "aggregate"})
_MONEYLESS = frozenset({"volume", "trades"})
_ASKING = frozenset({"is", "are", "has", "have", "did", "does", "do", "was"})
_TRADED = frozenset({"price", "market", "bars", "volume", "trades", "vwap"})
_EITHER = ("symbol", "field", "source")
_OF_AGGREGATE = {
    "max": frozenset({"price", "market", "bars"}), "min": frozenset({"price", "market", "bars"}),
    "avg": frozenset({"price"}), "sum": SUMS,
}  # fmt: skip
_INSTEAD = {
    "max": "records have the highest price", "min": "records have the lowest price",
    "sum": "records have a mean of it",
}  # fmt: skip


def per_exchange(reading: Reading, draft: Draft) -> None:
    """Refuse `by exchange`: exchanges count together, and their shares can be asked for."""
    for at, item in enumerate(reading.items):
        each = item.is_key("all") and item.written.startswith(("each ", "every "))
        if not (item.is_key("exchanges") or each) or item.role not in (None, "exchange"):
            continue
        lead = reading.items[at - 1] if at else None
        per = lead is not None and (lead.is_key("by") or lead.written in {"per", "for"})
        after = reading.items[at + 1] if at + 1 < len(reading.items) else None
        if each and after is not None and after.written.startswith("'"):
            lead, per = item, True  # `each exchange's price`
        if lead is None or not per or (lead.written == "for" and not each):
            continue
        if any(asked.word in _BY_VENUE for asked in draft.asked):
            lead.take("filler")
            item.take("filler")
            continue
        detail = (
            "exchanges count together in a record: name one for a stream of its own, or ask for "
            "their share of the volume"
        )
        reading.refuse("unsupported", detail, lead, item, did_you_mean=("volume share",),
                       instead="")  # fmt: skip
        item.take("unparsed")


def every_pair(reading: Reading, _: Draft) -> None:
    """Refuse `all BTC pairs`: symbols are named."""
    for at, item in enumerate(reading.items):
        if not item.is_key("all") or item.role == "exchange":
            continue
        after = reading.skip(at + 1, over=("symbol", "currency"))
        place = at + 1
        while place < len(reading.items) and reading.items[place].role == "symbol":
            place += 1
        for many in {after, place}:
            last = reading.items[many] if many < len(reading.items) else None
            if last is not None and last.written in _MANY:
                detail = f'"{item.written} {last.written}": a stream names its symbols'
                reading.refuse("unsupported", detail, item, last, edit=(item.start, item.end, ""))
                item.take("unparsed")
                break


def spot_of_swaps(reading: Reading, draft: Draft) -> None:
    """Refuse `BTC spot price and funding rate`: only swaps have the latter."""
    word = next((asked.word for asked in draft.asked if asked.word in SWAP_WORDS), None)
    if word is None or draft.swap:
        return
    for item in reading.items:
        if "spot" in item.written.split() and item.role != "exchange":
            detail = f"{word.replace('_', ' ')} is of a swap, and not of the spot market"
            edit = (item.start, item.end, item.written.replace("spot", "").strip())
            reading.refuse("unsupported", detail, item, edit=edit)
            item.take("unparsed")
            return


def versus(reading: Reading, draft: Draft) -> None:
    """Refuse `price: binance vs okx`: exchanges count together, their difference is asked for."""
    for at, item in enumerate(reading.items):
        if not item.is_key("against"):
            continue
        beside = reading.items[max(at - 1, 0) : at] + reading.items[at + 1 : at + 2]
        if [i.role for i in beside] != ["exchange", "exchange"]:
            continue
        if "cross_exchange_spread" in draft.derived:
            continue
        near = f"spread between {beside[0].written} and {beside[1].written}"
        detail = "exchanges count together in a record: ask for the spread between them"
        edit = (beside[0].start, beside[1].end, near)
        reading.refuse("unsupported", detail, *beside, did_you_mean=(near,), edit=edit)
        item.take("unparsed")


def regions(reading: Reading, _: Draft) -> None:
    """Refuse `on US exchanges`: exchanges are named, and nothing is of one country."""
    for at, item in enumerate(reading.items):
        if item.written != "us" or item.kind != "filler":
            continue
        after = reading.items[at + 1] if at + 1 < len(reading.items) else None
        shown = reading.folded.text[item.start : item.end] == "US" and not reading.shouting
        if shown or (after is not None and after.is_key("exchanges", "only")):
            detail = "nothing is of one country here: name the exchanges"
            is_more = after is not None and after.is_key("exchanges", "only")
            last = after if is_more and after is not None else item
            lead = reading.items[at - 1] if at and reading.items[at - 1].is_key("from") else item
            reading.refuse("unsupported", detail, item, last, edit=(lead.start, last.end, ""))
            item.take("unparsed")


def sides(reading: Reading, draft: Draft) -> None:
    """Refuse `order book without asks`: a book has both of its sides."""
    words = {asked.word for asked in draft.asked}
    one_side = draft.unwanted & {"bid", "ask"} or (draft.only and len(words & {"bid", "ask"}) == 1)
    if "orderbook" not in words or not one_side:
        return
    said = (i for i in reading.items if i.kind == "field" and {"bid", "ask"} & {*i.name.split()})
    item = next(said, None)
    detail = "an order book has both of its sides, bids and asks"
    reading.refuse("unsupported", detail, item)


def shares_in(reading: Reading, draft: Draft) -> None:
    """Refuse `AAPL price in euros`: shares are priced where they are traded."""
    if draft.quote in (None, "USD") or not draft.symbols:
        return
    if any(symbol.kind == "crypto" for _, symbol in draft.symbols):
        return
    for item in reading.items:
        if item.meaning == f"quote {draft.quote}":
            detail = f"shares are priced in dollars, and not in {item.written}"
            reading.refuse("unsupported", detail, item, instead="dollars")
            item.take("unparsed")


def paced_by_events(reading: Reading, draft: Draft) -> None:
    """Refuse `every block` and `volume per trade`: records come by the clock."""
    if draft.raw or any(note.startswith("every event=") for note in draft.assumed):
        return
    for at, item in enumerate(reading.items):
        if not item.is_key("every") or item.role not in (None, "filler"):
            continue
        place = at + 1
        while place < len(reading.items) and reading.items[place].kind in ("filler", "symbol"):
            place += 1
        what = reading.items[place] if place < len(reading.items) else None
        if what is not None and what.kind == "field" and what.role == "field":
            detail = f'"{item.written} {what.written}": records come by the clock, as in every 5s'
            edit = (item.start, what.end, "" if draft.intervals else "every 5s")
            reading.refuse("unsupported", detail, item, what, edit=edit)
            item.take("unparsed")


def funds(reading: Reading, _: Draft) -> None:
    """Refuse `bitcoin ETF`: it is a share with a ticker of its own."""
    for at, item in enumerate(reading.items):
        before = reading.items[at - 1] if at else None
        if item.written not in _FUNDS or before is None or before.symbol is None:
            continue
        if before.symbol.kind != "crypto":
            continue
        fund = _FUND_OF.get(before.symbol.base)
        near = (f"${fund}",) if fund else ()
        detail = f'"{before.written} {item.written}" is a share of a fund: write its ticker'
        edit = (before.start, item.end, near[0]) if near else (item.start, item.end, "")
        reading.refuse("ambiguous_symbol", detail, before, item, did_you_mean=near, edit=edit)
        item.take("unparsed")


def sayings(reading: Reading, draft: Draft) -> None:
    """Refuse `BTC mentions` where nothing says whose: those of tweets, or of news."""
    asked = {asked.word for asked in draft.asked} | {asked.family for asked in draft.asked}
    if asked & _POSTS or draft.accounts or draft.query is not None or reading.troubles:
        return
    for item in reading.items:
        if item.written in _SAID and item.role in (None, "filler", "unparsed"):
            detail = f'"{item.written}" of whom? Bond hears tweets and news'
            reading.refuse("unknown_source", detail, item, did_you_mean=("tweets", "news"),
                           instead="tweets")  # fmt: skip
            item.take("unparsed")
            return


def counts_of_nothing(reading: Reading, draft: Draft) -> None:
    """Refuse `BTC count`: a number of what?"""
    if draft.asked or draft.bars or draft.depth is not None or draft.derived or draft.raw:
        return
    for item in reading.items:
        if item.written in _COUNT and item.role in (None, "filler"):
            near = ("number of trades", "tweets")
            reading.refuse("not_understood", f'"{item.written}" of what?', item,
                           did_you_mean=near, instead=near[0])  # fmt: skip
            item.take("unparsed")
            return


def predictions(reading: Reading, draft: Draft) -> None:
    """Refuse `will BTC hit 100k`: a filter is no answer to it."""
    triggers = [t.trigger for group in draft.filters for t in group]
    if not triggers or any(trigger is not None for trigger in triggers):
        return
    first = next((i for i in reading.items if i.kind not in ("mark", "join")), None)
    if first is not None and first.written in _ASKING:
        draft.assumed.append(f"{first.written} …?=the records of which it is so")
    if first is not None and first.written in {"will", "would", "could", "can"}:
        detail = "Bond tells what happens, and not what will: an alert tells when it has"
        reading.refuse("unsupported", detail, first, did_you_mean=("alert me when",),
                       instead="alert me when")  # fmt: skip
        first.take("unparsed")


def averages(reading: Reading, draft: Draft) -> None:
    """Refuse a moving average without a length: over how long?"""
    if draft.window_s is not None:
        return
    for item in reading.items:
        is_moving = item.kind == "agg" and item.written.startswith("moving")
        if is_moving or (item.is_key("rolling") and item.role is None):
            detail = f'"{item.written}" over how long? Say over the last 5m'
            near = f"5m {item.written}"
            reading.refuse("missing_number", detail, item, did_you_mean=(near,), instead=near)
            item.take("unparsed")


def money(reading: Reading, _: Draft) -> None:
    """Refuse `volume in dollars`: volume is in the base asset, whatever it is priced in."""
    for at, item in enumerate(reading.items):
        if item.kind != "currency" or item.meaning[:5] != "quote":
            continue
        lead, what = at - 1, at - 2
        while what >= 0 and reading.items[what].role == "symbol":
            what -= 1
        if lead < 0 or reading.items[lead].written not in {"in", "priced in"} or what < 0:
            continue
        subject = reading.items[what]
        if subject.kind == "field" and subject.name in _MONEYLESS:
            detail = f"{subject.name} isn't told in {item.written}: it is in the base asset"
            reading.refuse("unsupported", detail, reading.items[lead], item, instead="")
            item.take("unparsed")


def either(reading: Reading, draft: Draft) -> None:
    """Tell that `BTC or ETH` and `price or volume` bring both."""
    if _is_either(reading):
        draft.assumed.append("or=both")


def aggregates(reading: Reading, draft: Draft) -> None:
    """Refuse `max spread`: records have highs of prices alone. `average volume` is told."""
    for at, item in enumerate(reading.items):
        if item.kind != "agg" or item.role != "field":
            continue
        target = _aggregated(reading, at)
        name = AGGREGATES[item.name]
        if target is None:
            _ask_for_price(draft, at, name)
            continue
        said = _name_of(target)
        if said in _OF_AGGREGATE[name] or (name == "avg" and said not in SUMS):
            continue
        if name == "avg":
            draft.assumed.append(f"{item.written} {said}=how much there was in all")
            continue
        detail = f"{item.written} {said.replace('_', ' ')} is not computed: {_INSTEAD[name]}"
        reading.refuse("unsupported", detail, item, edit=(item.start, item.end, ""))


def _name_of(item: Item) -> str:
    return "spread" if item.kind == "key" else item.name


def _ask_for_price(draft: Draft, at: int, aggregate: str) -> None:
    """Let the `high` of `high + tweets` be the price's."""
    words = {asked.word for asked in draft.asked}
    if aggregate in ("max", "min") and words and words.isdisjoint(_TRADED):
        draft.asked.append(Asked("price", at))


def _aggregated(reading: Reading, at: int) -> Item | None:
    """Return the field that an aggregate is of, where it stands behind it."""
    items = reading.items
    place = at + 1
    while place < len(items):
        item = items[place]
        is_joined = (
            item.kind == "join" and place + 1 < len(items) and items[place + 1].kind == "agg"
        )
        if not (item.kind in ("filler", "agg") or item.role == "symbol" or is_joined):
            break
        place += 1
    if place >= len(items) or items[place].role not in ("field", "source"):
        return None
    is_said = items[place].kind in ("field", "source") or items[place].is_key("spread")
    return items[place] if is_said else None


def several_symbols(reading: Reading, draft: Draft) -> None:
    """Tell that each symbol has records of its own, where a sentence may mean otherwise."""
    if len({symbol for _, symbol in draft.symbols}) < 2:
        return
    summed = next((i for i in reading.items if _adds(i)), None)
    if summed is not None:
        draft.assumed.append(f"{summed.written}=of each symbol by itself")
    if any(i.is_key("spread") and i.role == "field" for i in reading.items):
        draft.assumed.append("spread=of each symbol by itself")
    if _is_distributed(reading):
        draft.assumed.append("fields=the same of each symbol")


def _adds(item: Item) -> bool:
    return item.written in _TOGETHER or (item.kind == "agg" and item.name in {"total", "sum"})


def _is_either(reading: Reading) -> bool:
    """Whether symbols, or fields, are joined by `or`."""
    items = reading.items
    return any(
        item.is_key("or") and item.role in (None, "filler")
        and 0 < at < len(items) - 1
        and items[at - 1].role == items[at + 1].role and items[at - 1].role in _EITHER
        for at, item in enumerate(items)
    )  # fmt: skip


def _is_distributed(reading: Reading) -> bool:
    """Whether it is `BTC price and ETH volume`: fields between symbols, and others behind."""
    found: dict[int, set[str]] = {0: set()}
    for item in reading.items:
        if item.role == "symbol" and item.symbol is not None:
            if found[max(found)]:
                found[max(found) + 1] = set()
        elif item.role == "field" and item.kind == "field":
            found[max(found)].add(item.name)
    said = [words for words in found.values() if words]
    return len(said) > 1 and any(words != said[0] for words in said)


LIMIT_RULES: tuple[Rule, ...] = (
    per_exchange, every_pair, spot_of_swaps, versus, regions, sides, shares_in, paced_by_events,
    funds, sayings, counts_of_nothing, predictions, averages, aggregates, money,
    either, several_symbols,
)  # fmt: skip
