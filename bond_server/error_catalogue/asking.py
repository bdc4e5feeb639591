"""Errors of what was asked: a sentence, a spec, or a query that makes no sense here."""

from __future__ import annotations

from bond_server.error_catalogue.entry import Entry

_SPEC = '{"sources": [{"type": "ccxt"}], "symbols": ["BTC/USDT"], "interval_sec": 5}'

ENTRIES = (
    Entry(
        code="ambiguous_field", status=422,
        cause="A word may be several fields: the imbalance of the order book, or of trades.",
        remedy="Take one of those that the error names.",
        fix="BTC order book imbalance every 1s",
    ),
    Entry(
        code="ambiguous_symbol", status=422,
        cause="A symbol may be one of several things, such as a coin and a share.",
        remedy="Write the pair, or $ before a share.",
        fix="BTC/USDT price every 5s",
    ),
    Entry(
        code="ambiguous_unit", status=422,
        cause="A unit of time may be read in two ways: `M` is a minute to some, a month to others.",
        remedy="Write min or months.",
        fix="BTC price every 5 min",
    ),
    Entry(
        code="bad_from", status=422, close=1008,
        cause="`from`, `after` or `Last-Event-ID` is no time and no record's id.",
        remedy="`from` takes now-60s, ISO 8601 or epoch ms; `after` takes an id or a ts.",
        fix="from=now-60s",
    ),
    Entry(
        code="bad_query", status=422, close=1008,
        cause="The query of a listener's address has a name that nothing reads, such as `afer`.",
        remedy="Write one of those that `errors` says, or leave it out.",
        fix="from=now-60s",
    ),
    Entry(
        code="bad_slow", close=1008,
        cause="`slow` in a WebSocket's address is neither disconnect nor conflate.",
        remedy="Leave it out, or write one of the two.",
        fix="slow=conflate",
    ),
    Entry(
        code="conflicting_interval", status=422,
        cause="A sentence asks for two intervals, and not which is for what.",
        remedy="Keep one of them.",
        fix="BTC price every 5s",
    ),
    Entry(
        code="empty", status=422,
        cause="There is no word in the sentence.",
        remedy="Say what you want to hear.",
        fix="BTC price every 5s",
    ),
    Entry(
        code="forbidden_url", status=422,
        cause="A URL leads where the server may not go: a private network, a port, a scheme.",
        remedy="Use a public https address, or let its operator allow it.",
        fix="BOND_EGRESS_PRIVATE=1",
    ),
    Entry(
        code="interval_out_of_range", status=422,
        cause="An interval is shorter than 0.1 s or longer than a day.",
        remedy="Choose one between.",
        fix="BTC price every 1s",
    ),
    Entry(
        code="invalid_request", status=422,
        cause="A request has an unknown key, or a value of the wrong kind.",
        remedy="`errors` has a pointer to each; GET /schema describes every request.",
        fix='{"natural_language": "BTC price + volume every 1s"}',
    ),
    Entry(
        code="invalid_spec", status=422,
        cause="A spec has an unknown key, a wrong value, or two that contradict each other.",
        remedy="`errors` has a pointer to each; `bond lint FILE` shows the lines.",
        fix=_SPEC,
    ),
    Entry(
        code="missing_number", status=422,
        cause="A time or a threshold has a unit and no number.",
        remedy="Say how many.",
        fix="BTC price every 5 minutes",
    ),
    Entry(
        code="missing_symbol", status=422,
        cause="Nothing in the sentence says what it is about.",
        remedy="Name a symbol.",
        fix="BTC price every 5s",
    ),
    Entry(
        code="missing_unit", status=422,
        cause="A time has a number and no unit.",
        remedy="Say seconds, minutes or hours.",
        fix="BTC price every 5s",
    ),
    Entry(
        code="missing_url", status=422,
        cause="A source of one's own is asked for, and not where it is.",
        remedy="Add its address, which begins with wss:// or https://.",
    ),
    Entry(
        code="not_understood", status=422,
        cause="A word has no meaning here; none is left out silently.",
        remedy="Leave it out, or use one of those suggested; `bond explain` shows each word.",
        fix="BTC price every 5s",
    ),
    Entry(
        code="out_of_scope", status=422,
        cause="Bond listens to markets. It does not trade, and gives no advice.",
        remedy="Ask for data, or for an alert.",
        fix="alert me when BTC drops below 60k",
    ),
    Entry(
        code="too_long", status=422,
        cause="A sentence has more than 500 characters.",
        remedy="Split it, or write a spec.",
        fix="BTC price every 5s",
    ),
    Entry(
        code="too_many_sources", status=422,
        cause="A stream has at most 8 sources.",
        remedy="Ask for two streams.",
        fix="BTC price + tweets every 5s",
    ),
    Entry(
        code="unknown_exchange", status=422,
        cause="No installed connector knows this venue.",
        remedy="Use one of those suggested; GET /v1/sources lists all.",
        fix="BTC price on binance every 5s",
    ),
    Entry(
        code="unknown_field", status=422,
        cause="No source of the stream brings this field, and nothing computes it.",
        remedy="Use one of those suggested; docs/records.md lists all.",
        fix="BTC vwap every 5s",
    ),
    Entry(
        code="unknown_sink", status=422,
        cause="No installed plugin provides this kind of sink.",
        remedy="Install it, or use one that `bond plugins list` shows.",
        fix="bond plugins list",
    ),
    Entry(
        code="unknown_source", status=422,
        cause="No installed plugin provides this type of source.",
        remedy="Use one of those suggested; GET /v1/sources lists all.",
        fix="BTC price + tweets every 5s",
    ),
    Entry(
        code="unknown_symbol", status=422,
        cause="Nothing of this name is known; symbols are never guessed.",
        remedy="Use one of those suggested, or write the pair in full.",
        fix="BTC/USDT price every 5s",
    ),
    Entry(
        code="unknown_unit", status=422,
        cause="The word after a number is no unit of time.",
        remedy="Say seconds, minutes or hours.",
        fix="BTC price every 5s",
    ),
    Entry(
        code="unsupported", status=422,
        cause="It is understood, and this version can't do it.",
        remedy="Leave it out; `errors` says which part.",
        fix="BTC price every 5s",
    ),
)  # fmt: skip
