"""Rules about where: exchanges that are wanted, left out, or unknown, and data providers."""

from __future__ import annotations

from bond_server.language.draft import Draft, Rule
from bond_server.language.families import CHAIN_WORDS, CHAINS
from bond_server.language.items import Item, Reading
from bond_server.language.nearest import nearest
from bond_server.language.refused_words import PLACES_TOO, TELLING

_LOOSE = ("filler", "mark", "join")
_SAYABLE = ("field", "source", "agg", "bars")
_LEFT_OUT = frozenset({"venue", "provider", "field", "source"})


def everywhere(reading: Reading, draft: Draft) -> None:
    """Read `all exchanges`: no exchange is chosen, the server's own are."""
    for at, item in list(reading.every("key")):
        after = reading.free(reading.skip(at + 1))
        if not item.is_key("all"):
            continue
        if item.written.startswith(("each ", "every ")):
            draft.assumed.append(f"{item.written}=all of them together")
        if after is not None and after.is_key("exchanges"):
            after.take("exchange", "all")
            item.take("exchange", "all")
        elif item.written not in {"all", "any"}:
            item.take("exchange", "all")


def left_out(reading: Reading, draft: Draft) -> None:
    """Read `without binance`, `no tweets`, `any exchange but kraken`."""
    for at, item in list(reading.every("key")):
        if not item.is_key("without", "but"):
            continue
        alert = reading.free(reading.skip(at + 1))
        if alert is not None and alert.written == "alerts" and item.is_key("without"):
            alert.take("filler")
            item.take("filler")
            continue
        if item.written == "minus" and at and reading.items[at - 1].kind == "venue":
            continue  # `binance minus okx` is a difference
        place = reading.skip(at + 1, over=_LOOSE)
        while (lead := reading.free(place)) and lead.is_key("from", "exchanges"):
            place = reading.skip(place + 1, over=_LOOSE)
        target = reading.free(place)
        if item.is_key("without") and target is not None and target.symbol is not None:
            _leave_out_symbols(reading, draft, item, place)
            continue
        while (target := reading.free(place)) and target.kind in _LEFT_OUT:
            _leave_out(reading, draft, target)
            item.take("filler")
            _refuse_a_part(reading, place)
            place = _next_of_list(reading, place + 1)
        last = reading.free(place)
        if last is not None and nearest(last.written, reading.vocabulary.venues, limit=1):
            _refuse_unknown(reading, at, place)


def _leave_out_symbols(reading: Reading, draft: Draft, lead: Item, at: int) -> None:
    """Read `BTC, not ETH`; refuse `without ETH tweets`, and to leave out all that there is."""
    left: list[Item] = []
    last = at
    while (target := reading.free(at)) and target.symbol is not None:
        left.append(target)
        last, at = at, _next_of_list(reading, at + 1)
    after = reading.free(reading.skip(last + 1))
    kept = [i for i in reading.items if i.symbol is not None and i not in left]
    bases = {i.symbol.base for i in left if i.symbol is not None}
    names_more = after is not None and after.kind in _SAYABLE
    # `BTC and ETH but not SOL price`: the price is of all.
    names_more &= any(i.kind in _SAYABLE for i in reading.items[: reading.items.index(lead)])
    named_twice = any(i.symbol is not None and i.symbol.base in bases for i in kept)
    if names_more or named_twice or not any(i.symbol and i.symbol.base not in bases for i in kept):
        detail = f'"{lead.written} {left[0].written}": a stream has what it names, of each symbol'
        end = after if names_more and after is not None else left[-1]
        reading.refuse("not_understood", detail, lead, end, instead="")
        for item in (lead, *left):
            item.take("unparsed")
        return
    lead.take("filler")
    for item in left:
        item.take("symbol", f"not {item.written}")
        item.symbol = None
    draft.assumed.append(f"left out={','.join(sorted(bases))}")


def _refuse_a_part(reading: Reading, at: int) -> None:
    """Refuse `excluding bybit futures`: an exchange is left out whole."""
    part = reading.free(at + 1)
    if part is not None and part.kind == "swap" and reading.items[at].kind == "venue":
        detail = "an exchange is left out whole, not one of its markets"
        reading.refuse("unsupported", detail, reading.items[at], part,
                       edit=(part.start, part.end, ""))  # fmt: skip
        part.take("unparsed")


def _leave_out(reading: Reading, draft: Draft, target: Item) -> None:
    if target.kind in {"venue", "provider"}:
        draft.excluded.append(target.name)
        target.take("exchange", f"not {target.name}")
        return
    named = reading.vocabulary.families
    draft.unwanted.update(
        target.name.split() if target.kind == "field" else named[target.name].named
    )
    target.take("source", f"no {target.written}")


def _next_of_list(reading: Reading, at: int) -> int:
    at = reading.skip(at, over=_LOOSE)
    while (item := reading.free(at)) and item.is_key("or"):
        at = reading.skip(at + 1, over=_LOOSE)
    return at


def fallbacks(reading: Reading, draft: Draft) -> None:
    """Read `on okx with binance as fallback` and `falling back to kraken`."""
    for at, item in list(reading.every("key")):
        if not item.is_key("fallback"):
            continue
        behind = not item.written.startswith("as ")
        step = 1 if behind else -1
        place = reading.skip(at + step, over=_LOOSE, step=step)
        if behind and (lead := reading.free(place)) and lead.is_key("against", "from"):
            lead.take("filler")
            place = reading.skip(place + 1, over=_LOOSE)
        while (venue := reading.free(place)) and venue.kind == "venue":
            draft.fallback.append(venue.name)
            venue.take("exchange", f"{venue.name}, standing in")
            item.take("exchange", "standing in")
            if not behind:
                break
            place = reading.skip(place + 1, over=_LOOSE)
        if item.role is None:
            detail = f'"{item.written}" of what? Name an exchange: on okx, fallback kraken'
            reading.refuse("not_understood", detail, item, instead="")
            item.take("unparsed")


def venues(reading: Reading, draft: Draft) -> None:
    """Read every other exchange that is named."""
    for _at, item in list(reading.every("venue")):
        draft.venues.append(item.name)
        item.take("exchange", item.name)


def providers(reading: Reading, draft: Draft) -> None:
    """Read `from alpaca`; one that is named like an asset is the asset unless `from` leads it."""
    for at, item in list(reading.every("provider")):
        led = reading.free(reading.skip(at - 1, step=-1))
        after_key = led is not None and led.is_key("from", "by")
        before = reading.items[at - 1] if at else None
        listed = before is not None and before.kind == "join" and bool(draft.providers)
        if not (after_key or listed) and item.written in reading.vocabulary.assets.by_name:
            continue
        draft.providers.append(item.name)
        item.take("exchange", item.name)


def unknown_venues(reading: Reading, _: Draft) -> None:
    """Refuse an exchange that nobody knows: `on binanse`, `binanse:BTCUSDT`."""
    for at, item in list(reading.every("key", "unknown_venue")):
        if item.kind == "unknown_venue":
            _refuse(reading, item, item)
        elif item.is_key("from"):
            place = reading.skip(at + 1)
            if _is_broker(reading, at, place):
                _refuse(reading, reading.items[place], item)
            _refuse_unknown(reading, at, place)


def _is_broker(reading: Reading, led_by: int, at: int) -> bool:
    """Whether `on robinhood` names a place, although it is a share too: a coin stands before.

    `on uniswap` likewise, which is a coin too.
    """
    item = reading.free(at)
    if item is None or item.symbol is None or item.kind != "symbol":
        return False
    is_place = item.written in PLACES_TOO or _is_chain(reading, led_by, item)
    if item.symbol.kind != "stock" and not is_place:
        return False
    named = item.written in reading.vocabulary.assets.by_name
    before = (each.symbol for each in reading.items[:led_by] if each.kind == "symbol")
    posts = any(_is_about(each) for each in reading.items[:led_by])
    return named and not posts and any(s is not None and s.kind == "crypto" for s in before)


def _is_chain(reading: Reading, led_by: int, item: Item) -> bool:
    """Whether this is the `on solana` of `BTC price on solana`: prices are of exchanges."""
    leads = [i for i in reading.items if i.is_key("from")]
    on_chain = any(i.kind == "field" and i.name in CHAIN_WORDS for i in reading.items)
    is_chain = item.symbol is not None and item.symbol.base in CHAINS and not on_chain
    return is_chain and len(leads) == 1 and reading.items[led_by].written in ("on", "via")


def _is_about(item: Item) -> bool:
    return item.kind in {"field", "source"} and item.name in {"tweets", "twitter", "nitter", "news"}


def _refuse_unknown(reading: Reading, led_by: int, at: int) -> None:
    """Refuse what stands where an exchange should, and the unknown ones listed after it."""
    while (item := reading.free(at)) and item.kind == "unknown":
        if not item.written.isascii() or (_could_be_account(reading, led_by, item)):
            return
        if item.written in TELLING:
            return
        if not _is_news_site(reading, led_by, item):
            _refuse(reading, item, reading.items[led_by])
        at = reading.skip(at + 1, over=_LOOSE)


def _is_news_site(reading: Reading, led_by: int, item: Item) -> bool:
    """Whether it is the `coindesk` of `news from coindesk`, which is then refused as such."""
    before = reading.items[reading.skip(led_by - 1, step=-1)] if led_by else None
    if before is None or before.kind not in {"field", "source"} or before.name != "news":
        return False
    lead = reading.items[led_by]
    detail = f'"{item.written}": news come from the feeds that the server reads (NEWS_FEEDS)'
    edit = (lead.start, item.end, "")
    reading.refuse("unknown_source", detail, item, did_you_mean=("news",), edit=edit)
    item.take("unparsed")
    lead.take("filler")
    return True


def _could_be_account(reading: Reading, led_by: int, item: Item) -> bool:
    """Whether `from NAME` follows posts, and no exchange is called nearly like that."""
    before = reading.items[reading.skip(led_by - 1, step=-1)] if led_by else None
    posts = before is not None and before.kind in {"field", "source"} and (
        before.name in {"tweets", "twitter", "nitter"}
    )  # fmt: skip
    return posts and not nearest(item.written, reading.vocabulary.venues, limit=1)


def _refuse(reading: Reading, item: Item, led_by: Item) -> None:
    known = reading.vocabulary
    near = nearest(item.written, [*known.venues, *known.providers])
    near = tuple(dict.fromkeys(known.venues.get(n, n) for n in near))
    detail = f'I don\'t know the exchange "{item.written}"'
    reading.refuse("unknown_exchange", detail, item, did_you_mean=near,
                   instead=near[0] if near else "binance")  # fmt: skip
    item.take("unparsed")
    if led_by.role is None:
        led_by.take("filler")


VENUE_RULES: tuple[Rule, ...] = (
    everywhere, left_out, fallbacks, unknown_venues, venues, providers,
)  # fmt: skip
