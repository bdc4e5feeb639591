"""One client: a place in a stream, a line to write to, and when to end.

catching up   reads the shared ring for itself, a batch at a time, as the line has room
live          one of its channel's group, which is written to all at once
full          the line takes no more; when it does again, it catches up
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import attrs

from bond_core.log.cursor import Cursor, Hole
from bond_server.delivery.endings import SLOW, Ending
from bond_server.delivery.line import BATCH_BYTES, Line
from bond_server.delivery.speech import Speech
from bond_server.delivery.start import Start

if TYPE_CHECKING:
    from bond_server.delivery.channel import Channel

Slow = Literal["disconnect", "conflate"]


@attrs.define(eq=False, kw_only=True)
class Client:
    """A client of one stream. Everything here runs in the event loop's turn, and never waits.

    Attributes:
        line: Its connection.
        speech: How it is spoken to.
        cursor: Its place; while it is live, the channel's place is its place.
        channel: Who serves the stream's live clients.
        start: Where it started.
        end_s: When its token stops to count, in Unix seconds; None for never.
        slow: What happens when it can't keep up: it is cut off, to resume; or it skips to the
            newest window.
        ending: Why it is over; None while it is not.
        is_settled: Whether its channel has it: it is live, or about to be where those are.
        full_since_ns: Since when its line takes nothing, on the monotonic clock.
        interrupt: Ends the waiting of the task that handles the connection.
    """

    line: Line
    speech: Speech
    cursor: Cursor
    channel: Channel
    start: Start
    end_s: int | None = None
    slow: Slow = "disconnect"
    ending: Ending | None = None
    is_settled: bool = False
    full_since_ns: int | None = None
    interrupt: Callable[[], object] | None = None
    _fell_behind: bool = False
    _is_of_another_epoch: bool = False

    def begin(self) -> None:
        """Greet it, and bring it to where the live clients are."""
        self.line.listener = self
        self._is_of_another_epoch = self.start.is_of_another_epoch
        self.say(self.speech.hello(self.channel.stream.stream_id, self.start))
        self.catch_up()

    def end(self, ending: Ending) -> None:
        """End the session, whatever it does; only the first ending counts."""
        if self.ending is None:
            self.ending = ending
            self.channel.leave(self)
            if self.interrupt is not None:
                self.interrupt()

    def say(self, payload: bytes | None) -> None:
        """Send something that is no record; nothing where there are no words for it."""
        if payload is not None:
            form = self.line.form
            self.line.write(form.join([form.one(payload)]))

    def catch_up(self) -> None:
        """Send the next batch from the ring; join the live clients when there is none.

        Not once it has joined them: what comes now is sent to all, and a line says that there is
        room also where it was not full, as behind a handshake.
        """
        if self.ending is not None or self.line.is_full or self.is_settled:
            return
        until = None
        if self._fell_behind and self.slow == "conflate":
            if self.cursor.position < self.start.top:
                until = self.start.top  # what was asked to be replayed is never skipped
            else:
                self._skip()
        batch = self.cursor.ready(max_bytes=BATCH_BYTES, until=until)
        if not batch.entries:
            self._fell_behind = False
            self.channel.settle(self)
            return
        hole = batch.hole
        if self._is_of_another_epoch and self.start.after is not None:
            self._is_of_another_epoch = False
            until = batch.entries[0].offset
            hole = Hole(after=self.start.after, until=until, reason="epoch")
        elif hole is not None and self._must_not_go_on(hole):
            self.end(SLOW)
            return
        if hole is not None:
            self.say(self.speech.gap(hole))
        self.line.write(self.channel.framed(self.speech, self.line.form, batch.entries))
        counts = self.channel.counts
        counts.sent += len(batch.entries)
        counts.sent_bytes += sum(len(entry.data) for entry in batch.entries)
        self.channel.stream.wrote(batch.entries[-1])
        # Others get their turn before its next batch; a full line goes on when it has room.
        asyncio.get_running_loop().call_soon(self._go_on)

    def on_full(self) -> None:
        """See Listener."""
        self.channel.fell_behind(self)
        self._fell_behind = True

    def on_room(self) -> None:
        """See Listener."""
        self.channel.hub.is_full_no_more(self)
        self.catch_up()

    def on_lost(self) -> None:
        """See Listener: the handler hears it from the server, too, and ends."""
        self.channel.leave(self)
        self.line.listener = None

    def _go_on(self) -> None:
        if self.line.listener is self:
            self.catch_up()

    def _must_not_go_on(self, hole: Hole) -> bool:
        """Whether nobody told the client of a hole, and nobody can: it is to resume, and be.

        Of a takeover the record behind it tells, by a notice.
        """
        is_trimmed_from_the_start = hole.reason == "trimmed" and self.start.replay == "truncated"
        is_told = is_trimmed_from_the_start or hole.reason == "takeover"
        return not is_told and self.slow != "conflate"

    def _skip(self) -> None:
        left_out, hole = self.cursor.skip_to_newest_window()
        self.channel.counts.conflated += left_out
        if hole is not None:
            self.say(self.speech.gap(hole))
