"""Checks 21 to 24: a burst, a budget, a clock that is set, and an answer with nothing in it."""

from __future__ import annotations

from bond_core.testing.connector_base import ConnectorBase, emptied, known_by
from bond_core.testing.connector_faults import most_in
from bond_core.testing.plugin_suite import skip
from bond_core.testing.stage import Stage

_BURST = 400
_MANY = tuple(f"{base}/USDT" for base in ("BTC", "ETH", "SOL", "XRP", "ADA", "DOT", "LTC", "BNB"))


class ConnectorPace(ConnectorBase):
    """What holds for a connector's pace."""

    def test_a_burst_is_taken_whole(self) -> None:
        """Check 21: of thousands of messages in a row none is left out, and none overtakes."""
        self.no_sdk("how fast its library speaks is the stand-in's affair")
        if self.is_poll():
            skip("it asks: its source can't overrun it")
        once = [(channel, event.ts) for channel, event in self.ordinary().emitted]

        async def scenario(stage: Stage) -> None:
            await stage.until(lambda: len(stage.emitted) >= len(once) * _BURST)
            taken = [(channel, event.ts) for channel, event in stage.emitted]
            n, all_ = len(taken), len(once) * _BURST
            assert n == all_, f"of a burst of {all_} events {all_ - n} are missing"
            assert taken == once * _BURST, "in a burst events overtake each other"

        self.play(scenario, [*self.known()] * _BURST)

    def test_it_keeps_to_what_the_source_allows(self) -> None:
        """Check 22: polls keep their distance, and many symbols don't make many requests.

        Either one request answers for all, or the spec says `requests_per_min`.
        """
        self.no_sdk("its library keeps the pace")
        spec = self.connector()
        if not self.is_poll():
            skip("it is told, and asks for nothing")
        every_s = float(self.settings().get("every_s") or spec.polls_every_s or 5.0)
        budget = spec.capabilities.requests_per_min

        async def scenario(stage: Stage) -> int:
            await stage.pass_time(180)
            return most_in(stage.source.asked_ns, 60)

        one = self.play(scenario, symbols=_MANY[:1])
        many = self.play(scenario, symbols=_MANY)
        per_min = int(60 / every_s) + 1
        most = per_min * len(self.listened_to()) * 2
        assert one <= most, f"{one} requests within a minute, polling every {every_s:g} s"
        if budget is not None:
            assert max(one, many) <= budget + 1, f"{max(one, many)} in a minute, {budget} allowed"
        else:
            assert many <= max(one, most), (
                f"{one} requests a minute for one symbol, {many} for {len(_MANY)}: say "
                "requests_per_min in its Capabilities, or ask for all symbols at once"
            )

    def test_a_clock_that_is_set_stalls_nothing(self) -> None:
        """Check 23: the machine's clock is set back by an hour: it goes on, or comes back."""

        async def scenario(stage: Stage) -> None:
            await stage.until_said(self.expected())
            stage.clock.step(-3600)
            n, answers = len(stage.emitted), stage.source.answers
            if self.is_poll() and not self.sdks:
                every_s = float(getattr(stage.config, "every_s", 5.0))
                await stage.until(
                    lambda: stage.source.answers >= answers + 2, within_s=10 * every_s + 10
                )
                went_on = stage.source.answers - answers >= 2 and not stage.told("stale")
            else:
                self.break_off(stage)
                went_on = await stage.until(lambda: len(stage.emitted) > n)
            assert went_on, (
                "the clock was set back by an hour, and it stands still: wait with "
                "ctx.clock.sleep(seconds), not until a time of day"
            )

        self.play(scenario)

    def test_an_empty_answer_is_no_error(self) -> None:
        """Check 24: an answer with nothing in it is taken, and what follows is heard."""
        self.no_sdk("what its library says, its library has read")
        first = self.known()[0]
        empty = emptied(first) if self.empty is None else self.empty
        if self.empty is None and (empty == first or isinstance(first, (str, bytes))):
            skip("no `empty`: what its source says when there is nothing to say isn't known")

        usual = self.ordinary()

        async def scenario(stage: Stage) -> None:
            await stage.until_said(self.expected())
            refused = set(stage.rejected) - set(usual.rejected)
            assert not refused, f"an answer with nothing in it is refused: {sorted(refused)}"
            told = [*stage.told("failed"), *stage.told("reconnecting")]
            assert not told, f"an answer with nothing in it is an error: {told[0]}"
            heard = set(map(known_by, stage.heard))
            lost = [event for event in usual.heard if known_by(event) not in heard]
            assert not lost, "behind an empty answer nothing is heard"

        self.play(scenario, [empty, *self.known()])
