"""Encode a record as the JSON object that clients get, once for all of them.

Numbers are finite JSON numbers, times ISO 8601 UTC. Field order is fixed, so equal records
are equal bytes.
"""

from __future__ import annotations

from typing import Any

import msgspec

from bond_core.log.offset import Offset
from bond_core.model.record import Notice, Record, Repaired, SourceReport
from bond_core.wire.times import iso

_encode = msgspec.json.Encoder().encode


def record_as_json(
    record: Record, *, stream_id: str, offset: Offset, timeframe: str
) -> dict[str, Any]:
    """Return the record as a JSON object. `timeframe` is its window's length as text (`5s`)."""
    body: dict[str, Any] = {
        "id": str(offset),
        "stream_id": stream_id,
        "symbol": record.symbol,
        "timeframe": timeframe,
        "rev": record.rev,
        "partial": record.partial,
        "ts": iso(record.window_end_ns),
        "window_start": iso(record.window_start_ns),
        "window_end": iso(record.window_end_ns),
        **record.values,
    }
    if record.bar is not None:
        body["bar"] = record.bar.number
    if record.size_unit is not None:
        body["size_unit"] = record.size_unit
    if record.filled:
        body["filled"] = True
    if not record.passes:
        body["passes"] = False
    if record.skipped:
        body["skipped"] = record.skipped
    body["sources"] = {name: _source(report) for name, report in record.sources.items()}
    body["notices"] = [notice_as_json(notice) for notice in record.notices]
    body["raw_data"] = {"sources": list(record.served)}
    if "trades" in record.values:
        body["raw_data"] = {"trades": record.values["trades"], **body["raw_data"]}
    if any(report.repaired for report in record.sources.values()):
        body["raw_data"]["repaired"] = {
            name: [_repaired(repaired) for repaired in report.repaired]
            for name, report in record.sources.items()
            if report.repaired
        }
    return body


def encode_record(record: Record, *, stream_id: str, offset: Offset, timeframe: str) -> bytes:
    """Return the record as UTF-8 JSON."""
    return _encode(record_as_json(record, stream_id=stream_id, offset=offset, timeframe=timeframe))


def _source(report: SourceReport) -> dict[str, Any]:
    body: dict[str, Any] = {"status": report.status}
    if report.reason is not None:
        body["reason"] = report.reason
    if report.simulated:
        body["simulated"] = True
    if report.scope == "stream":
        body["scope"] = "stream"
    body |= {
        "coverage": report.coverage,
        "count": report.count,
        "lag_ms": report.lag_ms,
        "late": report.late,
        "duplicates": report.duplicates,
        "gaps": report.gaps,
        "rejected": report.rejected,
    }
    return body


def _repaired(repaired: Repaired) -> dict[str, Any]:
    return {
        "from": iso(repaired.from_ns),
        "until": iso(repaired.until_ns),
        "events": repaired.events,
        "complete": repaired.missing is None,
    }


def notice_as_json(notice: Notice) -> dict[str, Any]:
    """Return a notice as a JSON object."""
    body: dict[str, Any] = {
        "code": notice.code,
        "source": notice.source,
        "from": None if notice.from_ns is None else iso(notice.from_ns),
        "to": None if notice.to_ns is None else iso(notice.to_ns),
        "detail": notice.detail,
    }
    if notice.alert is not None:
        body["alert"] = notice.alert
    return body
