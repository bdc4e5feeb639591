"""A record as the JSON object that clients get."""

from __future__ import annotations

import json

from bond_core.log.offset import Offset
from bond_core.model.record import Notice, Record, SourceReport
from bond_core.wire.codec import encode_record, record_as_json

NS = 1_000_000_000
END_NS = 1_761_053_405 * NS


def a_record(**changes):
    """Return a record of one window of five seconds, but for `changes`."""
    plain = {
        "symbol": "BTC/USDT",
        "timeframe_ns": 5 * NS,
        "window_start_ns": END_NS - 5 * NS,
        "window_end_ns": END_NS,
        "values": {"price_avg": 68123.5, "volume_sum": 134.2, "trades": 15},
        "sources": {"binance": SourceReport(status="live", coverage=1.0, count=15, lag_ms=38)},
        "served": ("binance",),
    }
    return Record(**{**plain, **changes})


def as_json(record):
    """Return what a client parses."""
    data = encode_record(
        record, stream_id="8f2a1c9d4b3e7a10", offset=Offset(1761053405000, 0), timeframe="5s"
    )
    return json.loads(data)


def test_a_record_looks_as_promised():
    """The identity fields, the values, the sources' health and the notices, as documented."""
    assert as_json(a_record()) == {
        "id": "1761053405000-0", "stream_id": "8f2a1c9d4b3e7a10", "symbol": "BTC/USDT",
        "timeframe": "5s", "rev": 0, "partial": False, "ts": "2025-10-21T13:30:05Z",
        "window_start": "2025-10-21T13:30:00Z", "window_end": "2025-10-21T13:30:05Z",
        "price_avg": 68123.5, "volume_sum": 134.2, "trades": 15,
        "sources": {"binance": {
            "status": "live", "coverage": 1.0, "count": 15, "lag_ms": 38, "late": 0,
            "duplicates": 0, "gaps": 0, "rejected": 0,
        }},
        "notices": [], "raw_data": {"trades": 15, "sources": ["binance"]},
    }  # fmt: skip


def test_what_is_there_only_sometimes():
    """Reasons, simulation, scope, size units, skipped windows and notices are told if there are."""
    report = SourceReport(
        status="failed", coverage=0.0, count=None, reason="no key", simulated=True, scope="stream"
    )
    notice = Notice(code="gap", source="x", detail="a hole", from_ns=END_NS - NS, to_ns=END_NS)

    body = as_json(
        a_record(
            values={"tweets": None}, sources={"x": report}, served=(), size_unit="contracts",
            skipped=3, notices=[notice, Notice(code="alert", detail="so")], rev=2, partial=True,
        )
    )  # fmt: skip

    assert body["sources"]["x"]["reason"] == "no key"
    assert body["sources"]["x"]["simulated"] is True
    assert body["sources"]["x"]["scope"] == "stream"
    assert (body["size_unit"], body["skipped"], body["rev"], body["partial"]) == (
        "contracts", 3, 2, True,
    )  # fmt: skip
    assert body["tweets"] is None
    assert body["notices"] == [
        {"code": "gap", "source": "x", "detail": "a hole", "from": "2025-10-21T13:30:04Z",
         "to": "2025-10-21T13:30:05Z"},
        {"code": "alert", "source": None, "detail": "so", "from": None, "to": None},
    ]  # fmt: skip
    assert body["raw_data"] == {"sources": []}


def test_no_number_is_anything_but_finite():
    """What slipped through as NaN or infinite is written as unknown: the line stays JSON."""
    body = as_json(a_record(values={"a": float("nan"), "b": float("inf")}))

    assert (body["a"], body["b"]) == (None, None)


def test_equal_records_are_equal_bytes():
    """The order of keys is fixed, so a run that repeats gives the same bytes."""
    parts = {"stream_id": "s", "offset": Offset(1, 2), "timeframe": "5s"}

    assert encode_record(a_record(), **parts) == encode_record(a_record(), **parts)
    assert json.loads(encode_record(a_record(), **parts)) == record_as_json(a_record(), **parts)
