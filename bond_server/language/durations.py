"""Read lengths of time and numbers as people write them, and write lengths back."""

from __future__ import annotations

from collections.abc import Mapping

MIN_INTERVAL_S = 0.1
MAX_INTERVAL_S = 86_400.0

_SPELLINGS: Mapping[float, str] = {
    0.001: "ms msec msecs milli millis millisecond milliseconds",
    1.0: "s sec secs second seconds",
    60.0: "m min mins minute minutes",
    3600.0: "h hr hrs hour hours",
    86_400.0: "d day days",
    604_800.0: "w wk week weeks",
}
UNITS: Mapping[str, float] = {
    word: seconds for seconds, words in _SPELLINGS.items() for word in words.split()
}
ADVERBS: Mapping[str, float] = {
    "secondly": 1.0, "minutely": 60.0, "hourly": 3600.0, "daily": 86_400.0, "weekly": 604_800.0,
}  # fmt: skip
_COUNTED = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen twenty"
)
NUMBER_WORDS: Mapping[str, float] = {
    word: float(value)
    for value, word in enumerate(_COUNTED.split())
} | {
    "thirty": 30.0, "forty": 40.0, "fifty": 50.0, "sixty": 60.0, "ninety": 90.0,
    "hundred": 100.0, "half": 0.5, "quarter": 0.25, "couple": 2.0, "dozen": 12.0,
}  # fmt: skip
MULTIPLIERS: Mapping[str, float] = {
    "k": 1e3, "thousand": 1e3, "m": 1e6, "mm": 1e6, "mn": 1e6, "mio": 1e6, "million": 1e6,
    "b": 1e9, "bn": 1e9, "billion": 1e9,
}  # fmt: skip
_WRITTEN = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))


def whole_ms(seconds: float) -> int | float:
    """Return the seconds rounded to a millisecond, an int where they are whole."""
    rounded = round(seconds, 3)
    return int(rounded) if rounded == int(rounded) else rounded


def written(seconds: float) -> str:
    """Return the shortest form: the largest unit that leaves no remainder (`90s`, `500ms`)."""
    rounded = whole_ms(seconds)
    for unit, length in _WRITTEN:
        if rounded and rounded % length == 0:
            return f"{int(rounded // length)}{unit}"
    return f"{round(rounded * 1000)}ms"


def number(text: str) -> float:
    """Return the value of digits with thousands separators, at most 1e18."""
    return min(float(text.replace(",", "")), 1e18)


def plain(value: float) -> int | float:
    """Return an int where the value is whole."""
    return int(value) if value == int(value) else value
