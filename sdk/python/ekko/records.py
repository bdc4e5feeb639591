"""Events as a table: a list that a notebook shows, and that polars and pandas take."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

from ekko.columns import Column, columns_of
from ekko.display import records_html
from ekko.errors import MissingLibraryError
from ekko.event import Event, Gap


class Records(Sequence[Event]):
    """Events that came, in order. `Gap`s stand in `gaps`, not among the rows.

    Args:
        events: Records and gaps, as `listen` yields them.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._rows: list[Event] = []
        self.gaps: list[Gap] = []
        self.extend(events)

    def extend(self, events: Iterable[Event]) -> None:
        """Add events."""
        for event in events:
            self.append(event)

    def append(self, event: Event) -> None:
        """Add one event."""
        if isinstance(event, Gap):
            self.gaps.append(event)
        else:
            self._rows.append(event)

    @overload
    def __getitem__(self, index: int) -> Event: ...

    @overload
    def __getitem__(self, index: slice) -> Records: ...

    def __getitem__(self, index: int | slice) -> Event | Records:
        return Records(self._rows[index]) if isinstance(index, slice) else self._rows[index]

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Event]:
        return iter(self._rows)

    def __repr__(self) -> str:
        return f"<{len(self._rows)} records, {len(self.gaps)} gaps>"

    def _repr_html_(self) -> str:
        return records_html(self._rows, self.gaps)

    def to_polars(self) -> Any:
        """Return a polars.DataFrame: one row a record, in order.

        Times are `Datetime("ns", "UTC")`, unknown values null. What is nested (`sources`,
        `notices`) is JSON text, because its keys change from record to record.

        Raises:
            MissingLibraryError: polars isn't installed.
        """
        polars = _library("polars")
        types = {
            "time": polars.Int64,
            "int": polars.Int64,
            "float": polars.Float64,
            "bool": polars.Boolean,
            "text": polars.String,
            "nested": polars.String,
        }

        def series(column: Column) -> Any:
            values = column.values
            if column.kind == "nested":
                values = [None if value is None else json.dumps(value) for value in values]
            made = polars.Series(column.name, values, dtype=types[column.kind])
            return made.cast(polars.Datetime("ns", "UTC")) if column.kind == "time" else made

        return polars.DataFrame([series(column) for column in columns_of(self._rows)])

    def to_pandas(self) -> Any:
        """Return a pandas.DataFrame: one row a record, its index `ts`, in UTC.

        Columns are of pandas' nullable types, so that a count stays a whole number and an unknown
        value is `pandas.NA`. What is nested stays Python dicts and lists.

        Raises:
            MissingLibraryError: pandas isn't installed.
        """
        pandas = _library("pandas")
        types = {
            "int": "Int64",
            "float": "Float64",
            "bool": "boolean",
            "text": "string",
            "nested": "object",
        }

        def series(column: Column) -> Any:
            if column.kind == "time":
                times = pandas.array(column.values, dtype="Int64")
                return pandas.Series(pandas.to_datetime(times, unit="ns", utc=True))
            return pandas.Series(column.values, dtype=types[column.kind])

        frame = pandas.DataFrame({c.name: series(c) for c in columns_of(self._rows)})
        return frame.set_index("ts") if "ts" in frame else frame


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        raise MissingLibraryError(name) from None
