"""Properties of the language that hold for any text."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bond_core.errors import RequestError
from bond_core.spec.read import read_spec
from bond_server.language.compile import Understanding, understand
from bond_server.language.explain import as_json, render
from bond_server.language.normalise import normalise
from bond_server.language.pace import UNFIT_WINDOW
from bond_server.language.problem_text import render_error
from bond_server.language.vocabulary import bundled

VOCABULARY = bundled()

_SAID = (
    "BTC ETH SOL AAPL TSLA FOO/USDT BTC/USDT btcusdt ETH-PERP $NVDA bitcoin solana's link LINK "
    "price volume trades vwap bid ask tweets news trends liquidations on-chain transfers blocks "
    "order_book funding open_interest spread candles bars tick ticks market data perp "
    "every each per 5s 1m 500ms 30 minutes seconds hour half a twice once times @1s /30s 1m30s "
    "on from binance okx kraken alpaca binanse @saylor #ETF 'halving' containing about "
    "without except all exchanges but only when alert me if above below drops > < 70k $2,500 5% "
    "average max over the last for next replay ago top 10 levels depth raw 1M 100 + , and or & ; "
    "in EUR usd between x X \u0412\u0422\u0421 pirce evry wss://feeds.example.com/v1 "
    "wss://10.0.0.1 buy reddit moves more than hits at most rolling daily is it please not no with "
    "skip hide unless besides never both either inverse negative turns whale gap csv duration "
    "close high low just nothing else closes chart H4 fallback percentile imbalance order best "
    "€60k £5 "
    "quote book depth spot vs compare since until first once every block us ETF mentions count "
    "yesterday 65,000, 1/2 #SOL BTC/ETH/SOL traded updates a second hourly records in 0.01% -5s"
)
_WORDS = _SAID.split()

soups = st.lists(st.sampled_from(_WORDS), min_size=1, max_size=18).map(" ".join)
mixed = st.lists(
    st.one_of(st.sampled_from(_WORDS), st.text(max_size=6)), min_size=1, max_size=14
).map("".join)
texts = st.one_of(soups, mixed, st.text(max_size=600))


def attempt(text: str) -> Understanding | RequestError:
    """Return what a sentence means, or the error that it gets."""
    try:
        return understand(text, VOCABULARY)
    except RequestError as error:
        return error


@settings(max_examples=600, derandomize=True)
@given(texts)
def test_any_text_is_understood_or_refused_with_a_fix_that_is_understood(text):
    """Nothing but RequestError is ever raised, and what its fix says works when it is pasted."""
    found = attempt(text)
    if isinstance(found, RequestError):
        assert found.code
        assert found.problems
        assert found.fix is not None
        understand(found.fix, VOCABULARY)
        assert render_error(found, text).startswith(f"error[{found.code}]")


@settings(max_examples=600, derandomize=True)
@given(texts)
def test_spans_point_into_the_sentence_as_it_was_given(text):
    """Every token, problem and correction says where it stands in the original."""
    found = attempt(text)
    if isinstance(found, RequestError):
        for problem in found.problems:
            if problem.span is not None:
                assert problem.text == text[slice(*problem.span)] != ""
        return
    end = 0
    for token in found.tokens:
        assert end <= token.span[0] < token.span[1] <= len(text)
        assert token.text == text[slice(*token.span)]
        end = token.span[1]
    for correction in found.corrected:
        written = normalise(text[slice(*correction.span)]).text
        assert written.lower() == correction.written


@settings(max_examples=1500, derandomize=True)
@given(st.one_of(soups, mixed))
def test_the_canonical_sentence_means_the_same(text):
    """What the canonical sentence says is the spec that it was written from."""
    found = attempt(text)
    if isinstance(found, RequestError):
        return
    again = understand(found.sentence, VOCABULARY)
    assert again.spec == found.spec
    assert again.sentence == found.sentence
    assert not again.corrected


@settings(max_examples=600, derandomize=True)
@given(soups)
def test_the_spec_is_one_that_the_server_takes(text):
    """A compiled spec reads as a stream, where no warning says that its window is no multiple."""
    found = attempt(text)
    if isinstance(found, RequestError):
        return
    counted = [t for t in found.spec.get("timeframes", ()) if t.endswith(("ticks", "vol"))]
    if not counted and UNFIT_WINDOW not in {w.code for w in found.warnings}:
        read_spec(found.spec)


@settings(max_examples=300, derandomize=True)
@given(soups)
def test_an_explanation_of_anything_can_be_shown(text):
    """Whatever is understood can be explained, to people and to programs."""
    found = attempt(text)
    if isinstance(found, RequestError):
        return
    assert found.sentence in render(found)
    assert as_json(found)["spec"] == found.spec


@settings(max_examples=1000, derandomize=True)
@given(st.text(max_size=200))
def test_folding_twice_is_folding_once(text):
    """Folding is idempotent, and keeps a place in the original for every character."""
    folded = normalise(text)
    assert normalise(folded.text).text == folded.text
    assert len(folded.begins) == len(folded.ends) == len(folded.text)
    assert all(0 <= a < b <= len(text) for a, b in zip(folded.begins, folded.ends, strict=True))
