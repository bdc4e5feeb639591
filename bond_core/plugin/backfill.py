"""What a connector is asked to fetch after something was missed, and how it answers.

    class Acme(WebSocketConnector):
        ...
        async def backfill(self, ctx, hole):
            rows = await ctx.get_json(URL, params={"after": hole.after_id, "limit": "1000"})
            trades = [self.trade(row) for row in rows]
            return Page(trades, rest=hole.after(trades[-1]) if len(rows) == 1000 else None)

with `Capabilities(backfill=Backfill(channels=("trades",)))` in its spec. One call is one
request. When it is asked, how often, again after an error, and when to give up is the
runtime's, and so is leaving out what was heard already.
"""  # fmt: skip

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import attrs

from bond_core.model.event import Event
from bond_core.plugin.context import Context


@attrs.frozen(kw_only=True)
class Hole:
    """What is missing of one subscription: events between two others.

    Attributes:
        after_ts_ns: Time of the last event heard before it, ns. Others of that very time may be
            missing too.
        until_ts_ns: Time of the first event heard after it, ns, or now where none was heard yet.
        after_id: That event's id, exclusive; None where no event is known.
        until_id: Likewise at the other end.
        most_events: More are not wanted.
    """

    channel: str
    symbol: str
    after_ts_ns: int
    until_ts_ns: int
    after_id: str | None = None
    until_id: str | None = None
    most_events: int = 5_000

    def after(self, event: Event) -> Hole:
        """Return what is left of it behind an event: for sources that go forward in time."""
        return attrs.evolve(self, after_ts_ns=event.ts, after_id=event.id)

    def before(self, event: Event) -> Hole:
        """Return what is left of it before an event: for sources that go back in time."""
        return attrs.evolve(self, until_ts_ns=event.ts, until_id=event.id)


@attrs.frozen
class Page:
    """The answer to one request.

    Attributes:
        events: What was found, in any order; what lies outside of the hole does no harm.
        rest: What of the hole it doesn't cover; None if it covers all.
        end: Why no further request can get the rest, as a sentence; None if one may.
    """

    events: Sequence[Event]
    rest: Hole | None = None
    end: str | None = None


class Backfills(Protocol):
    """What a connector whose spec declares `Capabilities.backfill` has beside `run`."""

    async def backfill(self, ctx: Context, hole: Hole) -> Page:
        """Fetch what was missed, in one request; called while `run` runs.

        Each event has an `id`, the same that it has (or would have had) when it is sent: without
        one it can't be told from those that were heard, and isn't taken.

        Raises:
            Retryable, OSError, TimeoutError: Asked again, a few times.
            Fatal: It can't be had; told in the records. The connector goes on.
        """
        ...
