"""Live market data by symbol, as other libraries have it: `DataStream`."""

from __future__ import annotations

from ekko.datastream.message import StreamMessage
from ekko.datastream.stream import DataStream

__all__ = ["DataStream", "StreamMessage"]
