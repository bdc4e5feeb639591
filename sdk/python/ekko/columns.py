"""Make columns of records: of one type each, and with None where nothing is known."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import attrs

Kind = Literal["time", "int", "float", "bool", "text", "nested"]

_TIMES = {"ts", "window_start", "window_end"}
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@attrs.frozen
class Column:
    """One field of all records.

    Attributes:
        name: The field.
        kind: What its values are; `time` is ns since 1970.
        values: One a record; None where the record has none or nothing is known.
    """

    name: str
    kind: Kind
    values: list[Any]


def columns_of(records: Sequence[Mapping[str, Any]]) -> list[Column]:
    """Return a column for each field of any record, in the order in which they appear."""
    names = dict.fromkeys(name for record in records for name in record)
    return [_column(name, [record.get(name) for record in records]) for name in names]


def _column(name: str, values: list[Any]) -> Column:
    if name in _TIMES:
        return Column(name, "time", [None if text is None else time_ns(text) for text in values])
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {float, int}:
        # Of a field without any value nothing is known; most fields are numbers.
        if kinds == {int}:
            return Column(name, "int", values)
        return Column(name, "float", [None if value is None else float(value) for value in values])
    if kinds == {bool}:
        return Column(name, "bool", values)
    if kinds == {str}:
        return Column(name, "text", values)
    return Column(name, "nested", values)


def time_ns(text: str) -> int:
    """Return the ns since 1970 of ISO 8601 in UTC, with as many decimals as it has."""
    whole, _, decimals = text.removesuffix("Z").partition(".")
    seconds = (dt.datetime.fromisoformat(whole + "+00:00") - _EPOCH) // dt.timedelta(seconds=1)
    return seconds * 1_000_000_000 + int(f"{decimals:0<9.9}")
