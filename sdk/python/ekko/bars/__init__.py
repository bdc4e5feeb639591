"""Trades to bars to signals, with callbacks: `StreamManager` and `StreamingTradingEngine`.

Nothing here ever places an order.
"""

from __future__ import annotations

from ekko.bars.config import StreamManagerConfig
from ekko.bars.engine import StreamingTradingEngine
from ekko.bars.features import features_of
from ekko.bars.manager import StreamManager, create_default_trading_stream
from ekko.bars.model import (
    Bar,
    EventType,
    Prediction,
    Reconnect,
    Signal,
    StreamEvent,
    Tick,
)
from ekko.bars.paper import PaperExecutor, PaperFill
from ekko.bars.predicting import PredictionError
from ekko.bars.recordings import Fold, NoBarsError, WalkForward, recorded_bars, walk_forward

__all__ = [
    "Bar",
    "EventType",
    "Fold",
    "NoBarsError",
    "PaperExecutor",
    "PaperFill",
    "Prediction",
    "PredictionError",
    "Reconnect",
    "Signal",
    "StreamEvent",
    "StreamManager",
    "StreamManagerConfig",
    "StreamingTradingEngine",
    "Tick",
    "WalkForward",
    "create_default_trading_stream",
    "features_of",
    "recorded_bars",
    "walk_forward",
]
