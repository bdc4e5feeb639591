"""Say how much of a window a source was heard, from what was said of its status.

Statuses change at clock times, windows are of event time; both are measured on one line.
Only `live` counts as heard. A source of which nothing was said yet is not.
"""

from __future__ import annotations

from bisect import bisect_right

import attrs

MAX_CHANGES = 1024  # two a minute for eight hours; what flaps more is counted as less heard


@attrs.define
class Coverage:
    """When one source was live for one symbol.

    Attributes:
        is_live: Whether it is now.
        changes: When `is_live` turned, ns, rising. Every second one is a turn to the same side.
    """

    is_live: bool = False
    changes: list[int] = attrs.field(factory=list)

    def turn(self, is_live: bool, at_ns: int) -> None:  # noqa: FBT001 -- it is the thing said
        """Take in a status. One that is said to be older than the last counts from the last."""
        if is_live == self.is_live:
            return
        self.is_live = is_live
        self.changes.append(max(at_ns, self.changes[-1]) if self.changes else at_ns)
        if len(self.changes) > MAX_CHANGES:
            first_is_on = self.is_live == (len(self.changes) % 2 == 1)
            # Forget one spell of being live, never one of silence: unheard is the safe mistake.
            del self.changes[0 if first_is_on else 1 : 2 if first_is_on else 3]

    def live_ns(self, start_ns: int, end_ns: int) -> int:
        """Return for how long of `[start, end)` it was live, ns."""
        changes = self.changes
        if not changes or changes[-1] <= start_ns:
            return end_ns - start_ns if self.is_live else 0
        at = bisect_right(changes, start_ns)
        is_live = self.is_live == ((len(changes) - at) % 2 == 0)
        total = 0
        while start_ns < end_ns:
            until = min(changes[at], end_ns) if at < len(changes) else end_ns
            total += until - start_ns if is_live else 0
            start_ns, at, is_live = until, at + 1, not is_live
        return total

    def share(self, start_ns: int, end_ns: int, *, count: int) -> float:
        """Return the part of `[start, end)` that was heard, as `share` does."""
        if self.is_live and (not self.changes or self.changes[-1] <= start_ns):
            return 1.0
        return share(self.live_ns(start_ns, end_ns), end_ns - start_ns, count=count)

    def mend(self, from_ns: int, until_ns: int) -> None:
        """Count `[from, until)` as heard: what was missed there is known now."""
        if from_ns >= until_ns:
            return
        was_on, is_on = (self.live_ns(at, at + 1) > 0 for at in (from_ns - 1, until_ns))
        changes = [at for at in self.changes if at < from_ns]
        changes += [] if was_on else [from_ns]
        changes += [] if is_on else [until_ns]
        self.changes = changes + [at for at in self.changes if at > until_ns]

    def forget(self, before_ns: int) -> None:
        """Drop what no window that starts at or after `before_ns` will ask for."""
        if self.changes and self.changes[0] <= before_ns:
            del self.changes[: bisect_right(self.changes, before_ns)]


def share(live_ns: int, length_ns: int, *, count: int) -> float:
    """Return the part of a window that was heard, 0 to 1, with three digits.

    It is 0 only if nothing was heard at all (an event that was counted was heard, whatever
    the status said), and 1 only if no part was missed.
    """
    if live_ns >= length_ns:
        return 1.0
    if live_ns <= 0 and not count:
        return 0.0
    return min(max(round(live_ns / length_ns, 3), 0.001), 0.999)
