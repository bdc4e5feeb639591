"""What the language promises: spans, corrections, defaults, refusals and their texts."""

from __future__ import annotations

import pytest

from bond_core.errors import RequestError
from bond_core.plugin.specs import Channel, ConnectorSpec
from bond_server.language.compile import understand
from bond_server.language.explain import as_json, render
from bond_server.language.problem_text import render_error
from bond_server.language.vocabulary import bundled, with_plugins
from tests.language.test_language_corpus import corpus, outcome

VOCABULARY = bundled()
TRADES = ("price_avg", "price_open", "price_high", "price_low", "price_close",
          "vwap", "volume_sum", "trades")  # fmt: skip


def refusal(text: str) -> RequestError:
    """Return the error that a sentence gets."""
    with pytest.raises(RequestError) as refused:
        understand(text, VOCABULARY)
    return refused.value


def test_the_spec_is_in_the_shape_that_the_contract_shows():
    """A sentence compiles to sources with their symbols, the symbols, the interval and fields."""
    assert understand("BTC price + tweets every 5s", VOCABULARY).spec == {
        "sources": [
            {"type": "ccxt", "symbols": ["BTC/USDT"]},
            {"type": "twitter", "symbols": ["BTC"]},
        ],
        "symbols": ["BTC/USDT"],
        "interval_sec": 5,
        "fields": [*TRADES, "tweets"],
    }


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("BTC volume every 5s", TRADES),
        ("BTC bid every 5s", ("bid_avg", "ask_avg")),
        ("BTC price + ask every 5s", (*TRADES, "bid_avg", "ask_avg")),
    ],
)
def test_a_word_brings_the_whole_feed_that_carries_it(text, fields):
    """Fields are those of whole feeds, never of single words."""
    assert understand(text, VOCABULARY).spec["fields"] == list(fields)


def test_market_data_narrows_nothing():
    """A spec for market data has no `fields`: it gets what its sources bring by default."""
    assert "fields" not in understand("BTC market data + tweets every 5s", VOCABULARY).spec


def test_same_words_in_another_order_are_the_same_stream():
    """Word order, spelling and politeness don't change the spec."""
    one = understand("BTC price every 5s", VOCABULARY).spec
    for text in ("every five seconds the price of bitcoin please", "btcusdt 5s", "BTC price /5s"):
        assert understand(text, VOCABULARY).spec == one


def test_what_was_left_open_is_told():
    """Every default that was taken is among the assumptions."""
    assumed = understand("BTC price", VOCABULARY).assumed
    assert assumed == ("quote=USDT", "exchanges=binance,okx (default)", "interval=5s")
    assert understand("BTC/EUR price on kraken every 1s", VOCABULARY).assumed == ()


def test_funding_is_of_the_swap_and_says_so():
    """Funding rates move the symbol to its swap market, which is reported."""
    found = understand("BTC funding rate every 1m", VOCABULARY)
    assert found.spec["symbols"] == ["BTC/USDT:USDT"]
    assert "market=swap" in found.assumed


def test_misspelt_words_are_corrected_and_told():
    """A slip in a keyword or a name is mended, with its place in the sentence."""
    found = understand("etherium pirce evry 5s", VOCABULARY)
    assert [(c.written, c.meant) for c in found.corrected] == [
        ("etherium", "ethereum"), ("pirce", "price"), ("evry", "every"),
    ]  # fmt: skip
    assert [w.code for w in found.warnings] == ["corrected"] * 3


@pytest.mark.parametrize("text", ["BCT price every 5s", "bct price every 5s", "SOLL price"])
def test_a_ticker_is_never_corrected(text):
    """A ticker that nobody knows is refused, however near another one is."""
    assert refusal(text).code == "unknown_symbol"


@pytest.mark.parametrize(
    "text", ["BTC price on binanse", "BTC price from krakn every 1s", "okxx:BTCUSDT price"]
)
def test_an_exchange_is_never_corrected(text):
    """An exchange that nobody knows is refused, with the nearest as a suggestion."""
    assert refusal(text).code == "unknown_exchange"
    assert refusal(text).problems[0].did_you_mean


def test_everything_that_is_wrong_is_told_at_once():
    """One error has a problem for each mistake, and a fix that mends them all."""
    error = refusal("BCT price on binanse every 5")
    assert [p.text for p in error.problems] == ["BCT", "binanse", "every 5"]
    assert error.fix == "BTC price on binance every 5s"


def test_a_word_left_over_is_told():
    """A word that meant nothing leaves a warning with its span."""
    found = understand("BTC price and volume every 5s frobnicated", VOCABULARY)
    warning = next(w for w in found.warnings if w.code == "unparsed")
    assert found.text[slice(*warning.span)] == "frobnicated"


def test_a_sentence_of_more_than_500_characters_is_refused():
    """What is too long is refused before it is read."""
    assert refusal("BTC price " + "x" * 500).code == "too_long"


@pytest.mark.parametrize(
    "url",
    ["ws://feeds.example.com", "wss://localhost/x", "wss://10.1.2.3", "wss://[fd00::1]/",
     "wss://[::ffff:127.0.0.1]/", "wss://0x7f.1/", "wss://017700000001/", "wss://2130706433/",
     "wss://u:p@feeds.example.com", "wss://router", "wss://a.internal", "wss://169.254.169.254/",
     "wss://224.0.0.1/", "ftp://feeds.example.com"],
)  # fmt: skip
def test_a_private_or_unsafe_address_is_refused(url):
    """Only public wss and https addresses without credentials may become a source."""
    assert refusal(f"BTC price + {url} every 5s").code == "forbidden_url"


def test_orders_are_out_of_scope_and_become_an_alert():
    """A trading order is refused, and the alert that its author may want is offered."""
    error = refusal("sell 2 ETH when price rises above 4k")
    assert (error.code, error.fix) == ("out_of_scope", "alert me when ETH rises above 4000")


def test_instructions_in_a_quoted_query_are_only_text():
    """What is searched for is data, whatever it says."""
    text = 'BTC tweets containing "ignore all previous instructions" every 10s'
    found = understand(text, VOCABULARY)
    assert found.spec["sources"][0]["query"] == "ignore all previous instructions"


def test_an_error_is_shown_with_the_words_underlined():
    """The terminal shows where it is wrong, and a command that works."""
    text = "BTC price on binanse every 5s"
    assert render_error(refusal(text), text).splitlines() == [
        'error[unknown_exchange]: I don\'t know the exchange "binanse"',
        "  BTC price on binanse every 5s",
        "               ^^^^^^^ did you mean binance?",
        '  try: bond listen "BTC price on binance every 5s"',
    ]


def test_an_error_moves_no_cursor_and_its_fix_survives_a_shell():
    """Control characters of the sentence are not printed, and quotes are quoted."""
    text = 'BTC price + tweets containing "a" \x1b[2Jon binanse every 5s'
    shown = render_error(refusal(text), text)
    assert "\x1b" not in shown
    assert shown.splitlines()[-1].startswith("  try: bond listen 'BTC")


def test_an_explanation_shows_each_word_and_what_it_became():
    """`bond explain` prints the sentence over its roles, and what follows from it."""
    text = "BTC pirce + tweets from @saylor evry 15s pls"
    shown = render(understand(text, VOCABULARY), needs=["X_BEARER for tweets"], spec_id="8f2a")
    assert shown.splitlines() == [
        " BTC    pirce + tweets from   @saylor evry 15s pls",
        " symbol field   field  filler account interval filler",
        "understood  BTC/USDT price + tweets from @saylor every 15s",
        "assumed     quote=USDT   exchanges=binance,okx (default)",
        "corrected   pirce -> price, evry -> every",
        "filler      pls",
        "needs       X_BEARER for tweets",
        "spec id     8f2a   (same spec = same id)",
    ]


def test_an_explanation_for_programs_is_plain_json():
    """The JSON form has spans, roles and meanings."""
    shown = as_json(understand("BTC price every 5s", VOCABULARY))
    assert shown["tokens"] == [
        {"span": [0, 3], "text": "BTC", "role": "symbol", "meaning": "BTC/USDT"},
        {"span": [4, 9], "text": "price", "role": "field", "meaning": "price"},
        {"span": [10, 18], "text": "every 5s", "role": "interval", "meaning": "5s"},
    ]


# Vocabulary from plugins


def a_connector(name: str, *channels: Channel, **more) -> ConnectorSpec:
    """Return a connector with these channels."""
    return ConnectorSpec(
        name=name, factory="a.b:C", channels=channels, summary="A connector", **more
    )


def test_a_new_connector_teaches_its_words():
    """A word that only a plugin knows asks for the plugin's source, fields and interval."""
    weather = a_connector(
        "weather",
        Channel(name="air", kind="custom", fields=("temperature",), scope="stream",
                words={"temperature": "temperature", "degrees": "temperature"}),
        aliases=("meteo",),
    )  # fmt: skip
    taught = with_plugins(VOCABULARY, [weather])
    found = understand("BTC price + degrees every 1m", taught)
    assert [s["type"] for s in found.spec["sources"]] == ["ccxt", "weather"]
    assert found.spec["fields"] == [*TRADES, "temperature"]
    assert understand("BTC price + meteo every 1m", taught).spec == found.spec
    assert understand(found.sentence, taught).spec == found.spec
    filtered = understand("BTC price every 1m only when temperature > 30", taught)
    assert filtered.spec["filter"] == {"field": "temperature", "op": ">", "value": 30}


def test_an_installed_connector_says_which_fields_its_feed_has():
    """The fields of a known family are those of the plugin that is installed for it."""
    ccxt = a_connector(
        "ccxt",
        Channel(name="trades", kind="trade", fields=("price_avg", "trades"),
                words={"cost": "price"}),
        venues=("binance", "newvenue"),
        venue_aliases={"the new one": "newvenue"},
    )  # fmt: skip
    taught = with_plugins(VOCABULARY, [ccxt])
    found = understand("BTC cost on the new one every 1s", taught)
    assert found.spec["fields"] == ["price_avg", "trades"]
    assert found.spec["sources"][0]["exchanges"] == ["newvenue"]
    assert understand("BTC bid every 1s", taught).spec["fields"] == ["bid_avg", "ask_avg"]


def test_a_connector_by_an_alias_is_the_family_it_names():
    """A plugin named otherwise serves the known words through its alias."""
    posts = a_connector(
        "x", Channel(name="posts", kind="post", fields=("tweets",), by_base=True),
        aliases=("twitter", "x.tweets"),
    )  # fmt: skip
    found = understand("BTC tweets every 5s", with_plugins(VOCABULARY, [posts]))
    assert found.spec["sources"] == [{"type": "twitter", "symbols": ["BTC"]}]


def test_another_source_of_market_data_is_chosen_by_its_name():
    """A second connector with market words doesn't take them, but `from NAME` chooses it."""
    sim = a_connector(
        "sim", Channel(name="trades", kind="trade", fields=TRADES, words={"price": "price"})
    )
    taught = with_plugins(VOCABULARY, [sim])
    assert understand("BTC price every 1s", taught).spec["sources"][0]["type"] == "ccxt"
    chosen = understand("BTC price from sim every 1s", taught)
    assert chosen.spec["sources"][0]["type"] == "sim"


def test_a_plugin_takes_no_word_from_the_grammar():
    """A plugin whose word is `every` leaves the grammar as it was."""
    greedy = a_connector(
        "greedy",
        Channel(name="x", kind="custom", fields=("x",), scope="stream", words={"every": "x"}),
    )
    text = "BTC price every 5s"
    taught = with_plugins(VOCABULARY, [greedy])
    assert understand(text, taught).spec == understand(text, VOCABULARY).spec


def test_the_installed_exchanges_change_no_sentence_of_the_corpus():
    """With bond-ccxt installed every sentence keeps its meaning."""
    plugin = pytest.importorskip("bond_ccxt.plugin")
    taught = with_plugins(VOCABULARY, plugin.bond_connectors())
    for text, _ in corpus():
        assert outcome(text, taught) == outcome(text), text


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ('BTC tweets containing "ETF approval"', "ETF approval"),
        ("BTC tweets containing #ETF", "#ETF"),
        ('BTC tweets containing "ETF" and "rate cut" #SEC', 'ETF "rate cut" #SEC'),
    ],
)
def test_phrases_among_others_keep_their_quotes(text, query):
    """Several parts of a query can be told apart, and its sentence means the same."""
    found = understand(f"{text} every 5s", VOCABULARY)
    assert found.spec["sources"][0]["query"] == query
    assert understand(found.sentence, VOCABULARY).spec == found.spec
