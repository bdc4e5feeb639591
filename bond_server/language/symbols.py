"""Read symbols in the ways people write them: `BTC/USDT`, `btcusdt`, `BTC-PERP`, `$TSLA`."""

from __future__ import annotations

from collections.abc import Sequence

from bond_server.language.items import Symbol
from bond_server.language.tokens import Atom
from bond_server.language.vocabulary import Vocabulary

STABLE_QUOTES = ("FDUSD", "USDT", "USDC", "BUSD", "TUSD")
QUOTES = (
    *STABLE_QUOTES, "USD", "EUR", "GBP", "JPY", "KRW", "TRY", "BRL", "AUD", "CHF", "CAD", "DAI",
    "BTC", "ETH", "BNB",
)  # fmt: skip
_SWAP_SUFFIXES = frozenset({"PERP", "SWAP", "PERPETUAL", "FUTURES", "P"})
_LONGEST = 15

# Letters of other alphabets that look like ours, in capitals and small.
_LOOKALIKES = str.maketrans(
    "АВЕКМНОРСТУХІЈЅавекмнорстухіјѕԁɡΑΒΕΖΗΙΚΜΝΟΡΤΥΧαοικρντυχ",
    "ABEKMHOPCTYXIJSabekmhopctyxijsdgABEZHIKMNOPTYXaoikpvtux",
)


def looks_like(text: str) -> str | None:
    """Return the plain letters that a word of lookalikes resembles; None if it has none."""
    folded = text.translate(_LOOKALIKES)
    return folded if folded != text and folded.isascii() else None


def read_name(atoms: Sequence[Atom], at: int) -> tuple[str, int] | None:
    """Return a run of letters and digits (`BTC`, `1INCH`) and where it ends."""
    name, end = "", at
    while end < len(atoms) and atoms[end].kind in {"word", "number"}:
        if end > at and not atoms[end].glued:
            break
        if not atoms[end].text.isalnum():
            break
        name += atoms[end].text
        end += 1
    if not name.isascii() or not 0 < len(name) <= _LONGEST or name.isdigit():
        return None
    return name, end


def _separated(atoms: Sequence[Atom], at: int, signs: str) -> tuple[str, int] | None:
    """Return the name after one of these signs, all glued to what stands before."""
    if at + 1 >= len(atoms) or not (atoms[at].glued and atoms[at + 1].glued):
        return None
    return read_name(atoms, at + 1) if atoms[at].text in signs else None


def read_pair(atoms: Sequence[Atom], at: int, known: Vocabulary) -> tuple[Symbol, int] | None:
    """Return a symbol written as a pair, and where it ends."""
    first = read_name(atoms, at)
    if first is None:
        return None
    base, end = first
    second = _separated(atoms, end, "/-_")
    colon = _separated(atoms, end, ":")
    if second is None and colon is not None and colon[0].upper() in QUOTES:
        second = colon if _is_ticker(base, known) and colon[0].isupper() else None
    if second is None:
        return _joined_pair(atoms, base, end, known)
    sign = atoms[end].text
    quote, end = second
    if quote.upper() in _SWAP_SUFFIXES and _is_ticker(base, known):
        return Symbol(base.upper(), "crypto", swap=True), end
    if quote.upper() in _SWAP_SUFFIXES:
        joined = _split(base, known)
        return (_symbol(*joined, known, swap=True), end) if joined else None
    if not _is_pair(base, quote, sign, known):
        return None
    if (last := _separated(atoms, end, "-_")) and last[0].upper() in _SWAP_SUFFIXES:
        return _symbol(base, quote, known, swap=True), last[1]
    settle = _separated(atoms, end, ":")
    if settle is None:
        return _symbol(base, quote, known), end
    name, end = settle
    expiry = _expiry(atoms, end)
    if expiry:
        name, end = f"{name}-{expiry}", end + 2
    return _symbol(base, quote, known, settle=name.upper(), swap=True), end


def _expiry(atoms: Sequence[Atom], at: int) -> str | None:
    if at + 1 >= len(atoms) or atoms[at].text != "-" or not atoms[at + 1].glued:
        return None
    digits = atoms[at + 1].text
    return digits if digits.isdigit() and len(digits) == 6 else None


def _joined_pair(
    atoms: Sequence[Atom], name: str, end: int, known: Vocabulary
) -> tuple[Symbol, int] | None:
    """Read `BTCUSDT`, `BTCUSDT.P` and `BTCPERP`."""
    suffix = _separated(atoms, end, ".")
    swap = suffix is not None and suffix[0].upper() == "P"
    bare = name[:-4] if name.upper().endswith("PERP") else name
    if bare != name and bare.upper() in known.assets.by_ticker:
        return Symbol(bare.upper(), "crypto", swap=True), end
    parts = _split(bare, known)
    if parts is None:
        return None
    after = suffix[1] if swap and suffix else end
    return _symbol(*parts, known, swap=swap or bare != name), after


def _split(name: str, known: Vocabulary) -> tuple[str, str] | None:
    upper = name.upper()
    if upper in known.assets.by_ticker or name.lower() in known.lexicon.words:
        return None
    parts = [(upper.removesuffix(quote), quote) for quote in QUOTES if upper.endswith(quote)]
    parts = [(base, quote) for base, quote in parts if len(base) > 1]
    for base, quote in parts:
        shown = base if name.isupper() else base.lower()
        if _ticker_of(shown, known) in known.assets.by_ticker:
            return base, quote
    new = ((base, quote) for base, quote in parts if quote in STABLE_QUOTES and name.isupper())
    return next(new, None)


def _is_pair(base: str, quote: str, sign: str, known: Vocabulary) -> bool:
    has_quote = quote.upper() in QUOTES
    if sign == "/" and has_quote and base.upper() in QUOTES and base.upper() != quote.upper():
        return True  # `USDT/USD`
    if sign == "/":
        shown = base.isupper() and quote.isupper() and quote.isalpha() and len(base) > 1
        is_known = _is_coin(base, known) and _is_coin(quote, known)
        new = base.lower() not in known.lexicon.words
        return (has_quote and (new or _is_ticker(base, known))) or (shown and new) or is_known
    if has_quote:
        return _is_ticker(base, known) or (base.isupper() and quote.isupper())
    capitals = base.isupper() and quote.isupper()
    return capitals and _is_coin(base, known) and _is_coin(quote, known)


def _ticker_of(name: str, known: Vocabulary) -> str:
    """Return the ticker of what is in a pair: `XBT`, in capitals, is a name of BTC."""
    upper = name.upper()
    if upper in known.assets.by_ticker or name != upper:
        return upper
    return known.assets.by_name.get(name.lower(), upper)


def _is_ticker(name: str, known: Vocabulary) -> bool:
    asset = known.assets.by_ticker.get(_ticker_of(name, known))
    return asset is not None and (not asset.is_word or name.isupper())


def _is_coin(name: str, known: Vocabulary) -> bool:
    ticker = _ticker_of(name, known)
    return _is_ticker(name, known) and known.assets.by_ticker[ticker].kind == "crypto"


def _symbol(
    base: str, quote: str, known: Vocabulary, *, settle: str | None = None, swap: bool = False
) -> Symbol:
    base = _ticker_of(base, known)
    asset = known.assets.by_ticker.get(base)
    listed = asset is not None
    if asset is not None and asset.kind == "stock" and quote.upper() == "USD":
        return Symbol(base, "stock")
    quote = quote.upper() if quote.upper() in QUOTES else _ticker_of(quote, known)
    return Symbol(base, "crypto", quote, settle, swap, listed)


def unified(symbol: Symbol, *, quote: str, swap: bool) -> str:
    """Return the unified symbol, with the quote and the market where its mention named none."""
    if symbol.kind == "stock" and symbol.quote is None:
        return symbol.base
    pair = f"{symbol.base}/{symbol.quote or quote}"
    if symbol.settle:
        return f"{pair}:{symbol.settle}"
    if symbol.swap or swap:
        inverse = (symbol.quote or quote) == "USD"
        return f"{pair}:{symbol.base if inverse else symbol.quote or quote}"
    return pair
