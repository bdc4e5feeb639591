"""Make Parquet of a journal: `python -m bond_files.parquet JOURNAL FILE`.

Columns have one type, in this file and the next:

    id stream_id symbol timeframe    text
    rev                              int64
    partial                          bool
    ts window_start window_end       timestamp in ns, UTC
    sources notices raw_data gap     JSON, as text: their keys differ from record to record
    every other                      float64; text where any of its values is a text; JSON where
                                     any is an object
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 5_000
"""So many records make a row group, and are in memory at once."""

_TEXT, _JSON = ("id", "stream_id", "symbol", "timeframe"), ("sources", "notices", "raw_data", "gap")
_TIME = ("ts", "window_start", "window_end")
_NS = 1_000_000_000
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def write_parquet(journal: Path, file: Path) -> int:
    """Write the journal's records as Parquet, synced; return how many there were."""
    kinds: dict[str, str] = {}
    for record in _records(journal):
        for key, value in record.items():
            kinds[key] = _widest(kinds.get(key), _kind(key, value))
    schema = pa.schema([(key, _TYPES[kind]) for key, kind in kinds.items()])
    rows = 0
    with file.open("wb") as out:
        with pq.ParquetWriter(out, schema, compression="zstd") as writer:
            chunk: list[dict[str, Any]] = []
            for record in _records(journal):
                chunk.append(record)
                rows += 1
                if len(chunk) == ROWS:
                    writer.write_table(_table(chunk, kinds, schema))
                    chunk.clear()
            if chunk:
                writer.write_table(_table(chunk, kinds, schema))
        out.flush()
        os.fsync(out.fileno())
    return rows


_TYPES = {
    "number": pa.float64(), "text": pa.string(), "json": pa.string(), "bool": pa.bool_(),
    "int": pa.int64(), "time": pa.timestamp("ns", tz="UTC"),
}  # fmt: skip
_WIDTH = ("number", "text", "json")


def _kind(key: str, value: Any) -> str:
    if key in _TEXT:
        return "text"
    if key in _JSON:
        return "json"
    if key in _TIME:
        return "time"
    if key in ("rev", "skipped"):
        return "int"
    if key in ("partial", "filled"):
        return "bool"
    if isinstance(value, str):
        return "text"
    return "json" if isinstance(value, (Mapping, list)) else "number"


def _widest(one: str | None, other: str) -> str:
    if one is None or one == other:
        return other
    return max(one, other, key=_WIDTH.index)


def _table(records: Sequence[Mapping[str, Any]], kinds: Mapping[str, str], schema: Any) -> Any:
    columns = [
        pa.array([_value(record.get(key), kind) for record in records], type=_TYPES[kind])
        for key, kind in kinds.items()
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _value(value: Any, kind: str) -> Any:
    if value is None:
        return None
    if kind == "number":
        return float(value)
    if kind == "time":
        return _ns_of(value)
    if kind == "json" or not isinstance(value, (str, int, bool)):
        return msgspec.json.encode(value).decode()
    return str(value) if kind == "text" else value


def _ns_of(text: str) -> int:
    """Return ISO 8601 with `Z`, as fine as ns, in ns since 1970."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    seconds = int((datetime.fromisoformat(f"{whole}+00:00") - _EPOCH).total_seconds())
    return seconds * _NS + int(fraction.ljust(9, "0") or 0)


def _records(journal: Path) -> Iterator[dict[str, Any]]:
    with journal.open("rb") as lines:
        for line in lines:
            yield msgspec.json.decode(line)


if __name__ == "__main__":
    try:
        write_parquet(Path(sys.argv[1]), Path(sys.argv[2]))
    except OSError as failure:
        sys.exit(f"{failure.strerror or failure}")
