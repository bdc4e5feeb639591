"""Checks 14 to 20: the source breaks off, refuses, says nonsense or nothing at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bond_core.clock import NS
from bond_core.errors import Fatal, Retryable
from bond_core.plugin.specs import ConnectorSpec
from bond_core.testing.cassette import Answer, Frame
from bond_core.testing.connector_base import ConnectorBase, known_by
from bond_core.testing.plugin_suite import skip
from bond_core.testing.stage import Stage

MOST_ATTEMPTS_PER_MIN = 12
"""More than the runtime's own pauses give while a source is away; less is nobody's storm."""

_AWAY_S = 180.0
_RETRY_AFTER_S = 120.0
_VALUES: tuple[Any, ...] = (None, [], {}, "<html>", {"error": {"code": -1}})
_ANSWERS = [Answer(value) for value in _VALUES]
_TEXTS = ("{", "null", "[]", "{}", '{"type": null}', b"\xff\xfe", '"later"')
_FRAMES = [Frame(text) for text in _TEXTS]


class ConnectorFaults(ConnectorBase):
    """What holds for a connector whose source is in trouble."""

    def test_it_comes_back_after_a_drop(self) -> None:
        """Check 14: the connection breaks: that is told, and after a pause it listens again."""

        async def scenario(stage: Stage) -> None:
            await stage.until_said(self.expected())
            n = len(stage.emitted)
            stage.source.go_on(self.later)
            self.break_off(stage)
            is_back = await stage.until(lambda: len(stage.emitted) > n and stage.is_live)
            assert stage.told("reconnecting"), "the connection broke, and nobody was told"
            assert is_back, f"it did not come back; states: {stage.statuses}"

        self.play(scenario)

    def test_it_does_not_storm_a_source_that_is_away(self) -> None:
        """Check 15: while the source can't be reached it leaves the pauses to the runtime."""

        async def scenario(stage: Stage) -> list[int]:
            stage.source.refuse(lambda: Retryable("the source can't be reached: ConnectError"))
            away_s = 40.0 if stage.is_threaded else _AWAY_S
            await stage.until(
                lambda: len(stage.source.asked_ns) > MOST_ATTEMPTS_PER_MIN * away_s / 60,
                within_s=away_s,
            )
            return stage.source.asked_ns

        asked_ns = self.play(scenario)
        n = most_in(asked_ns, 60)
        assert n <= MOST_ATTEMPTS_PER_MIN, (
            f"{n} attempts within a minute at a source that is away: raise Retryable, and let the "
            "runtime pause"
        )
        assert len(asked_ns) > 1, "it never tried again"

    def test_it_heeds_retry_after(self) -> None:
        """Check 16: told to come back in two minutes, it asks nothing before."""
        self.no_sdk("it is its library that is told when to come back")

        async def scenario(stage: Stage) -> list[int]:
            await stage.until_said(self.expected())
            stage.source.refuse(
                lambda: Retryable("the source answered 429", retry_after_s=_RETRY_AFTER_S), times=1
            )
            n = len(stage.source.asked_ns)
            if not self.is_poll():
                stage.source.drop()
            await stage.until(lambda: len(stage.source.asked_ns) > n + 1, within_s=400.0)
            return stage.source.asked_ns[n:]

        refused_ns, *later_ns = self.play(scenario)
        assert later_ns, "refused with Retry-After, it never asked again"
        after_s = (later_ns[0] - refused_ns) / NS
        assert after_s >= _RETRY_AFTER_S, f"it asked again after {after_s:g} s, and was told 120"

    def test_a_refused_key_is_fatal(self) -> None:
        """Check 17: a key that is refused is tried once, and the source fails with a reason."""
        if self.sdks and not isinstance(self.auth_failure, Exception):
            skip("no `auth_failure`: what its library raises for a wrong key isn't known")
        given = self.auth_failure

        async def scenario(stage: Stage) -> None:
            if isinstance(given, Exception):
                stage.source.refuse(lambda: given)
            elif not given:
                stage.source.refuse(lambda: Fatal("the source answered 401: it is refused"))
            await stage.until(lambda: stage.has_failed, within_s=30)
            n = len(stage.source.asked_ns)
            await stage.pass_time(30)
            assert stage.has_failed, f"a refused key is no failure to it: {stage.statuses}"
            why = stage.told("failed")[-1] or ""
            assert not why.startswith("bug in the connector"), f"a refused key is a bug: {why}"
            assert len(stage.source.asked_ns) == n, "a refused key is tried again"
            assert len(stage.ends) == 1, f"a refused key is tried again: {stage.ends}"

        self.play(scenario, None if isinstance(given, Exception) else given or None)

    def test_nonsense_is_counted_and_survived(self) -> None:
        """Check 18: what can't be read ends nothing, and what comes behind it is heard."""
        self.no_sdk("what its library says, its library has read")
        every = [known_by(event) for event in self.ordinary().heard]
        mixed = _with_nonsense(self.known(), _ANSWERS if self.is_poll() else _FRAMES)

        async def scenario(stage: Stage) -> None:
            await stage.until(lambda: stage.source.is_played_out, within_s=600.0)
            await stage.until(lambda: stage.is_live)
            told = stage.told("failed")
            assert not told, f"nonsense of the source ends it: {told[-1]}"
            heard = {known_by(event) for event in stage.heard}
            lost = [event for event in every if event not in heard]
            assert not lost, f"behind nonsense {len(lost)} of {len(every)} events are lost"
            assert len(stage.ends) <= len(_TEXTS), f"nonsense makes it start anew: {stage.ends}"

        self.play(scenario, mixed)

    def test_it_resumes_after_what_it_heard(self) -> None:
        """Check 19: resumable, it names the newest id that it heard when it comes back."""
        self.no_sdk("how its library resumes, the stand-in doesn't show")
        if not self.connector().capabilities.resumable:
            skip("its spec doesn't say that it is resumable")

        async def scenario(stage: Stage) -> None:
            await stage.until_said(self.expected())
            newest = {event.symbol: event.id for event in stage.heard if event.id}
            assert newest, "it is resumable, and its events have no ids to resume after"
            n = len(stage.source.sent)
            stage.source.drop()
            await stage.until(lambda: stage.source.opened > 1 or self.is_poll())
            await stage.pass_time(10)
            sent = repr(stage.source.sent[n:])
            for symbol, last_id in newest.items():
                assert last_id in sent, (
                    f"after {last_id} of {symbol} it came back with {sent[:200]}: ask from "
                    "ctx.cursor(channel, symbol) on"
                )

        self.play(scenario)

    def test_silence_is_not_taken_for_life(self) -> None:
        """Check 20: a source that falls silent is given up, and listened to anew."""
        spec = self.connector()
        limits = [channel.stale_s for channel in self.listened_to() if channel.stale_s is not None]
        if not limits:
            skip("its spec says that silence means nothing")
        every_s = _polls_every_s(spec, self)

        async def scenario(stage: Stage) -> None:
            await stage.until_said(self.expected())
            n = len(stage.source.asked_ns)
            stage.source.fall_silent()
            self.silence_sdk(list(stage.source.lent.made))
            told = await stage.until(
                lambda: bool(stage.told("stale") or stage.told("reconnecting")),
                within_s=2 * max(limits) + 2 * every_s + 30,
            )
            assert told, "the source is silent, and nobody was told: no heartbeat of your own"
            await stage.until(lambda: len(stage.source.asked_ns) > n, within_s=120)
            assert len(stage.source.asked_ns) > n, "the source is silent, and isn't asked anew"

        self.play(scenario)


def _with_nonsense(known: Sequence[Any], nonsense: Sequence[Any]) -> list[Any]:
    """Return what a source says behind nonsense; never so much of that that it looks gone."""
    mixed: list[Any] = []
    for item in nonsense:
        mixed += [item, *known]
    return mixed


def _polls_every_s(spec: ConnectorSpec, suite: ConnectorBase) -> float:
    settings = suite.settings()
    return float(settings.get("every_s") or spec.polls_every_s or 0.0)


def most_in(times_ns: Sequence[int], seconds: float) -> int:
    """Return how many of these times lie within any stretch of so many seconds, at most."""
    most = start = 0
    for end, at_ns in enumerate(times_ns):
        while at_ns - times_ns[start] >= seconds * NS:
            start += 1
        most = max(most, end - start + 1)
    return most
