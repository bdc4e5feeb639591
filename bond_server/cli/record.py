"""`bond record`: run a stream here and keep all that it was made of in a file."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import attrs

from bond_core.clock import NS, SystemClock
from bond_core.errors import SourceError
from bond_core.runtime.tape.frames import Frames
from bond_core.runtime.tape.told import Tape
from bond_server.assumed import defaults_of, egress_of
from bond_server.cli.first import first_of
from bond_server.cli.listen import read_request
from bond_server.cli.phrase import understood
from bond_server.cli.show import STARTS_WITHIN_S, duration_s, say
from bond_server.compiling import Compiled
from bond_server.local import Bond, Stream
from bond_server.mending import EXAMPLE
from bond_server.plugin_choice import plugins_of
from bond_server.process import tune_for_serving
from bond_server.recordings.recorder import Progress, Recorder

NAME = "record"
HELP = "keep all that a stream is made of in a file, to play it again"
EXAMPLES = f"""\
examples:
  bond record "{EXAMPLE}" -o btc.jsonl.gz
  bond record "BTC and ETH price on kraken every 5s" -o two.jsonl.gz --for 1h
  bond record stream.json -o day.jsonl.gz --no-frames      a spec; without what venues said
  bond replay btc.jsonl.gz
  zcat btc.jsonl.gz | head

It ends with Ctrl-C, or after --for. Whatever ends it, what is in the file can be played."""

_EVERY_NS = 10 * NS
"""How often it is said how far it is where nobody looks at a terminal."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what to record, and where."""
    parser.add_argument("text", metavar="TEXT|SPEC.json", help="a sentence, or a file with a spec")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FILE",
        help="the file to write; it must not be there (JSON lines in gzip)",
    )  # fmt: skip
    parser.add_argument(
        "--for", dest="for_s", type=duration_s, metavar="TIME",
        help="end so long after the sources are heard, such as 20s or 10m",
    )  # fmt: skip
    parser.add_argument(
        "--no-frames", dest="frames", action="store_false",
        help="keep events only, not also the messages of venues as they came",
    )  # fmt: skip
    parser.add_argument(
        "--simulate", action="store_true",
        help="simulate what can be; every record says so (or BOND_SIMULATE=1)",
    )  # fmt: skip
    parser.add_argument("--quiet", action="store_true", help="say only how it ended")


def run(args: argparse.Namespace) -> int:
    """Record until told to end."""
    request = read_request(args.text)
    telling = _Telling(is_terminal=sys.stderr.isatty(), is_quiet=args.quiet)
    tune_for_serving()
    asyncio.run(_record(request, args, telling))
    return 0


async def _record(request: dict[str, object], args: argparse.Namespace, telling: _Telling) -> None:
    clock, tape, egress = SystemClock(), Tape(), egress_of(os.environ)
    frames = Frames(clock, egress) if args.frames else None
    async with Bond(
        clock=clock,
        defaults=defaults_of(os.environ, simulate=args.simulate),
        egress=egress,
        plugins=plugins_of(os.environ),
        tape=tape,
        ways_out=frames.way_out if frames else None,
    ) as bond:
        compiled = bond.compile(request)
        if not args.quiet:
            say(f"understood  {understood(compiled)}")
        for warning in compiled.warnings:
            say(f"warning: {warning}")
        if compiled.spec.sinks:
            say("warning: a recorder carries nothing to sinks; the spec's are left out")
        recorder = Recorder(bond, tape, frames, telling.far)
        text = request.get("natural_language")
        enough = _Enough(args.for_s or _asked_s(compiled))
        try:
            await recorder.run(
                compiled, args.output, text=text if isinstance(text, str) else None,
                until=enough.reached,
            )  # fmt: skip
        finally:
            telling.ended(recorder.progress, args.output)


def _asked_s(compiled: Compiled) -> float | None:
    ms = compiled.options.duration_ms
    return None if ms is None else ms / 1000


@attrs.frozen
class _Enough:
    """Says when there is enough: after a time, at a signal, or when nothing would ever come."""

    for_s: float | None

    async def reached(self, stream: Stream) -> None:
        """Return when it is enough.

        Raises:
            SourceError: Every source has failed for good.
        """
        await first_of(_told_to_end(), self._time_is_over(stream), _nothing_comes(stream))

    async def _time_is_over(self, stream: Stream) -> None:
        if self.for_s is None:
            await asyncio.get_running_loop().create_future()  # until cancelled
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(stream.pipeline.settled(), STARTS_WITHIN_S)
        await asyncio.sleep(self.for_s)


async def _told_to_end() -> None:
    told, loop = asyncio.Event(), asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)
    with suppress(NotImplementedError):  # Windows ends it by KeyboardInterrupt
        for each in signals:
            loop.add_signal_handler(each, told.set)
    try:
        await told.wait()
    finally:
        with suppress(NotImplementedError):
            for each in signals:
                loop.remove_signal_handler(each)


async def _nothing_comes(stream: Stream) -> None:
    while True:
        await asyncio.sleep(1.0)
        health = stream.health()
        if health and all(source["status"] == "failed" for source in health.values()):
            why = "; ".join(f"{n}: {s.get('reason', 'no reason')}" for n, s in health.items())
            raise SourceError(f"every source has failed: {why}", code="source_failed")


@attrs.define
class _Telling:
    """Says on stderr how far a recording is: on one line of a terminal, else now and then."""

    is_terminal: bool
    is_quiet: bool
    _began_ns: int = 0
    _said_ns: int = 0

    def far(self, progress: Progress) -> None:
        """Say how far it is."""
        self._began_ns = self._began_ns or progress.now_ns
        if self.is_quiet:
            return
        if self.is_terminal:
            print(f"\r\x1b[K{self._line(progress)}", end="", file=sys.stderr, flush=True)
        elif progress.now_ns - self._said_ns >= _EVERY_NS:
            self._said_ns = progress.now_ns
            say(self._line(progress))

    def ended(self, progress: Progress, path: Path) -> None:
        """Say what there is."""
        if self.is_terminal and not self.is_quiet:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
        if progress.size_bytes:
            say(f"{self._line(progress)} in {path}; play it: bond replay {path}")

    def _line(self, progress: Progress) -> str:
        seconds = (progress.now_ns - self._began_ns) // NS if self._began_ns else 0
        frames = f" · {progress.frames:,} messages" if progress.frames else ""
        return (
            f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02} · "
            f"{progress.events:,} events{frames} · {progress.records:,} records · "
            f"{progress.size_bytes / 1e6:,.1f} MB"
        )
