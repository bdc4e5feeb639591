"""Write what clients are told: objects with a `type`, of which there are four.

    {"type": "info", "contract_id": 265598, "timestamp": "…Z", "data": {"status": "started", …}}
    {"type": "tick", "contract_id": 265598, "timestamp": "…Z", "data": {"type": "bid_ask", …}}
    {"type": "error", "contract_id": 265598, "timestamp": "…Z",
     "error": {"code": "TWS_DISCONNECTED", "message": "…", "details": "…"}}
    {"type": "complete", "contract_id": 265598, "timestamp": "…Z", "reason": "limit_reached",
     "total_ticks": 100}

Where the data are simulated, every one of them has `"simulated": true` besides.
"""  # fmt: skip

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

import attrs
import msgspec

from bond_core.clock import NS
from bond_core.plugin import Custom
from bond_ibkr.ticks import RAW_TYPES

Reason = Literal["limit_reached", "timeout", "stopped", "error"]

_encoder = msgspec.json.Encoder()


@attrs.frozen
class Fault:
    """What is wrong, as clients get it in `error`."""

    code: str
    message: str
    details: str

    def as_json(self) -> dict[str, str]:
        """Return it as an object."""
        return {"code": self.code, "message": self.message, "details": self.details}


@attrs.frozen
class Writer:
    """Writes the messages of one contract."""

    contract_id: int
    is_simulated: bool

    def info(self, now_ns: int, **data: Any) -> bytes:
        """Write what there is to know of a stream, or that something about it changed."""
        return self._write("info", now_ns, data=data)

    def tick(self, event: Custom, channel: str) -> bytes:
        """Write a tick; `timestamp` is when it was heard, that in `data` when it was, by TWS."""
        second = event.ts // NS
        data = {
            "type": RAW_TYPES[channel],
            "timestamp": datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%d %H:%M:%S"),
            "unix_time": second,
            **event.values,
        }
        return self._write("tick", event.recv_ts, data=data)

    def error(self, now_ns: int, fault: Fault) -> bytes:
        """Write what is wrong."""
        return self._write("error", now_ns, error=fault.as_json())

    def complete(self, now_ns: int, reason: Reason, total: int) -> bytes:
        """Write that this was all."""
        return self._write("complete", now_ns, reason=reason, total_ticks=total)

    def _write(self, what: str, at_ns: int, **more: Any) -> bytes:
        body = {"type": what, "contract_id": self.contract_id, "timestamp": iso_ms(at_ns), **more}
        if self.is_simulated:
            body["simulated"] = True
        return _encoder.encode(body)


def iso_ms(at_ns: int) -> str:
    """Return a time to the millisecond: `2025-01-15T10:30:00.123Z`."""
    whole = datetime.fromtimestamp(at_ns // NS, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{at_ns % NS // 1_000_000:03d}Z"
