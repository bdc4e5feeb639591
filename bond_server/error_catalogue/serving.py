"""Errors of requests over HTTP, of streams and connections that end, and of the event log."""

from __future__ import annotations

from bond_server.error_catalogue.entry import Entry

_RESUME = "Connect again with `after` and the last id; the SDK does so by itself."
_EXAMPLE = '{"natural_language": "BTC price + volume every 1s"}'

ENTRIES = (
    Entry(
        code="contract_not_found", status=404,
        cause="TWS knows no contract of this number.",
        remedy="Look the contract's id up in TWS (its description), or at IBKR.",
        fix='curl -N "http://localhost:8000/stream/265598?tick_type=BidAsk&limit=100"',
    ),
    Entry(
        code="invalid_parameter", status=400,
        cause="A part of the address below `/stream` is not what it can be.",
        remedy="`error.message` says which, and what it may be.",
        fix='curl -N "http://localhost:8000/stream/265598?tick_type=BidAsk&limit=100"',
    ),
    Entry(
        code="market_data_unavailable", status=503, again=True,
        cause="TWS refuses data of this contract: most often for want of a subscription.",
        remedy="`error.message` has TWS's reason.",
        fix="bond errors market_data_unavailable",
    ),
    Entry(
        code="refused",
        cause="A route that a plugin added to the server refused the request.",
        remedy="Its `detail` says why.",
    ),
    Entry(
        code="stream_not_found", status=404,
        cause="What should be stopped is not streamed.",
        remedy="`GET /stream/active` lists what is.",
        fix="curl http://localhost:8000/stream/active",
    ),
    Entry(
        code="too_many_streams", status=429, again=True,
        cause="As many contracts and tick types are streamed as may be at once.",
        remedy="Stop one, or raise IB_STREAM_MAX_STREAMS. Clients of one contract count once.",
        fix="IB_STREAM_MAX_STREAMS=100",
    ),
    Entry(
        code="tws_limit", status=429, again=True,
        cause="TWS gives no more market data lines or tick-by-tick streams at once.",
        remedy="Stop one, or have more: `error.details` says how.",
        fix="curl http://localhost:8000/stream/active",
    ),
    Entry(
        code="tws_unavailable", status=503, again=True,
        cause="No TWS or IB Gateway answers.",
        remedy="Start it and log in; `error.details` says where it was looked for.",
        fix="IB_STREAM_PORTS=7497,7496,4002,4001",
    ),
    Entry(
        code="bad_request", status=400,
        cause="The request is malformed.",
        remedy="GET /schema describes every request.",
        fix="GET /schema",
    ),
    Entry(
        code="body_too_large", status=413,
        cause="The body is larger than 64 KiB.",
        remedy="Send less: a spec of 500 symbols needs 10 KiB.",
        fix=_EXAMPLE,
    ),
    Entry(
        code="bug", again=False,
        cause="The stream failed by a mistake in Bond or a plugin.",
        remedy="Its log says where; please report it.",
    ),
    Entry(
        code="complete", close=1000,
        cause="The stream has come to its end (`duration_sec`).",
        remedy="Nothing: all was sent.",
    ),
    Entry(
        code="error", status=500,
        cause="Something failed that has no name of its own.",
        remedy="The server's log says what, under the request_id.",
    ),
    Entry(
        code="fenced", status=409,
        cause="Another worker owns the stream now.",
        remedy="Nothing: that one goes on.",
    ),
    Entry(
        code="gone", close=1006,
        cause="The other side is away without a word.",
        remedy=_RESUME,
    ),
    Entry(
        code="internal", status=500, close=1011, again=True,
        cause="Something failed that nobody foresaw.",
        remedy="Try again later; the server's log says what, under the request_id.",
    ),
    Entry(
        code="log", status=500,
        cause="The event log did not take, or does not have, what was asked.",
        remedy="The server's log says why.",
    ),
    Entry(
        code="log_unavailable", status=503, again=True,
        cause="The event log (Redis) can't be reached.",
        remedy="Try again later; nothing is known to be lost.",
        fix="bond doctor",
    ),
    Entry(
        code="method_not_allowed", status=405,
        cause="The address is right, and does not take this method.",
        remedy="The header Allow says which it takes.",
        fix="GET /schema",
    ),
    Entry(
        code="not_found", status=404,
        cause="There is nothing at this address.",
        remedy="GET / says where things are.",
        fix="GET /",
    ),
    Entry(
        code="not_recorded", status=422,
        cause="The server plays a recording, which holds one stream, and this isn't it.",
        remedy="Ask for the stream that the error names, or start a server without a recording.",
        fix="bond serve",
    ),
    Entry(
        code="not_json", status=400,
        cause="The body is not JSON.",
        remedy="Send an object.",
        fix=_EXAMPLE,
    ),
    Entry(
        code="not_owner", status=503, again=True,
        cause="Another worker owns the stream just now.",
        remedy="Try again: the fleet settles within seconds.",
    ),
    Entry(
        code="request_timeout", status=408, again=True,
        cause="The body did not arrive in time.",
        remedy="Send it again, at once and whole.",
        fix=_EXAMPLE,
    ),
    Entry(
        code="restart", close=1012, again=True,
        cause="The server ends, or starts anew.",
        remedy=_RESUME,
    ),
    Entry(
        code="slow", close=4008, again=True,
        cause="The client reads slower than records come.",
        remedy="Connect again with `after`, or with slow=conflate, which skips and says so.",
        fix="slow=conflate",
    ),
    Entry(
        code="stream_deleted", close=4404,
        cause="The stream was deleted, or ended with its last client.",
        remedy="Create it again.",
        fix=_EXAMPLE,
    ),
    Entry(
        code="too_many_messages", close=1008,
        cause="A client sends messages; a stream only speaks.",
        remedy="Send none.",
    ),
    Entry(
        code="unavailable", close=1013, again=True,
        cause="The event log can't be reached, or the server has too much to do.",
        remedy=_RESUME,
    ),
    Entry(
        code="unknown_stream", status=404, close=4404,
        cause="There is no such stream, or it is somebody else's.",
        remedy="Use one of those that GET /v1/streams lists.",
        fix="GET /v1/streams",
    ),
    Entry(
        code="upgrade_required", status=426,
        cause="/ws speaks WebSocket, and was asked over plain HTTP.",
        remedy="Use a WebSocket client, or Server-Sent Events.",
        fix="GET /v1/streams/{stream_id}/events",
    ),
)  # fmt: skip
