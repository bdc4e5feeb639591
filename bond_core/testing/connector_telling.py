"""Checks 32 to 34: what a connector tells of itself: its health, and nothing secret."""

from __future__ import annotations

from bond_core.errors import Fatal, Retryable
from bond_core.testing.connector_base import ConnectorBase
from bond_core.testing.leaks import around, leaks_in, overheard
from bond_core.testing.plugin_suite import skip
from bond_core.testing.stage import Stage


class ConnectorTelling(ConnectorBase):
    """What holds for what a connector tells."""

    def test_its_health_is_told(self) -> None:
        """Check 32: it is live once its source was heard, not before; a failure has a reason."""

        async def scenario(stage: Stage) -> None:
            stage.source.refuse(lambda: Retryable("the source can't be reached: ConnectError"))
            await stage.pass_time(5)
            assert not stage.told("live"), "it calls itself live before its source was heard"
            stage.source.accept()
            is_live = await stage.until(lambda: stage.is_live)
            assert is_live, f"its source speaks, and it isn't live: {stage.statuses}"
            self.break_off(stage)
            await stage.until(lambda: bool(stage.told("reconnecting")), within_s=5)
            await stage.until(lambda: stage.is_live)
            for status in ("reconnecting", "failed"):
                assert all(stage.told(status)), f"it is {status}, and gives no reason"

        self.play(scenario)

    def test_it_shows_no_secret(self) -> None:
        """Check 33: what `env` holds is in no log line, print, event or reason, at any level."""
        if not self.env:
            self.known()
            skip("no env: it is given no secret that could show")
        with overheard() as heard:

            async def scenario(stage: Stage) -> Stage:
                await stage.until_said(self.expected())
                self.break_off(stage)
                await stage.pass_time(5)
                stage.source.refuse(lambda: Fatal("the source answered 401: it is refused"))
                self.break_off(stage)
                await stage.pass_time(5)
                return stage

            stage = self.play(scenario)
        told = f"{heard.text()}\n{stage.emitted}\n{stage.statuses}\n{stage.rejected}\n{stage.ends}"

        for name, secret in self.env.items():
            assert secret not in told, f"{name} shows: {around(told, secret)}"

    def test_its_recording_holds_no_secret(self) -> None:
        """Check 34: neither what `env` holds nor anything like a token is in the cassette."""
        if not self.cassette:
            self.known()
            skip("no cassette: nothing was recorded")
        found = leaks_in(self.cassette, self.env)

        assert not found, f"the cassette holds {found[0]}: record it with bond_core.testing.record"
