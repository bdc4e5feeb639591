"""Whatever a sentence becomes stands in it, or is told as what was assumed."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from bond_core.errors import RequestError
from bond_server.language.compile import understand
from bond_server.language.durations import written
from bond_server.language.grounding import ground
from bond_server.language.normalise import normalise
from bond_server.language.vocabulary import bundled
from tests.language.test_understanding_anything import _WORDS

VOCABULARY = bundled()
ASSETS = VOCABULARY.assets

_MORE = (
    "GALA gold silver oil apple robinhood coinbase gate gas one near min max top 24h 2.5m 70k 0x10 "
    "1000PEPE @bond \"BTC\" [BTC] BTC's per cross above goes below funding rate futures every min "
    "$BTC #ETH ETHBTC btc-eur XBT in pounds yen rn it perp's BTCUSDT.P BTC/USD:BTC-261225 is the"
)  # fmt: skip
soups = st.lists(st.sampled_from([*_WORDS, *_MORE.split()]), min_size=1, max_size=16).map(" ".join)
glued = st.lists(
    st.tuples(st.sampled_from([*_WORDS, *_MORE.split()]), st.sampled_from(("", *" -/,"))),
    min_size=1, max_size=10,
).map(lambda pairs: "".join(word + sign for word, sign in pairs))  # fmt: skip


def names_of(base):
    """All that an asset may be called."""
    ticker = base.lower()
    return [ticker, *(name for name, each in ASSETS.by_name.items() if each == base)]


def says(text, name):
    """Whether a text has this name, in one word or in parts, as `gate.io` and `on-chain`."""
    return re.sub(r"[^\w]|_", "", name) in re.sub(r"[^\w]|_", "", text)


@settings(max_examples=2500)
@given(st.one_of(soups, glued))
def test_symbols_exchanges_and_numbers_are_in_the_text(text):
    """Each asset by its ticker or a name, each exchange by one of its names; or it is told."""
    try:
        found = understand(text, VOCABULARY)
    except RequestError:
        return
    said = normalise(text).text.lower()
    said += " ".join(c.meant for c in found.corrected)
    for symbol in found.spec["symbols"]:
        base = symbol.partition("/")[0]
        assert any(says(said, name) for name in names_of(base)), symbol
    for source in found.spec["sources"]:
        for venue in (*source.get("exchanges", ()), *source.get("exclude_exchanges", ())):
            names = [name for name, each in VOCABULARY.venues.items() if each == venue]
            assert any(says(said, name) for name in (venue, *names)), venue
        for account in source.get("accounts", ()):
            assert account.lower() in said
        assert source.get("url", "") in text
    told = " ".join([*found.assumed, *(w.detail for w in found.warnings)])
    for strange in ground(found.sentence, text, VOCABULARY).strange:
        assert strange in told or "://" in strange, (strange, text, found.sentence)


@settings(max_examples=1000)
@given(soups)
def test_what_nobody_said_is_told(text):
    """An interval that no word gives, a quote, a market: among what is assumed."""
    try:
        found = understand(text, VOCABULARY)
    except RequestError:
        return
    keys = {phrase.partition("=")[0] for phrase in found.assumed}
    roles = {token.role for token in found.tokens}
    interval = found.spec.get("interval_sec")
    if interval is not None and "interval" not in roles:
        assert {"interval", "timeframe"} & keys, written(interval)
    if any(s.endswith("/USDT") for s in found.spec["symbols"]) and "usdt" not in text.lower():
        assert "quote" in keys or "tether" in text.lower()
