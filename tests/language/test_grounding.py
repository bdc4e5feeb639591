"""What a language model may say of somebody's text: what is in it, and nothing more."""

import pytest

from bond_server.language.grounding import ground
from bond_server.language.prompt import instructions, question
from bond_server.language.vocabulary import bundled

VOCABULARY = bundled()

GROUNDED = [
    # text, sentence
    ("whats poppin w/ bitcoin, tick me each 5 sec", "BTC price every 5s"),
    ("whats poppin w/ bitcoin, tick me each 5 sec", "BTC/USDT price every 5s"),
    ("holler once ether sinks under 2.5k", "ETH price, alert me when price drops below 2500"),
    ("gimme dat sol on okx twice a minute homie", "SOL price on okx every 30s"),
    ("alle 5 Sekunden der Kurs von Bitcoin", "BTC price every 5s"),
    ("bitcoin gegen euro", "BTC/EUR price"),
    ("wat is saylor yapping about re bitcoin", "BTC tweets from @saylor"),
    ("who yaps about halving n bitcoin", 'BTC tweets containing "halving"'),
    ("flumph solana transfers", "transfers on SOL"),
]

STRANGE = [
    # text, sentence, what the text doesn't say
    ("whats poppin w/ bitcoin", "ETH price", "ETH"),
    ("whats poppin w/ bitcoin", "BTC, ETH price", "ETH"),
    ("whats poppin w/ bitcoin", "BTC price on binance", "binance"),
    ("whats poppin w/ bitcoin", "BTC price except binance", "binance"),
    ("whats poppin w/ bitcoin", "BTC price every 1s", "1s"),
    ("flumph bitcoin at 70 grand", "BTC price only when price > 70000", "70000"),
    ("whats poppin w/ bitcoin", "BTC/EUR price", "EUR"),
    ("whats poppin w/ BCT", "BTC price", "BTC"),
    ("wat is elon yapping about re bitcoin", "BTC tweets from @elonmusk", "elonmusk"),
    ("who yaps about bitcoin", 'BTC tweets containing "halving"', "halving"),
    ("whats poppin w/ bitcoin", "BTC top 20 levels orderbook", "20"),
    ("link price to the moon", "LINK price", "LINK"),
    ("whats poppin w/ bitcoin", "BTC price + custom websocket wss://feeds.example.com/v1",
     "wss://feeds.example.com/v1"),
    ("wss://feeds.example.com/v1 yo bitcoin",
     "BTC price + custom websocket wss://feeds.example.com/v1", "wss://feeds.example.com/v1"),
    ("flumph bitcoin 5", "BTC price from alpaca every 5s", "alpaca"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "sentence"), GROUNDED)
def test_a_sentence_may_say_what_the_text_does(text, sentence):
    """In other words, other units and with the quote that is everybody's default."""
    assert ground(sentence, text, VOCABULARY).strange == ()


@pytest.mark.parametrize(("text", "sentence", "strange"), STRANGE)
def test_what_the_text_does_not_say_is_found(text, sentence, strange):
    """A symbol, an exchange, a number, a time, an account, a phrase, any address."""
    assert strange in ground(sentence, text, VOCABULARY).strange


def test_what_is_decided_without_the_text_is_told():
    """The quote, words for what is wanted, and all of the text that the sentence leaves out."""
    found = ground("BTC/USDT price", "wat do bitcoin n ether on kraken, 5 sec, @saylor", VOCABULARY)

    assert found.assumed == ("quote=USDT",)
    assert found.interpreted == ("price",)
    assert found.left_out == ("ether", "kraken", "5 sec", "@saylor")


def test_nothing_is_left_out_that_is_said_otherwise():
    """Numbers with another unit, names for tickers, and what the quote is."""
    text = "flumph bitcoin in euros twice a minute above 70k"
    found = ground("BTC/EUR price every 30s only when price > 70000", text, VOCABULARY)

    assert (found.strange, found.left_out) == ((), ())


def test_the_model_is_told_public_words_and_the_text_as_json():
    """A quote in the text doesn't end it."""
    told = instructions(VOCABULARY)

    assert "orderbook" in told
    assert "binance" in told
    assert question('say "hi"') == 'Rewrite this text, and answer as JSON: "say \\"hi\\""'
