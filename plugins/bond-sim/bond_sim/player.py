"""Play a recorded session to whoever subscribed, by hand of a clock or as if it were now."""

from __future__ import annotations

import asyncio
import json

from attrs import define, field

from bond_core.clock import NS, Clock, ManualClock, SystemClock, settle
from bond_sim.clients import Client, Clients
from bond_sim.faults import Faults
from bond_sim.recording import RecordedFrame, RecordedMarket, Recording

_STEP_NS = 50_000_000  # of recorded time, so that what shows it keeps moving


@define
class Player:
    """Plays one recording once. `sent` counts frames; `unanswered` missing pongs."""

    recording: Recording
    market: RecordedMarket
    clients: Clients
    faults: Faults
    sent: int = 0
    unanswered: int = 0
    _pace: Clock = field(factory=SystemClock)

    async def play_by_hand(self, clock: ManualClock, speed: float | None, tail_s: float) -> None:
        """Move the clock to each frame's receipt, send it, and wait until it was handled.

        `speed` is recorded seconds per real second, None as fast as it goes. At the end the
        clock goes on for `tail_s` seconds. The same clients get the same at the same times.
        """
        real_ns, played_ns = self._pace.monotonic_ns(), clock.now_ns()

        async def move_to(at_ns: int) -> None:
            while speed is not None and (now_ns := clock.now_ns()) < at_ns:
                next_ns = min(at_ns, now_ns + _STEP_NS)
                due_ns = real_ns + (next_ns - played_ns) / speed
                await self._pace.sleep((due_ns - self._pace.monotonic_ns()) / NS)
                await clock.advance_to(next_ns)
            await clock.advance_to(at_ns)

        for frame in self.recording.frames:
            if self._wanted(frame):
                await move_to(frame.at_ns)
                await self._handled(await self._send(frame))
            else:
                self.market.saw(self.recording.venue.seen(frame.message))
        await self._handled(await self.clients.publish_held(self.faults, self.recording.venue.name))
        await move_to(self.recording.frames[-1].at_ns + round(tail_s * NS))

    async def play_as_now(self, clock: Clock, align_s: float) -> None:
        """Send each frame at its time, all times moved on by a whole multiple of `align_s`.

        It begins within `align_s` seconds, when the clock stands in its minute (or whatever
        `align_s` is) where it stood when the recording began.
        """
        align_ns = round(align_s * NS)
        behind_ns = clock.now_ns() - self.recording.start_ns
        shift_ns = -(-behind_ns // align_ns) * align_ns
        for frame in self.recording.frames:
            await clock.sleep_until(frame.at_ns + shift_ns)
            moved = self.recording.venue.retimed(frame.message, shift_ns)
            await self._send(RecordedFrame(frame.at_ns + shift_ns, moved))
        await self.clients.publish_held(self.faults, self.recording.venue.name)

    def _wanted(self, frame: RecordedFrame) -> bool:
        venue = self.recording.venue
        return any(
            self.clients.wanted(venue.name, wire) for wire, _ in venue.recorded(frame.message)
        )

    async def _send(self, frame: RecordedFrame) -> list[Client]:
        venue = self.recording.venue
        self.market.saw(venue.seen(frame.message))
        reached: dict[Client, None] = {}
        for wire, payload in venue.recorded(frame.message):
            if self.clients.wanted(venue.name, wire):
                text = json.dumps(payload, separators=(",", ":"))
                clients = await self.clients.publish(self.faults, venue.name, wire, text)
                self.sent += bool(clients)
                reached |= dict.fromkeys(clients)
        return list(reached)

    async def _handled(self, clients: list[Client]) -> None:
        """Return when every client has read what it was sent, and all that follows has run."""
        answers = await asyncio.gather(*(client.caught_up() for client in clients))
        self.unanswered += answers.count(False)
        await settle()
