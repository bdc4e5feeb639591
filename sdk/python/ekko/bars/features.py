"""Features of the newest bar, from it and those before it: plain numbers, no look ahead."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from ekko.bars.model import Bar

LOOKBACK = 50
"""How many bars features may look back on."""

_WINDOWS = (5, 20)


def features_of(bars: Sequence[Bar]) -> dict[str, float | None]:
    """Return the features of the last of these bars.

    None is unknown: too few bars before it, or something in them is unknown.

    Args:
        bars: Closed bars of one symbol and timeframe, the oldest first.

    | feature | |
    |---|---|
    | `return_1` `return_5` `return_20` | close / the close so many bars before - 1 |
    | `sma_ratio_5` `sma_ratio_20` | close / mean of the last closes - 1 |
    | `volatility_20` | standard deviation of the last 20 logarithmic returns |
    | `range` | (high - low) / close |
    | `vwap_distance` | close / vwap - 1 |
    | `volume_ratio_20` | volume / mean of the last 20 volumes |
    | `buy_share` | buy volume / volume |
    """
    bar = bars[-1]
    closes = [each.close for each in bars]
    features: dict[str, float | None] = {
        f"return_{n}": _change(bar.close, closes[-1 - n] if len(closes) > n else None)
        for n in (1, *_WINDOWS)
    }
    for n in _WINDOWS:
        features[f"sma_ratio_{n}"] = _change(bar.close, _mean(closes, n))
    features["volatility_20"] = _volatility(closes[-21:])
    height = None if bar.high is None or bar.low is None else bar.high - bar.low
    features["range"] = _share(height, bar.close)
    features["vwap_distance"] = _change(bar.close, bar.vwap)
    features["volume_ratio_20"] = _share(bar.volume, _mean([b.volume for b in bars], 20))
    features["buy_share"] = _share(bar.buy_volume, bar.volume)
    return features


def _share(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else part / whole


def _change(now: float | None, before: float | None) -> float | None:
    share = _share(now, before)
    return None if share is None else share - 1


def _mean(values: Sequence[float | None], n: int) -> float | None:
    known = [value for value in values[-n:] if value is not None]
    return sum(known) / n if len(known) == n else None


def _volatility(closes: Sequence[float | None]) -> float | None:
    known = [close for close in closes if close]
    if len(known) < 21:
        return None
    returns = [math.log(b / a) for a, b in pairwise(known)]
    mean = sum(returns) / len(returns)
    return math.sqrt(sum((each - mean) ** 2 for each in returns) / (len(returns) - 1))
