"""A clock that a test moves, and whose time of day it may set without time having passed."""

from __future__ import annotations

from bond_core.clock import NS, ManualClock


class VirtualClock(ManualClock):
    """A ManualClock whose wall clock can be set, as an operator or NTP sets a machine's."""

    def __init__(self, now_ns: int = 1_700_000_000 * NS) -> None:
        super().__init__(now_ns)
        self._set_by_ns = 0

    def now_ns(self) -> int:
        """Return the time of day, ns."""
        return super().now_ns() + self._set_by_ns

    def monotonic_ns(self) -> int:
        """Return the time that has passed, ns: setting the time of day leaves it alone."""
        return super().now_ns()

    async def sleep(self, seconds: float) -> None:
        """Wait until so much time has passed."""
        await super().sleep_until(self.monotonic_ns() + round(seconds * NS))

    async def sleep_until(self, at_ns: int) -> None:
        """Wait until the time of day is `at_ns`, however often it is set meanwhile."""
        await super().sleep_until(at_ns - self._set_by_ns)
        while self.now_ns() < at_ns:
            await super().sleep_until(at_ns - self._set_by_ns)

    async def advance(self, seconds: float) -> None:
        """Let so much time pass."""
        await self.advance_to(self.monotonic_ns() + round(seconds * NS))

    def step(self, seconds: float) -> None:
        """Set the time of day forward, or back; nobody wakes earlier for it."""
        self._set_by_ns += round(seconds * NS)
