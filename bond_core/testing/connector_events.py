"""Checks 8 to 13: what a connector says is what its source said, and makes sense."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import attrs

from bond_core.clock import NS
from bond_core.model.event import Event
from bond_core.testing.connector_base import ConnectorBase, numbers_in, said
from bond_core.testing.plugin_suite import skip
from bond_core.testing.stage import Stage

_EARLIEST_NS, _LATEST_NS = 946_684_800 * NS, 4_102_444_800 * NS  # the years 2000 and 2100
_AS_GIVEN = (
    "price", "bid", "ask", "last", "open", "high", "low", "close", "rate", "mark_price", "value",
    "bids", "asks",
)  # fmt: skip


class ConnectorEvents(ConnectorBase):
    """What holds for a connector's events."""

    def test_only_what_is_declared_comes(self) -> None:
        """Check 8: each event comes on a channel of the spec, and is of that channel's kind."""
        stage = self.ordinary()
        kinds = {channel.name: channel.kind for channel in self.connector().channels}

        for channel, event in stage.emitted:
            assert channel in kinds, f"it emits on {channel!r}, which its spec doesn't declare"
            fits = event.kind in (kinds[channel], "gap")
            assert fits, f"{channel} brings a {event.kind}, and is declared to bring {kinds}"

    def test_its_events_make_sense(self) -> None:
        """Check 9: something is heard, nothing is refused, and each event is about what is asked.

        Times are nanoseconds since 1970, numbers finite, symbols Bond's.
        """
        stage = self.ordinary()
        declared = {channel.kind for channel in self.connector().channels}
        rejected = [why for why in stage.rejected if not why.startswith("it is a ")]
        asked = {each.symbol for each in stage.subscriptions}
        events = [event for _, event in stage.emitted if event.kind in declared]

        assert events, f"nothing was heard; states: {stage.statuses}; ends: {stage.ends}"
        assert not rejected, f"refused: {rejected}"
        for event in events:
            assert event.symbol in asked, (
                f"an event of {event.symbol!r}, and asked for were {sorted(asked)}: Bond's symbols "
                "are like BTC/USDT"
            )
            assert _EARLIEST_NS <= event.ts <= _LATEST_NS, (
                f"ts is {event.ts}: in nanoseconds since 1970 that lies outside 2000 to 2100"
            )
            json.dumps(attrs.asdict(event), allow_nan=False)

    def test_it_says_the_same_again(self) -> None:
        """Check 10: the same answers give the same events: none depends on when it was heard."""
        first, second = _all_said(self.ordinary()), _all_said(self._ordinary())

        assert first, "nothing was heard"
        assert len(first) == len(second), f"{len(first)} events, and then {len(second)}"
        for one, other in zip(first, second, strict=True):
            assert one == other, f"once {one}, and once {other}"

    def test_times_keep_within_the_lateness_declared(self) -> None:
        """Check 11: an event is behind the newest before it by `lateness_s` at most."""
        channels = {channel.name: channel for channel in self.connector().channels}
        newest: dict[tuple[str, str], int] = defaultdict(int)
        for name, event in self.ordinary().emitted:
            channel = channels.get(name)
            if channel is None or channel.time == "receive":
                continue
            behind_s = (newest[name, event.symbol] - event.ts) / NS
            assert behind_s <= channel.lateness_s, (
                f"an event of {name} is {behind_s:g} s behind the newest, and lateness_s is "
                f"{channel.lateness_s:g}: it would be late"
            )
            newest[name, event.symbol] = max(newest[name, event.symbol], event.ts)

    def test_an_id_means_one_event(self) -> None:
        """Check 12: two events never share an id, and one has the same after a reconnection.

        Ids are how the runtime knows a repeat: what shares one is dropped as one, and what
        has a new one each time is counted twice.
        """

        async def scenario(stage: Stage) -> int:
            await stage.until_said(self.expected())
            n = len(stage.emitted)
            self.break_off(stage)
            await stage.until(lambda: len(stage.emitted) >= 2 * n)
            emitted.extend(stage.emitted)
            return n

        emitted: list[tuple[str, Event]] = []
        n = self.play(scenario)
        contents: dict[tuple[str, str, str], tuple[Any, ...]] = {}
        ids: dict[tuple[Any, ...], set[str]] = defaultdict(set)
        for i, (channel, event) in enumerate(emitted):
            if event.id is None:
                continue
            content = said(attrs.evolve(event, id="", seq=0))
            first = contents.setdefault((channel, event.symbol, event.id), content)
            assert first == content, f"two events have the id {event.id!r}: {first}, {content}"
            known = ids[(channel, *content)]
            if i < n or not known:  # two trades may be alike but for their ids
                known.add(event.id)
            assert event.id in known, f"said again, {content} has the id {event.id!r}, not {known}"

    def test_prices_are_as_the_source_gave_them(self) -> None:
        """Check 13: no price is rounded or scaled on its way; what is computed is `derived`."""
        if not self.cassette:
            self.known()
            skip("no cassette: nothing is known of the prices that its library gives")
        given = set[float]().union(*map(numbers_in, self.cassette))
        if not given:
            skip("no number can be found in the cassette: it isn't JSON")
        for _, event in self.ordinary().emitted:
            for name in _AS_GIVEN:
                value = getattr(event, name, None)
                if value is None or name in self.derived:
                    continue
                for price in _prices(value):
                    assert price in given, f"{name} is {price!r}, which the source never said"


def _all_said(stage: Stage) -> list[str]:
    """Return what was said, each thing once: a poll may say it any number of times.

    As texts, for a NaN is like no other.
    """
    return list(dict.fromkeys(repr((channel, *said(event))) for channel, event in stage.emitted))


def _prices(value: Any) -> list[Any]:
    """Return a price, or those of the levels of a book."""
    return [level[0] for level in value] if isinstance(value, (list, tuple)) else [value]
