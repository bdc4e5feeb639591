"""Write records as CSV (RFC 4180): a head, then a line for each.

Numbers stand as JSON has them, unknown as nothing. What a record says of its sources is short:
`binance=live okx=stale`; JSON has all. `simulated` says so in each line.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Mapping
from typing import Any, TextIO

_SHORT = ("sources", "notices", "raw_data")
"""Keys of a record that are written otherwise, behind the rest."""
_ADDED = ("simulated", "sources", "notices")


class CsvLines:
    """Prints records as lines; the first one says which columns there are.

    Args:
        out: Where to.
        err: Where to say once what finds no column, since it came later.
    """

    def __init__(self, out: TextIO, err: TextIO = sys.stderr) -> None:
        self._writer = csv.writer(out, lineterminator="\n")
        self._err = err
        self._columns: list[str] = []
        self._untold: set[str] = set()

    def show(self, record: Mapping[str, Any]) -> None:
        """Print a record."""
        said = {key: value for key, value in record.items() if key not in _SHORT}
        if not self._columns:
            self._columns = list(said)
            self._writer.writerow([*self._columns, *_ADDED])
        for key in said.keys() - set(self._columns) - self._untold:
            self._untold.add(key)
            print(f"csv: no column for {key}, which came later; JSON has it", file=self._err)
        sources = record["sources"]
        self._writer.writerow([
            *(_cell(said.get(key)) for key in self._columns),
            _cell(any(source.get("simulated") for source in sources.values())),
            " ".join(f"{name}={source['status']}" for name, source in sources.items()),
            " ".join(notice["code"] for notice in record["notices"]),
        ])  # fmt: skip


def _cell(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
