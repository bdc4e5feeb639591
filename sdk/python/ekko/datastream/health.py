"""Keep how a stream's sources do, tell in the log what changes, and notice when all is lost."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Mapping
from typing import Any

import attrs

log = logging.getLogger("ekko")

DOWN = ("stale", "reconnecting", "failed")
_PATIENCE = dt.timedelta(seconds=1)
"""How long all may have failed before it counts: another may be about to stand in."""

_State = tuple[str, str | None, str]
"""Status, reason, and whom it is about, in words."""


@attrs.define
class Health:
    """How the sources of one stream do.

    Attributes:
        of: How many symbols it has.
    """

    of: int
    _states: dict[str, dict[str, _State]] = attrs.field(factory=dict)
    _failed_since: dict[str, dt.datetime] = attrs.field(factory=dict)

    def saw(
        self, about: str, sources: Mapping[str, Mapping[str, Any]], at: dt.datetime
    ) -> str | None:
        """Take in the `sources` of a record (`about` its symbol) or of a status item (`""`).

        Returns:
            Why nothing will come any more, once every source has failed for every symbol.
        """
        before = self._states.get(about, {})
        now = self._states[about] = {name: _state(told) for name, told in sources.items()}
        for name, state in now.items():
            _tell(name, about, state, before.get(name))
        if now and all(status == "failed" and not but for status, _, but in now.values()):
            self._failed_since.setdefault(about, at)
        else:
            self._failed_since.pop(about, None)
        lost = [since for since in self._failed_since.values() if at - since >= _PATIENCE]
        if len(lost) < (1 if about == "" else self.of):
            return None
        return "; ".join(
            dict.fromkeys(why or f"{name} failed" for name, (_, why, _) in now.items())
        )


def _state(told: Mapping[str, Any]) -> _State:
    others = [f"{symbol} is {status}" for symbol, status in told.get("symbols", {}).items()]
    if told.get("other_symbols"):
        others.append(f"{told['other_symbols']} more are not")
    but = f" ({', '.join(others)})" if others else ""
    return told["status"], told.get("reason"), but


def _tell(name: str, about: str, state: _State, before: _State | None) -> None:
    if before is not None and state[:2] == before[:2]:
        return
    status, reason, but = state
    said = f"{name}{about and f' for {about}'}: {status}{(reason and f', {reason}') or ''}{but}"
    if status in DOWN:
        log.warning("%s", said)
    elif before is not None and before[0] in DOWN:
        log.info("%s", said)
