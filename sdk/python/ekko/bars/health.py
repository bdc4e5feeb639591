"""How the sources of a stream manager do, and what is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from ekko.bars.model import Reconnect

_DOWN = ("stale", "reconnecting", "failed")
_WORST_LAST = ("live", "starting", "stale", "reconnecting", "failed")


@attrs.define(eq=False)
class SourceHealth:
    """One source.

    Attributes:
        statuses: By symbol, how it does; `""` for all of them.
        reconnects: How often it came back.
        gaps: How many holes it told of.
    """

    simulated: bool = False
    statuses: dict[str, str] = attrs.field(factory=dict)
    reconnects: int = 0
    gaps: int = 0
    _down: dict[str, str | None] = attrs.field(factory=dict)  # by symbol, why
    _given_up: set[str] = attrs.field(factory=set)

    @property
    def status(self) -> str:
        """How the worst of its symbols does."""
        return max(self.statuses.values(), key=_rank, default="starting")

    @property
    def reason(self) -> str | None:
        """Why it is down, as it was told last; None while it isn't."""
        return next((why for why in reversed(self._down.values()) if why), None)

    def turn(
        self, name: str, symbol: str | None, status: str, reason: str | None
    ) -> Reconnect | None:
        """Take in how it does now; return what is to be told of it.

        It is back once no symbol is down any more but those for which it was given up.
        """
        about = symbol or ""
        if symbol is None:
            self.statuses.clear()
        self.statuses[about] = status
        if status in _DOWN:
            before = self._down.pop(about, None)
            self._down[about] = reason or before
        if status == "failed" and about not in self._given_up:
            self._given_up.add(about)
            return Reconnect(
                source=name, count=self.reconnects, status="failed", reason=reason, symbol=symbol
            )
        if status != "live":
            return None
        back = list(self._down) if symbol is None else [about] if about in self._down else []
        why = self.reason
        for each in back:
            del self._down[each]
            self._given_up.discard(each)
        if not back or self._down.keys() - self._given_up:
            return None
        self.reconnects += 1
        return Reconnect(source=name, count=self.reconnects, status="live", reason=why)


class Health:
    """All sources, by name."""

    def __init__(self) -> None:
        self.sources: dict[str, SourceHealth] = {}

    def source(self, name: str) -> SourceHealth:
        """Return how a source does."""
        found = self.sources.get(name)
        if found is None:
            found = self.sources[name] = SourceHealth()
        return found

    def know(self, simulated: Mapping[str, bool]) -> None:
        """Learn which sources there are."""
        for name, is_simulated in simulated.items():
            self.source(name).simulated = is_simulated

    @property
    def simulated(self) -> bool:
        """Whether anything that is heard is made up."""
        return any(source.simulated for source in self.sources.values())

    def report(self) -> dict[str, Any]:
        """Return, by source, how it does."""
        return {
            name: {
                "status": each.status, "reason": each.reason, "simulated": each.simulated,
                "reconnects": each.reconnects, "gaps": each.gaps,
            }
            for name, each in self.sources.items()
        }  # fmt: skip


def overall(report: Mapping[str, Any], *, is_any_stale: bool, problems: bool) -> str:
    """Return in a word how sources do: healthy, starting, degraded or failed."""
    statuses = [source["status"] for source in report.values()]
    if statuses and all(status == "failed" for status in statuses):
        return "failed"
    if any(status in _DOWN for status in statuses) or problems:
        return "degraded"
    if not statuses or "starting" in statuses:
        return "starting"
    return "degraded" if is_any_stale else "healthy"


def _rank(status: str) -> int:
    return _WORST_LAST.index(status) if status in _WORST_LAST else len(_WORST_LAST)
