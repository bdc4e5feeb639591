"""Take a recording to where others can read it: its events, or its records, as CSV or Parquet.

    events     a file for each kind; a column for each of its attributes, times in ns UTC.
               `source` says whose it is, `told` counts what the engine was told, in its order
    records    one file; a column for each key of a record, what is an object as JSON

Both are written in pieces, so that a recording larger than the memory can be taken anywhere.
"""

from __future__ import annotations

import csv
import importlib
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol, TextIO

import attrs
import msgspec

from bond_core.errors import NotInstalledError
from bond_core.model.event import EVENT_CLASSES, Event
from bond_core.runtime.tape.told import BATCHES
from bond_core.wire.times import parse_iso
from bond_server.recordings.header import RecordingError
from bond_server.recordings.recording import Recording

Format = Literal["csv", "parquet"]
Rows = Sequence[Mapping[str, Any]]

AT_ONCE = 5_000
"""So many rows are in memory, and make a row group of Parquet."""

_TIMES = frozenset(("ts", "recv_ts", "own_ts", "start_ts", "next_ts", "from_ts", "to_ts"))
_LONG = frozenset(("seq", "sequence", "height", "length_ns", "told", "engagement"))
_BOOLS = frozenset(("is_snapshot", "is_closed"))
_JSON = frozenset(("bids", "asks", "values"))
_NUMBERS = frozenset((
    "price", "size", "bid", "ask", "bid_size", "ask_size", "last", "open", "high", "low",
    "close", "volume", "rate", "mark_price", "amount", "value",
))  # fmt: skip

Type = Literal["time", "int", "number", "bool", "text", "json"]


class Table(Protocol):
    """A file that takes rows."""

    def write(self, rows: Rows) -> None:
        """Write some; a key that is no column is left out."""
        ...


def export_events(
    recording: Recording, to: Format, path: Callable[[str], Path],
) -> dict[Path, int]:  # fmt: skip
    """Write a recording's events; return the files, and how many rows each has.

    Args:
        recording: Which one.
        to: The format.
        path: Gives the file for a kind of event; none of them may be there.

    Raises:
        RecordingError: It can't be read, or a file can't be written.
        NotInstalledError: There is no pyarrow here, which Parquet needs.
    """
    counts: dict[Path, int] = {}
    waiting: dict[str, list[dict[str, Any]]] = {}
    tables: dict[str, tuple[Path, Table]] = {}
    with ExitStack() as opened:

        def write(kind: str) -> None:
            if kind not in tables:
                file = path(kind)
                table = open_table(opened, file, to, event_columns(kind))
                tables[kind] = file, table
            file, table = tables[kind]
            counts[file] = counts.get(file, 0) + len(waiting[kind])
            table.write(waiting[kind])
            waiting[kind].clear()

        for told, source, event in _events(recording):
            rows = waiting.setdefault(event.kind, [])
            rows.append(_event_row(told, source, event))
            if len(rows) >= AT_ONCE:
                write(event.kind)
        for kind in [kind for kind, rows in waiting.items() if rows]:
            write(kind)
    return counts


async def export_records(
    records: Callable[[], AsyncGenerator[bytes]], to: Format, path: Path
) -> int:
    """Write the records of a replay; return how many.

    It is played twice: what columns there are, and of which type, all records say together.

    Args:
        records: Begins a replay.
        to: The format.
        path: The file, which must not be there.

    Raises:
        RecordingError: The file can't be written.
        NotInstalledError: There is no pyarrow here, which Parquet needs.
    """
    count = 0
    columns: dict[str, Type] = {}
    async with aclosing(records()) as heard:
        async for data in heard:
            columns = _with_those_of(columns, msgspec.json.decode(data))
            count += 1
    if not count:
        return 0
    chunk: list[dict[str, Any]] = []
    with ExitStack() as opened:
        table = open_table(opened, path, to, columns)
        async with aclosing(records()) as heard:
            async for data in heard:
                chunk.append(msgspec.json.decode(data))
                if len(chunk) >= AT_ONCE:
                    table.write(chunk)
                    chunk.clear()
        table.write(chunk)
    return count


def event_columns(kind: str) -> dict[str, Type]:
    """Return the columns of a kind of event, by name."""
    names = [field.name for field in attrs.fields(EVENT_CLASSES[kind])]
    return {"told": "int", "source": "text", **{name: _type_of(name) for name in names}}


def _with_those_of(columns: dict[str, Type], record: Mapping[str, Any]) -> dict[str, Type]:
    for key, value in record.items():
        if value is not None:
            columns[key] = _wider(columns.get(key), _record_type(key, value))
        else:
            columns.setdefault(key, "number")
    return columns


def _events(recording: Recording) -> Iterator[tuple[int, str, Event]]:
    told = 0
    for block in recording.blocks():
        for what, args in block.calls:
            if what in BATCHES:
                name, events = args
                for event in events:
                    told += 1
                    yield told, name, event


def _event_row(told: int, source: str, event: Event) -> dict[str, Any]:
    names = (field.name for field in attrs.fields(type(event)))
    return {"told": told, "source": source, **{name: getattr(event, name) for name in names}}


def _type_of(name: str) -> Type:
    for names, kind in (
        (_TIMES, "time"), (_LONG, "int"), (_BOOLS, "bool"), (_JSON, "json"), (_NUMBERS, "number")
    ):  # fmt: skip
        if name in names:
            return kind  # type: ignore[return-value]  # one of Type's, each
    return "text"


def _record_type(key: str, value: Any) -> Type:
    if key in ("ts", "window_start", "window_end"):
        return "time"
    if key in ("rev", "skipped", "bar"):
        return "int"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "text"
    return "json" if isinstance(value, (Mapping, list)) else "number"


_WIDTH = ("number", "bool", "int", "time", "text", "json")


def _wider(one: Type | None, other: Type) -> Type:
    return other if one is None else max(one, other, key=_WIDTH.index)


def open_table(opened: ExitStack, path: Path, to: Format, columns: Mapping[str, Type]) -> Table:
    """Make a file that takes rows; `opened` closes it.

    Raises:
        RecordingError: It is there already, or can't be written.
        NotInstalledError: There is no pyarrow here, which Parquet needs.
    """
    try:
        if to == "csv":
            file = opened.enter_context(path.open("x", encoding="utf-8", newline=""))
            return _Csv(file, columns)
        return _Parquet(opened, path, columns)
    except FileExistsError:
        raise RecordingError(f"{path} is there already", code="file_exists") from None
    except OSError as error:
        raise RecordingError(f"{path} can't be written: {error.strerror}") from None


class _Csv:
    """RFC 4180, with a header; what is unknown is empty, a time is ISO 8601 to the ns."""

    def __init__(self, file: TextIO, columns: Mapping[str, Type]) -> None:
        self._columns = columns
        self._writer = csv.writer(file)
        self._writer.writerow(columns)

    def write(self, rows: Rows) -> None:
        """See Table."""
        self._writer.writerows(
            [_csv_text(row.get(name), kind) for name, kind in self._columns.items()] for row in rows
        )


class _Parquet:
    """Parquet with typed columns; times are timestamps in ns, UTC."""

    def __init__(self, opened: ExitStack, path: Path, columns: Mapping[str, Type]) -> None:
        try:
            self._pa: Any = importlib.import_module("pyarrow")
            parquet: Any = importlib.import_module("pyarrow.parquet")
        except ImportError as error:
            raise NotInstalledError(
                f"Parquet is written by pyarrow, which isn't installed: {error}",
                fix='pip install "bond-streams[parquet]"',
            ) from None
        pa = self._pa
        types = {
            "time": pa.timestamp("ns", tz="UTC"), "int": pa.int64(), "number": pa.float64(),
            "bool": pa.bool_(), "text": pa.string(), "json": pa.string(),
        }  # fmt: skip
        self._columns = columns
        self._schema = pa.schema([(name, types[kind]) for name, kind in columns.items()])
        file = opened.enter_context(path.open("xb"))
        self._writer = opened.enter_context(
            parquet.ParquetWriter(file, self._schema, compression="zstd")
        )

    def write(self, rows: Rows) -> None:
        """See Table."""
        columns = [
            self._pa.array(
                [_parquet_value(row.get(name), kind) for row in rows],
                type=self._schema.field(name).type,
            )
            for name, kind in self._columns.items()
        ]
        self._writer.write_table(self._pa.Table.from_arrays(columns, schema=self._schema))


def _csv_text(value: Any, kind: Type) -> Any:
    if value is None:
        return ""
    if kind == "time" and isinstance(value, int):
        return _iso(value)
    if kind == "bool":
        return "true" if value else "false"
    if kind == "json" or isinstance(value, (Mapping, list)):
        return msgspec.json.encode(value).decode()
    return value


def _parquet_value(value: Any, kind: Type) -> Any:
    if value is None:
        return None
    if kind == "time":
        return value if isinstance(value, int) else parse_iso(value)
    if kind == "number":
        return float(value)
    if kind == "json" or isinstance(value, (Mapping, list)):
        return msgspec.json.encode(value).decode()
    return value if kind != "text" or isinstance(value, str) else str(value)


def _iso(ns: int) -> str:
    """Return a time as ISO 8601, UTC, always with nine digits: it sorts as text."""
    seconds, rest = divmod(ns, 1_000_000_000)
    whole = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{rest:09}Z"
