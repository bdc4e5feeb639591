"""A Bond that plays a recording: at the same URLs and for the same clients as a live one.

`replayed` is the same without a server: the records of a recording, one after the other.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import msgspec

from bond_core.clock import Clock, SystemClock
from bond_core.errors import BondError, RequestError
from bond_core.log.cursor import Cursor
from bond_core.log.event_log import EventLog
from bond_core.log.memory import MemoryLog
from bond_core.log.offset import START, Offset
from bond_core.plugin.catalog import Catalog
from bond_core.runtime.feeds import Feeds
from bond_core.runtime.pipeline import Pipeline
from bond_core.runtime.simulators import Simulators
from bond_core.spec.canonical import canonical_json
from bond_core.spec.stream_spec import StreamSpec
from bond_server.compiling import Compiled
from bond_server.local import Bond, Stream
from bond_server.recordings.player import KEEPS_ALL, Player, compiled_from
from bond_server.recordings.recording import Recording, open_recording


class ReplayBond(Bond):
    """Bond, whose one stream is a recording. It begins to play when somebody listens.

    A request for that stream, by the same sentence or the same spec, is answered as by a live
    server; for any other is said what there is. Who asks again after its end has it played anew.

    Args:
        recording: What is played.
        speed: Recorded seconds a second; None for as fast as it goes.
        made_with: What a `Bond` is made with.

    Attributes:
        player: What plays it; None before it was asked for.
    """

    def __init__(self, recording: Recording, *, speed: float | None, **made_with: Any) -> None:
        super().__init__(**{**made_with, "retention": KEEPS_ALL})
        self.recording = recording
        self.player: Player | None = None
        self.defaults = attrs.evolve(self.defaults, needs_keys=False)
        self.compiled = compiled_from(recording.header, self.catalog, recording.name)
        self._speed = speed
        self._is_heard = asyncio.Event()

    def compile(self, request: Mapping[str, Any]) -> Compiled:
        """Return the recorded stream, if that is what is asked for.

        Raises:
            RequestError: It asks for another one.
        """
        is_its_text = _words(request.get("natural_language")) == _words(self.recording.header.text)
        try:
            asked = super().compile(request)
        except BondError:
            if is_its_text and "natural_language" in request:
                return self.compiled
            raise
        if not is_its_text and _heard(asked.spec) != _heard(self.compiled.spec):
            raise self._other()
        options = attrs.evolve(asked.options, duration_ms=None)  # it ends when the recording does
        return attrs.evolve(self.compiled, options=options, understanding=asked.understanding)

    def _other(self) -> RequestError:
        text = self.recording.header.text
        spec = canonical_json(self.compiled.spec)
        return RequestError(
            f"{self.recording.name} is played here, and holds another stream",
            code="not_recorded",
            fix=text or f'{{"spec": {spec}}}',
        )

    async def create(self, compiled: Compiled, *, project: str = "local") -> tuple[Stream, bool]:
        """Have it played, or find it playing; it keeps the id that stands in its records."""
        return await self._create(self.recording.header.stream_id, compiled, project)

    def cursor(self, stream_id: str, after: Offset | None = None) -> Cursor:
        """See Bond; the first one starts the recording."""
        cursor = super().cursor(stream_id, after)
        self._is_heard.set()
        return cursor

    def _pipeline(
        self, compiled: Compiled, stream_id: str, log: EventLog, *, takes_over: bool
    ) -> Pipeline:
        self._is_heard.clear()
        self.player = Player(
            self.recording, compiled.bound, feeds=self.feeds, log=log, clock=self.clock,
            speed=self._speed,
        )  # fmt: skip
        return self.player.pipeline

    async def _run_pipeline(self, stream: Stream) -> None:
        player = self.player
        assert player is not None  # noqa: S101 -- the stream was begun with it
        await self._is_heard.wait()
        async with aclosing(player.play()) as played:
            async for _ in played:
                pass
        self._logger.info("%s is played: %s", self.recording.name, "; ".join(player.said()))
        if self.recording.cut_off is not None:
            self._logger.warning("%s: %s", self.recording.name, self.recording.cut_off)
        # By another task: completing ends this one.
        self.tasks.create_task(self.complete(stream), name=f"complete {stream.stream_id}")

    async def _renew(self, stream: Stream) -> None:
        """Nothing is listened to, so nothing is to be listened to anew."""


async def replayed(
    path: Path | str, *, speed: float | None = None, clock: Clock | None = None,
    catalog: Catalog | None = None, told: Callable[[Player], None] = lambda _: None,
    rereads: bool = False,
) -> AsyncGenerator[bytes]:  # fmt: skip
    """Yield the records of a recording, each as the bytes of its JSON.

    Args:
        path: The file.
        speed: Recorded seconds a second; None for as fast as it goes.
        clock: The real one.
        catalog: What is installed; None loads it.
        told: Called with what plays, whenever records have come.
        rereads: Whether venues' messages are read again; else the recorded events are played.

    Raises:
        RecordingError: The file can't be played; BondError: a plugin that it needs isn't here.
    """
    recording, clock = open_recording(Path(path)), clock or SystemClock()
    catalog = catalog or Catalog.installed()
    compiled = compiled_from(recording.header, catalog, recording.name)
    chance = random.Random()  # noqa: S311 -- nothing is drawn
    feeds = Feeds(clock=clock, chance=chance, simulators=Simulators(clock=clock))
    log = _Taken()
    player = Player(
        recording, compiled.bound, feeds=feeds, log=log, clock=clock, speed=speed, rereads=rereads
    )
    async with aclosing(player.play()) as played:
        async for _ in played:
            for data in log.take():
                yield data
            told(player)


@asynccontextmanager
async def played(
    path: Path | str, text_or_spec: str | Mapping[str, Any] | None = None, *,
    speed: float | None = None,
) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:  # fmt: skip
    """Play a recording for as long as the context lasts; gives its records.

    Args:
        path: The file.
        text_or_spec: What must have been recorded; None for whatever it was.
        speed: See replayed.

    Raises:
        RequestError: Something else was recorded; else see replayed.
    """
    if text_or_spec is not None:
        asked = {"natural_language" if isinstance(text_or_spec, str) else "spec": text_or_spec}
        ReplayBond(open_recording(Path(path)), speed=None).compile(asked)
    async with aclosing(replayed(path, speed=speed)) as records:
        yield (msgspec.json.decode(data) async for data in records)


class _Taken(MemoryLog):
    """A log that keeps nothing but what has yet to be taken."""

    def __init__(self) -> None:
        super().__init__()
        self._records: list[bytes] = []

    async def append(
        self, stream_id: str, items: Sequence[tuple[Offset, bytes]], *, fence: int = 0,
        lost_until: Offset = START,
    ) -> None:  # fmt: skip
        """See EventLog."""
        self._records += [data for _, data in items]

    def take(self) -> list[bytes]:
        """Return the records that entered since."""
        taken, self._records = self._records, []
        return taken


def _heard(spec: StreamSpec) -> str:
    """Return what a spec listens to and says of it: not whether it is simulated, nor sinks."""
    sources = tuple(attrs.evolve(source, simulate=None) for source in spec.sources)
    return canonical_json(attrs.evolve(spec, sources=sources, simulate=False, sinks=()))


def _words(text: Any) -> list[str] | None:
    return text.lower().split() if isinstance(text, str) else None
