"""Ask a predictor, and read its answer: a number, or a direction and how sure it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

from ekko.bars.calling import result_of
from ekko.bars.model import Bar, Direction, Prediction

_DIRECTIONS: dict[Any, Direction] = {
    "buy": "buy", "long": "buy", "up": "buy", 1: "buy",
    "sell": "sell", "short": "sell", "down": "sell", -1: "sell",
    "hold": "hold", "flat": "hold", 0: "hold",
}  # fmt: skip


@runtime_checkable
class Predictor(Protocol):
    """What predicts. A function that takes the same is one, too."""

    def predict(self, features: Mapping[str, Any]) -> Any:
        """Return the probability that the price rises, 0 to 1; or a direction and confidence.

        A direction is `buy`, `sell` or `hold` (`long`, `short`, `flat`, 1, -1, 0 mean the same).
        It stands with the confidence, 0 to 1, in a mapping, an object, or a pair. None is no
        prediction. It may be a coroutine function.
        """
        ...


class PredictionError(ValueError):
    """What a predictor returned is no prediction."""


async def predicted(
    predictor: Predictor | Callable[[Mapping[str, Any]], Any], features: Mapping[str, Any], bar: Bar
) -> Prediction | None:
    """Return what a predictor makes of features; None where it makes nothing of them.

    Raises:
        PredictionError: Its answer can't be read.
    """
    ask = predictor.predict if isinstance(predictor, Predictor) else predictor
    answer = await result_of(ask(features))
    if answer is None:
        return None
    direction, confidence = read(answer)
    return Prediction(
        symbol=bar.symbol, direction=direction, confidence=confidence, bar=bar, features=features,
        raw=answer,
    )  # fmt: skip


def read(answer: Any) -> tuple[Direction, float]:
    """Return the direction and confidence that an answer means.

    Raises:
        PredictionError: It means none.
    """
    if isinstance(answer, Mapping):
        said, sure = answer.get("direction"), answer.get("confidence")
    elif isinstance(answer, tuple) and len(answer) == 2:
        said, sure = answer
    elif hasattr(answer, "direction"):
        said, sure = answer.direction, getattr(answer, "confidence", None)
    else:
        rises = _number(answer)
        return ("buy", rises) if rises >= 0.5 else ("sell", 1 - rises)
    said = said.lower() if isinstance(said, str) else said
    try:
        direction = _DIRECTIONS[said]
    except (KeyError, TypeError):
        raise PredictionError(f"a direction is buy, sell or hold, was {said!r}") from None
    return direction, _number(sure)


def _number(value: Any) -> float:
    """Return a probability; numpy's numbers, and arrays of one, are numbers, too."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number <= 1:  # nan isn't, either
        raise PredictionError(
            f"a prediction is a probability from 0 to 1, or a direction and a confidence; "
            f"was {value!r}"
        )
    return number
