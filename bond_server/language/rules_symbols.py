"""Rules about symbols, what they are priced in, and those that nobody knows."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import TypeGuard

import attrs

from bond_server.language.draft import CHAIN, Draft, Rule
from bond_server.language.items import MOST_PROBLEMS, Item, Reading, Symbol
from bond_server.language.nearest import nearest
from bond_server.language.symbols import QUOTES
from bond_server.language.words import CURRENCIES

_LOOSE = ("filler", "mark", "join")


def swaps(reading: Reading, draft: Draft) -> None:
    """Read `perp`: the swap market is meant; an inverse one settles in what it trades."""
    for _at, item in list(reading.every("swap")):
        draft.swap = True
        item.take("symbol", "swap")
    for _at, item in list(reading.every("key")):
        if item.is_key("spot") and draft.swap:
            _refuse_both_markets(reading, item)
        if item.is_key("inverse") and draft.swap and draft.quote is None:
            draft.quote = "USD"
            draft.assumed.append("inverse=priced in USD")
            item.take("symbol", "inverse")


def _refuse_both_markets(reading: Reading, spot: Item) -> None:
    """Refuse `BTC spot and perp price`: what is the symbol of which?"""
    swap = next(item for item in reading.items if item.kind == "swap")
    first, last = sorted((spot, swap), key=lambda item: item.start)
    detail = "spot, or perp? Write the symbols, such as BTC/USDT and BTC/USDT:USDT"
    near = ("perp", "spot")
    edit = (spot.start, spot.end, "")
    reading.refuse("unsupported", detail, first, last, did_you_mean=near, edit=edit)
    spot.take("unparsed")


def currencies(reading: Reading, draft: Draft) -> None:
    """Read `in euros`, `vs USD`, `BTC USDT`."""
    for at, item in list(reading.every("currency")):
        code = CURRENCIES.get(item.name, item.name)
        lead = reading.free(reading.skip(at - 1, step=-1))
        before = reading.items[at - 1] if at else None
        led = lead is not None and (lead.is_key("in", "against", "over") or lead.written == "/")
        if led and lead is not None:
            draft.quote = code
            lead.take("filler")
            item.take("symbol", f"quote {code}")
        elif before is not None and before.kind == "symbol" and _is_open(before.symbol):
            before.symbol = attrs.evolve(before.symbol, quote=code)
            item.take("symbol", f"quote {code}")


def priced_in(reading: Reading, draft: Draft) -> None:
    """Read `in USDC` and `against BTC`: a coin that others are priced in."""
    for at, item in list(reading.every("symbol")):
        lead = reading.free(reading.skip(at - 1, step=-1))
        others = any(other is not item for _, other in reading.every("symbol"))
        if lead is None or not _prices(lead) or not others or not _is_open(item.symbol):
            continue
        bases = {other.symbol.base for other in reading.items if other.symbol and other is not item}
        if item.symbol.base in bases:  # `BTC volume in BTC`: so it is
            item.symbol = None
            item.take("filler")
            lead.take("filler")
        elif item.symbol.base in QUOTES:
            draft.quote = item.symbol.base
            item.take("symbol", f"quote {draft.quote}")
            lead.take("filler")


def _prices(lead: Item) -> bool:
    """Whether this leads to what others are priced in; `vs` may compare them instead."""
    return lead.written == "in" or (
        lead.is_key("against") and lead.written not in {"vs", "versus", "to"}
    )


def _is_open(symbol: Symbol | None) -> TypeGuard[Symbol]:
    """Whether it may still be said what a symbol is priced in."""
    return symbol is not None and symbol.quote is None and symbol.kind == "crypto"


def listed_words(reading: Reading, _: Draft) -> None:
    """Take `link` for the ticker where it stands in a list of symbols."""
    at = 0
    while at < len(reading.items):
        listed, at = _list_from(reading, at)
        if len(listed) > 1:
            for item in listed:
                item.kind = "symbol"


def _list_from(reading: Reading, at: int) -> tuple[list[Item], int]:
    """Return the symbols and maybe symbols listed from here, and where to look on."""
    listed: list[Item] = []
    while (item := reading.free(at)) and item.kind in {"symbol", "maybe"}:
        listed.append(item)
        after = reading.skip(at + 1, over=("join", "mark"))
        if after == at + 1:
            break
        at = after
    return listed, at + 1 if not listed or reading.free(at) is listed[-1] else at


def only_words(reading: Reading, draft: Draft) -> None:
    """Take a shouted word for a ticker where the sentence has no other symbol."""
    others = any(True for _ in reading.every("symbol"))
    if others or not reading.shouting or draft.chain:
        return
    for _at, item in list(reading.every("maybe")):
        item.kind = "symbol"


def providers_as_assets(reading: Reading, _: Draft) -> None:
    """Take `polygon` for the asset where it wasn't a provider."""
    known = reading.vocabulary.assets
    for _at, item in list(reading.every("provider")):
        ticker = known.by_name.get(item.written)
        if ticker is not None:
            item.kind, item.symbol = "symbol", Symbol(ticker, known.by_ticker[ticker].kind)


def symbols(reading: Reading, draft: Draft) -> None:
    """Read every symbol that is left; a chain is one only where there is no other."""
    chain_items = []
    for _at, item in list(reading.every("symbol")):
        if item.symbol is None:
            continue
        item.take("symbol", item.symbol.base)
        if item.name == CHAIN:
            chain_items.append(item)
        else:
            draft.symbols.append((item, item.symbol))
    if not draft.symbols:
        draft.symbols += [(item, item.symbol) for item in chain_items if item.symbol]


def ambiguous_names(reading: Reading, _: Draft) -> None:
    """Refuse `gold`, which may be a token, a metal or a fund."""
    for _at, item in list(reading.every("ambiguous")):
        choices = reading.vocabulary.assets.ambiguous[item.name]
        detail = f'"{item.written}" may be {" or ".join(choices)}: say which'
        reading.refuse("ambiguous_symbol", detail, item, did_you_mean=choices, instead=choices[0])
        item.take("unparsed")


def unknown_symbols(reading: Reading, draft: Draft) -> None:
    """Refuse a ticker that nobody knows; it is never taken for a similar one."""
    for at, item in list(reading.every("unknown")):
        if len(reading.troubles) >= MOST_PROBLEMS:
            return
        written = reading.folded.text[item.start : item.end]
        if item.name.lower() in reading.vocabulary.lexicon.words:
            detail = f'"{written}" has letters of another alphabet'
            reading.refuse("not_understood", detail, item, did_you_mean=(item.name,),
                           instead=item.name)  # fmt: skip
        elif item.name or _is_ticker(written, reading) or _in_symbols_place(reading, draft, at):
            _refuse_symbol(reading, item)
    if draft.symbols or reading.troubles:
        return
    for at, item in list(reading.every("maybe")):
        if _in_symbols_place(reading, draft, at) and item.symbol:
            ticker = item.symbol.base
            detail = f'"{item.written}" is a word; write {ticker} if you mean the asset'
            reading.refuse("unknown_symbol", detail, item, did_you_mean=(ticker,), instead=ticker)
            item.take("unparsed")


def _is_ticker(written: str, reading: Reading) -> bool:
    if reading.shouting or not 2 <= len(written) <= 10 or not written.isascii():
        return False
    return written.isalnum() and written.isupper() and not written.isdigit()


def _in_symbols_place(reading: Reading, draft: Draft, at: int) -> bool:
    """Whether an unknown word stands where the missing symbol should: beside a field word."""
    if draft.symbols or not reading.items[at].written.isalnum():
        return False
    beside = (
        reading.skip(at - 1, over=_LOOSE, step=-1),
        reading.skip(at + 1, over=_LOOSE),
    )
    return any(
        0 <= place < len(reading.items) and reading.items[place].role in {"field", "source"}
        for place in beside
    )


def _refuse_symbol(reading: Reading, item: Item) -> None:
    known = reading.vocabulary
    plain = item.name or reading.folded.text[item.start : item.end]
    names = [n for n in nearest(plain.lower(), known.assets.by_name) if " " not in n]
    tickers = nearest(plain.upper(), known.assets.by_ticker)
    exact = [plain.upper()] if plain.upper() in known.assets.by_ticker else []
    words = [w for w in nearest(plain.lower(), known.lexicon.single) if _is_field(reading, w)]
    near = tuple(exact or dict.fromkeys([*tickers, *names[:2], *words[:1]]))
    why = " (its letters are of another alphabet)" if item.name else ""
    written = reading.folded.text[item.start : item.end]
    detail = f'I don\'t know the symbol "{written}"{why}'
    reading.refuse("unknown_symbol", detail, item, did_you_mean=near,
                   instead=near[0] if near else "BTC")  # fmt: skip
    item.take("unparsed")


def _is_field(reading: Reading, word: str) -> bool:
    return reading.vocabulary.lexicon.single[word].kind == "field"


def one_place_for_all(reading: Reading, _: Draft) -> None:
    """Refuse `BTC on binance and ETH on okx`: a stream hears all its symbols at each exchange."""
    named = [item for item in reading.items if _names_a_market(item)]
    runs = [list(run) for _, run in groupby(named, key=lambda item: item.role)]
    if len(runs) < 4 or len(runs) % 2:
        return
    for side in (runs[::2], runs[1::2]):
        if all(_named(run) == _named(side[0]) for run in side):
            return
    detail = (
        "each exchange of a stream is asked for all of its symbols: make a stream for each, "
        "or name the exchanges once"
    )
    first, last = runs[2][0], runs[3][-1]
    place = reading.items.index(first)
    while place and reading.items[place - 1].kind in _LOOSE:
        place -= 1
    edit = (reading.items[place].start, last.end, "")
    reading.refuse("unsupported", detail, first, last, edit=edit)


def _names_a_market(item: Item) -> bool:
    is_venue = item.kind == "venue" and item.role == "exchange"
    return is_venue or (item.role == "symbol" and item.symbol is not None)


def _named(run: Iterable[Item]) -> set[str]:
    return {item.name if item.symbol is None else item.symbol.base for item in run}


SYMBOL_RULES: tuple[Rule, ...] = (
    swaps, currencies, priced_in, providers_as_assets, listed_words, only_words, symbols,
    ambiguous_names, unknown_symbols, one_place_for_all,
)  # fmt: skip
