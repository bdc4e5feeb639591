"""Count what a stream's records said went wrong, for the line at the end of a command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

_BAD = ("late", "duplicates", "rejected", "gaps")


@attrs.define
class Tally:
    """What was shown, and what its sources counted on the way.

    Attributes:
        records: Records of every timeframe; of a raw stream its events.
        failed: By symbol, the reasons, where every source of its newest record has failed.
    """

    records: int = 0
    noun: str = "record"
    late: int = 0
    duplicates: int = 0
    rejected: int = 0
    gaps: int = 0
    failed: dict[str, dict[str, str]] = attrs.field(factory=dict)
    _counted: tuple[str, set[str]] = attrs.field(factory=lambda: ("", set()))
    _smallest: str | None = None

    def add(self, record: Mapping[str, Any]) -> None:
        """Take in a record, or an item of a raw stream."""
        if "kind" in record:
            self._add_raw(record)
            return
        self.records += 1
        sources: Mapping[str, Any] = record["sources"]
        reasons = {
            name: source.get("reason") or "no reason given"
            for name, source in sources.items()
            if source["status"] == "failed"
        }
        self.failed[record["symbol"]] = reasons if len(reasons) == len(sources) else {}
        # Larger timeframes, and bars, tell the same events again; the smallest comes first.
        if "bar" not in record:
            self._smallest = self._smallest or record["timeframe"]
        if record["timeframe"] == self._smallest:
            for name, source in sources.items():
                if not self._is_told(record["window_end"], name, source):
                    for what in _BAD:
                        setattr(self, what, getattr(self, what) + source.get(what, 0))

    def _add_raw(self, item: Mapping[str, Any]) -> None:
        """Take in an event, or the counts of a status item."""
        self.noun = "event"
        if item["kind"] != "status":
            self.records += 1
            return
        sources: Mapping[str, Any] = item["sources"]
        if not sources:
            return
        self.failed[""] = {
            name: source.get("reason") or "no reason given"
            for name, source in sources.items()
            if all(s["status"] == "failed" for s in sources.values())
        }
        for source in sources.values():
            for what in _BAD:
                setattr(self, what, getattr(self, what) + source[what])

    @property
    def is_hopeless(self) -> bool:
        """Whether nothing will come unless somebody changes something: every source failed."""
        return bool(self.failed) and all(self.failed.values())

    def reasons(self) -> dict[str, str]:
        """Return why each source has failed."""
        return {name: why for found in self.failed.values() for name, why in found.items()}

    def line(self) -> str:
        """Return the summary: `15 records · late 0 · duplicates 0 · rejected 0 · gaps 1`."""
        noun = self.noun if self.records == 1 else f"{self.noun}s"
        return " · ".join(
            [f"{self.records:,} {noun}", *(f"{what} {getattr(self, what):,}" for what in _BAD)]
        )

    def _is_told(self, window_end: str, name: str, source: Mapping[str, Any]) -> bool:
        """Whether this source repeats, in each symbol's record, one account of the stream."""
        if source.get("scope") != "stream":
            return False
        end, names = self._counted
        if end != window_end:
            self._counted = end, names = window_end, set()
        told = name in names
        names.add(name)
        return told
