"""Read a sentence into items: the longest known thing at each place, from left to right."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import attrs

from bond_server.language.durations import MULTIPLIERS, NUMBER_WORDS, UNITS
from bond_server.language.items import Correction, Item, Reading, Symbol
from bond_server.language.nearest import nearest
from bond_server.language.normalise import normalise
from bond_server.language.quantities import length_of, quantity
from bond_server.language.symbols import looks_like, read_name, read_pair
from bond_server.language.tokens import Atom, scan
from bond_server.language.vocabulary import Vocabulary
from bond_server.language.words import BARS, CHARTS, NO_MISSPELLINGS

_NOISE = frozenset(";{}<>`\\|[]^~")
_LONGEST_ACCOUNT = 30
_MOST_CORRECTED = 20  # a sentence with more of them is another language
_BEFORE_TOPIC = frozenset({"about", "regarding", "concerning", "mentioning", "containing"})

_ORDINALS = frozenset({"st", "nd", "rd", "th"})
_PERCENTILES = frozenset({"percentile", "percentiles"})
_CODE = re.compile(r"([HMD])([1-9][0-9]?)")  # of bars, as traders write them: `M15`

Read = tuple[Item, int]
"""An item, and the place of the atom after it."""


def read(text: str, vocabulary: Vocabulary) -> Reading:
    """Return the sentence as items, misspelt words corrected."""
    folded = normalise(text)
    atoms = scan(folded.text)
    if len(atoms) == 1 and atoms[0].kind == "quote":  # a sentence that kept its shell's quotes
        atoms = scan(folded.text.replace(atoms[0].text[0], " "))
    letters = [c for c in folded.text if c.isalpha()]
    shouting = len(atoms) > 2 and not any(c.islower() for c in letters)
    reading = Reading(text=text, folded=folded, vocabulary=vocabulary, shouting=shouting)
    atoms = tuple(_corrected(atoms, at, reading) for at in range(len(atoms)))
    at = 0
    while at < len(atoms):
        item, end = _next(atoms, at, reading)
        item.written = " ".join(a.lower for a in atoms[at:end])
        reading.items.append(item)
        at = end
    return reading


def _next(atoms: Sequence[Atom], at: int, reading: Reading) -> Read:
    for reader in _READERS:
        found = reader(atoms, at, reading)
        if found is not None:
            return found
    return _item("unknown", atoms, at, at + 1), at + 1


def _item(kind: str, atoms: Sequence[Atom], at: int, end: int, **more: object) -> Item:
    first, last = atoms[at], atoms[end - 1]
    return Item(kind=kind, start=first.start, end=last.end, glued=first.glued, written="", **more)  # type: ignore[arg-type]  # the readers below spell the kinds and attributes out


def _corrected(atoms: Sequence[Atom], at: int, reading: Reading) -> Atom:
    """Return the atom with its misspelling mended, if it is a word that may be mended."""
    atom, known = atoms[at], reading.vocabulary
    if len(reading.corrected) >= _MOST_CORRECTED or not _may_be_misspelt(atoms, at, reading):
        return atom
    meant = known.misspellings.correct(atom.lower)
    if meant is not None and at and atoms[at - 1].lower in _BEFORE_TOPIC:
        meant = meant if known.lexicon.single[meant].kind == "symbol" else None
    if meant is None or nearest(atom.lower, known.venues, limit=1):
        return atom
    span = reading.folded.original(atom.start, atom.end)
    reading.corrected.append(Correction(span=span, written=atom.lower, meant=meant))
    detail = f"{atom.lower} was read as {meant}"
    reading.warn("corrected", detail, _item("unknown", atoms, at, at + 1))
    return attrs.evolve(atom, text=meant, lower=meant)


def _may_be_misspelt(atoms: Sequence[Atom], at: int, reading: Reading) -> bool:
    atom, known = atoms[at], reading.vocabulary
    if atom.kind != "word" or not atom.text.isascii() or not atom.text.isalpha():
        return False
    if atom.lower in NO_MISSPELLINGS or atom.lower in known.lexicon.words:
        return False
    if atom.lower in NUMBER_WORDS or atom.lower in UNITS:
        return False
    if atom.text.upper() in known.assets.by_ticker or atom.lower in MULTIPLIERS:
        return False
    if atom.text.isupper() and not reading.shouting:
        return False
    before = atoms[at - 1].text if at and atom.glued else ""
    after = atoms[at + 1].text if at + 1 < len(atoms) and atoms[at + 1].glued else ""
    return before not in set("@#$:_") and after not in set(":_@")


def _url(atoms: Sequence[Atom], at: int, _: Reading) -> Read | None:
    if atoms[at].kind != "url":
        return None
    return _item("url", atoms, at, at + 1, name=atoms[at].text), at + 1


def _quote(atoms: Sequence[Atom], at: int, reading: Reading) -> Read | None:
    """Read a phrase to look for; a ticker in quotes that nothing leads to is the ticker."""
    if atoms[at].kind != "quote":
        return None
    inside = atoms[at].text[1:-1].replace('"', "").strip()
    symbol = _known_symbol(inside, reading.vocabulary, names=False) if inside.isupper() else None
    if symbol is not None and (at == 0 or atoms[at - 1].kind != "word"):
        return _item("symbol", atoms, at, at + 1, symbol=symbol), at + 1
    return _item("quote", atoms, at, at + 1, name=inside), at + 1


def _account(atoms: Sequence[Atom], at: int, reading: Reading) -> Read | None:
    """Read `@saylor`, but leave `@1s`, `btcusdt@bybit` and `@binance` to others."""
    if atoms[at].text != "@" or at + 1 >= len(atoms) or not atoms[at + 1].glued:
        return None
    if atoms[at + 1].kind != "word" or (atoms[at].glued and at and atoms[at - 1].kind == "word"):
        return None
    entry = reading.vocabulary.lexicon.longest(atoms, at + 1)
    if entry and entry[0].kind == "venue":
        return None
    name, end = _joined(atoms, at + 1)
    if len(name) > _LONGEST_ACCOUNT:
        return None
    called = reading.vocabulary.lexicon.single.get(name.lower())
    if called is not None and called.kind == "filler":  # `@bond BTC price`: it is us
        return _item("filler", atoms, at, end), end
    return _item("account", atoms, at, end, name=name), end


def _tag(atoms: Sequence[Atom], at: int, reading: Reading) -> Read | None:
    """Read `#ETF`; a tag that is an asset's ticker or name is the asset."""
    if atoms[at].text != "#" or at + 1 >= len(atoms) or not atoms[at + 1].glued:
        return None
    name, end = _joined(atoms, at + 1)
    if not name:
        return None
    symbol = _known_symbol(name, reading.vocabulary)
    if symbol is not None:
        return _item("symbol", atoms, at, end, symbol=symbol), end
    return _item("tag", atoms, at, end, name=f"#{name}"), end


def _joined(atoms: Sequence[Atom], at: int) -> tuple[str, int]:
    """Return the letters, digits and underscores that are glued together from here."""
    name, end = "", at
    while end < len(atoms) and atoms[end].glued:
        if atoms[end].kind not in {"word", "number"} and atoms[end].text != "_":
            break
        name += atoms[end].text
        end += 1
    return name, end


def _cashtag(atoms: Sequence[Atom], at: int, reading: Reading) -> Read | None:
    """Read `$TSLA`; a cashtag that the list doesn't know is taken for a stock."""
    if atoms[at].text != "$" or at + 1 >= len(atoms) or not atoms[at + 1].glued:
        return None
    name = read_name(atoms, at + 1) if atoms[at + 1].kind == "word" else None
    if name is None or not name[0].isalnum():
        return None
    asset = reading.vocabulary.assets.by_ticker.get(name[0].upper())
    kind = asset.kind if asset else "stock"
    symbol = Symbol(name[0].upper(), kind, listed=asset is not None)
    return _item("symbol", atoms, at, name[1], symbol=symbol), name[1]


def _venue_before_symbol(atoms: Sequence[Atom], at: int, reading: Reading) -> Read | None:
    """Read the `binance:` of `binance:ETHUSDT`, known or not."""
    following = atoms[at + 1 : at + 3]
    if atoms[at].kind != "word" or len(following) < 2 or following[0].text != ":":
        return None
    if not (following[0].glued and following[1].glued) or not _symbol_at(atoms, at + 2, reading):
        return None
    return _venue_or_unknown(atoms, at, reading)


def _venue_after_symbol(atoms: Sequence[Atom], at: int, reading: Reading) -> Read | None:
    """Read the `bybit` of `btcusdt@bybit`, known or not."""
    if atoms[at].kind != "word" or at < 2 or not atoms[at].glued or atoms[at - 1].text != "@":
        return None
    if not atoms[at - 1].glued or atoms[at - 2].kind != "word":
        return None
    return _venue_or_unknown(atoms, at, reading)


def _venue_or_unknown(atoms: Sequence[Atom], at: int, reading: Reading) -> Read:
    found = reading.vocabulary.lexicon.longest(atoms, at)
    if found is not None and found[0].kind in {"venue", "provider"}:
        return _item(found[0].kind, atoms, at, found[1], name=found[0].name), found[1]
    return _item("unknown_venue", atoms, at, at + 1), at + 1


def _symbol_at(atoms: Sequence[Atom], at: int, reading: Reading) -> bool:
    known = reading.vocabulary
    name = read_name(atoms, at)
    ticker = name is not None and name[0].upper() in known.assets.by_ticker
    return ticker or read_pair(atoms, at, known) is not None


def _pair(atoms: Sequence[Atom], at: int, reading: Reading) -> Read | None:
    if atoms[at].kind not in {"word", "number"}:
        return None
    found = read_pair(atoms, at, reading.vocabulary)
    if found is None or _is_in_row(atoms, at, found[1], reading):
        return None
    return _item("symbol", atoms, at, found[1], symbol=found[0]), found[1]


def _is_in_row(atoms: Sequence[Atom], at: int, end: int, reading: Reading) -> bool:
    """Whether this is a part of `BTC/ETH/SOL`: a list of symbols, and no pair."""
    tickers = reading.vocabulary.assets.by_ticker

    def goes_on(sign: int, other: int) -> bool:
        if not (sign > 0 and 0 <= other < len(atoms) and atoms[max(sign, other)].glued):
            return False
        return (
            atoms[sign].text == "/" and atoms[sign].glued and atoms[other].text.upper() in tickers
        )

    ahead = end < len(atoms) and goes_on(end, end + 1)
    return ahead or (atoms[at].glued and goes_on(at - 1, at - 2))


def _ticker(atoms: Sequence[Atom], at: int, reading: Reading) -> Read | None:
    """Read a bare ticker; one that is a word too only where capitals say that it is one."""
    if atoms[at].kind not in {"word", "number"}:
        return None
    name = read_name(atoms, at)
    if name is None:
        return None
    dotted = _class_of_share(atoms, name, reading.vocabulary)
    name = dotted or name
    longer = reading.vocabulary.lexicon.longest(atoms, at)
    if longer is not None and longer[1] > name[1]:
        return None
    symbol = _known_symbol(name[0], reading.vocabulary, names=False)
    if symbol is None:
        return _many_of_a_token(atoms, at, reading)
    clear = name[0].isupper() and not reading.shouting
    if reading.vocabulary.assets.by_ticker[symbol.base].is_word and not clear:
        if atoms[at].lower in reading.vocabulary.lexicon.single or atoms[at].lower in NUMBER_WORDS:
            return None
        return _item("maybe", atoms, at, name[1], symbol=symbol), name[1]
    return _item("symbol", atoms, at, name[1], symbol=symbol), name[1]


def _many_of_a_token(atoms: Sequence[Atom], at: int, reading: Reading) -> Read | None:
    """Read `1000PEPE` as what it is: another instrument than PEPE, and not a listed one."""
    if atoms[at].kind != "number" or at + 1 >= len(atoms) or not atoms[at + 1].glued:
        return None
    word = atoms[at + 1]
    if word.lower in UNITS or word.lower in MULTIPLIERS or word.lower in {"x", "m"}:
        return None
    if word.text.upper() not in reading.vocabulary.assets.by_ticker:
        return None
    return _item("unknown", atoms, at, at + 2), at + 2


def _class_of_share(
    atoms: Sequence[Atom], name: tuple[str, int], known: Vocabulary
) -> tuple[str, int] | None:
    """Read `BRK.B`."""
    at = name[1]
    if at + 1 < len(atoms) and atoms[at].text == "." and atoms[at + 1].glued:
        dotted = f"{name[0]}.{atoms[at + 1].text}"
        if dotted.upper() in known.assets.by_ticker:
            return dotted, at + 2
    return None


def _known_symbol(name: str, known: Vocabulary, *, names: bool = True) -> Symbol | None:
    asset = known.assets.by_ticker.get(name.upper())
    if asset is None and names and name.lower() in known.assets.by_name:
        asset = known.assets.by_ticker[known.assets.by_name[name.lower()]]
    return Symbol(asset.ticker, asset.kind) if asset else None


def _percentile(atoms: Sequence[Atom], at: int, reading: Reading) -> Read | None:
    """Read `95th percentile price` and `95th percentile of the price`."""
    if atoms[at].kind != "number" or not atoms[at].text.isdigit():
        return None
    end = at + 1
    if end < len(atoms) and atoms[end].glued and atoms[end].lower in _ORDINALS:
        end += 1
    if end >= len(atoms) or atoms[end].lower not in _PERCENTILES:
        return None
    field = f"price_p{int(atoms[at].text)}"
    if not reading.vocabulary.is_computed(field):
        return None
    end += 1
    after = end
    while after < len(atoms) and atoms[after].lower in {"of", "the"}:
        after += 1
    if after < len(atoms) and atoms[after].lower in {"price", "prices"}:
        end = after + 1
    return _item("field", atoms, at, end, name=field), end


def _code_of_bars(atoms: Sequence[Atom], at: int, _: Reading) -> Read | None:
    """Read the `H4` of `H4 candles`, and the `M15` and `D1` of others."""
    found = _CODE.fullmatch(atoms[at].text) if atoms[at].text[0] in "HMD" else None
    if found is None or not any(atom.lower in BARS or atom.lower in CHARTS for atom in atoms):
        return None
    unit, count = found.groups()
    seconds = UNITS[unit.lower()] * int(count)
    return _item("duration", atoms, at, at + 1, number=seconds, unit=unit.lower()), at + 1


def _number(atoms: Sequence[Atom], at: int, reading: Reading) -> Read | None:
    """Read a number, or a length of time where a unit follows."""
    found = quantity(atoms, at)
    if found is None:
        return None
    value, end = found
    sign = atoms[at - 1].text if at > 0 and atoms[at].glued else ""
    money = sign in {"$", "€", "£"}
    timed = None if money else length_of(atoms, end, value, shouting=reading.shouting)
    if timed is not None:
        seconds, unit, end = timed
        return _item("duration", atoms, at, end, number=seconds, unit=unit), end
    follower = atoms[end].lower if end < len(atoms) else ""
    glued = end < len(atoms) and atoms[end].glued
    if follower in MULTIPLIERS and (glued or len(follower) > 2):
        value, end = value * MULTIPLIERS[follower], end + 1
    elif follower in {"%", "percent", "pct"}:
        return _item("number", atoms, at, end + 1, number=value, unit="%"), end + 1
    return _item("number", atoms, at, end, number=value, unit=sign if money else ""), end


def _phrase(atoms: Sequence[Atom], at: int, reading: Reading) -> Read | None:
    found = reading.vocabulary.lexicon.longest(atoms, at)
    if found is None:
        return None
    entry, end = found
    if entry.kind == "symbol":
        symbol = _known_symbol(entry.name, reading.vocabulary)
        return _item("symbol", atoms, at, end, symbol=symbol), end
    return _item(entry.kind, atoms, at, end, name=entry.name), end


def _possessive(atoms: Sequence[Atom], at: int, _: Reading) -> Read | None:
    """Read the `'s` of `Solana's`."""
    if atoms[at].text != "'" or not atoms[at].glued or at + 1 >= len(atoms):
        return None
    if atoms[at + 1].lower != "s" or not atoms[at + 1].glued:
        return None
    return _item("mark", atoms, at, at + 2), at + 2


def _sign(atoms: Sequence[Atom], at: int, reading: Reading) -> Read | None:
    if atoms[at].kind != "sign":
        return None
    paired = atoms[at].text in "[]" and {"[", "]"} <= set(reading.folded.text)  # `[BTC, ETH]`
    kind = "noise" if atoms[at].text in _NOISE and not paired else "mark"
    return _item(kind, atoms, at, at + 1, name=atoms[at].text), at + 1


def _lookalike(atoms: Sequence[Atom], at: int, _: Reading) -> Read | None:
    """Read a word with letters of another alphabet: never as what it looks like."""
    plain = looks_like(atoms[at].text) if atoms[at].kind == "word" else None
    if plain is None:
        return None
    return _item("unknown", atoms, at, at + 1, name=plain), at + 1


_READERS: tuple[Callable[[Sequence[Atom], int, Reading], Read | None], ...] = (
    _url, _quote, _code_of_bars, _percentile, _account, _tag, _cashtag, _venue_before_symbol,
    _venue_after_symbol, _pair, _ticker, _number, _phrase, _possessive, _sign, _lookalike,
)  # fmt: skip
