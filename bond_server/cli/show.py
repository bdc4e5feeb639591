"""Print records as they come, as JSON lines, CSV or a table, and know when to stop."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Literal, Protocol

import attrs
import msgspec

from bond_core.errors import BondError, SourceError
from bond_core.spec.duration import parse_duration_ms
from bond_server.cli.progress import Progress
from bond_server.cli.tally import Tally

Format = Literal["table", "json", "csv"]
Json = dict[str, object]

STARTS_WITHIN_S = 30.0
"""`--for` counts from when sources are heard, or after so many seconds if they are not."""


class _Table(Protocol):
    """What prints a record otherwise than as it came; loaded only where it is used."""

    def show(self, record: Json) -> None:
        """Print a record."""


@attrs.define(eq=False)
class Show:
    """Prints records and counts them.

    Attributes:
        tally: What was printed.
        last_id: The newest record's id.
        progress: Tells a person how far it has come where records go elsewhere.
    """

    table: _Table | None
    limit: int | None = None
    tally: Tally = attrs.field(factory=Tally)
    last_id: str = ""
    is_heard: bool = False
    progress: Progress | None = None
    on_record: Callable[[], None] = lambda: None

    def record(self, data: bytes) -> None:
        """Print one record, given as its JSON. BrokenPipeError: nobody reads any more."""
        record = msgspec.json.decode(data)
        self.tally.add(record)
        if self.table is not None:
            self.table.show(record)
            sys.stdout.flush()
        else:
            # As it came: byte for byte what the log holds.
            sys.stdout.buffer.write(data + b"\n")
            sys.stdout.buffer.flush()
        if self.progress is not None:
            self.progress.step()
        self.last_id = record["id"]
        sources = record.get("sources", {})  # a raw event has none: it was heard
        self.is_heard |= any(s["status"] != "starting" for s in sources.values()) or not sources
        self.on_record()

    @property
    def is_enough(self) -> bool:
        """Whether as many were printed as were asked for."""
        return self.limit is not None and self.tally.records >= self.limit


def new_show(format: Format, *, limit: int | None = None, badge: str = "SIMULATED") -> Show:  # noqa: A002 -- as users call it
    """Return what prints in this format."""
    if format == "json":
        return Show(table=None, limit=limit)
    if format == "csv":
        from bond_server.cli.csv_lines import CsvLines  # noqa: PLC0415 -- as below

        return Show(table=CsvLines(sys.stdout), limit=limit)
    from bond_server.cli.table import Table  # noqa: PLC0415 -- it loads rich, and JSON needs none

    return Show(table=Table(sys.stdout, badge=badge), limit=limit)


async def show_all(show: Show, records: AsyncIterator[bytes], for_s: float | None) -> None:
    """Print records until they end, there are enough, or the time is over.

    Raises:
        SourceError: Every source has failed for good: nothing would ever come.
        BrokenPipeError: Nobody reads any more.
    """
    loop = asyncio.get_running_loop()
    end = None if for_s is None else loop.time() + STARTS_WITHIN_S + for_s
    try:
        async with asyncio.timeout_at(end) as deadline:
            was_heard = False
            async for data in records:
                show.record(data)
                if show.is_enough:
                    return
                if show.tally.is_hopeless:
                    raise _hopeless(show.tally)
                if for_s is not None and show.is_heard and not was_heard:
                    was_heard = True
                    deadline.reschedule(loop.time() + for_s)
    except TimeoutError:
        if not deadline.expired():
            raise


def run_and_sum_up(
    main: Coroutine[Any, Any, None], show: Show, *, for_s: float | None = None
) -> int:
    """Run what prints, until it ends or Ctrl-C; then say what there was, and return the status.

    Args:
        main: What prints.
        show: What it prints with.
        for_s: How long that lasts, where it is known.

    Raises:
        BondError: It did not work; BrokenPipeError: nobody reads any more.
    """
    was_interrupted = False
    if not sys.stdout.isatty():
        show.progress = Progress(sys.stderr, total=show.limit, within_s=for_s)
    try:
        asyncio.run(_wiping(show, main))
    except KeyboardInterrupt:
        was_interrupted = True
    except BondError:
        if show.tally.records:
            say(show.tally.line())
        raise
    say(show.tally.line())
    return 130 if was_interrupted and not show.tally.records else 0


async def _wiping(show: Show, main: Coroutine[Any, Any, None]) -> None:
    """Run it, and leave no progress standing, whatever ends it."""
    try:
        await main
    finally:
        if show.progress is not None:
            show.progress.clear()


def _hopeless(tally: Tally) -> SourceError:
    reasons = "; ".join(f"{name}: {why}" for name, why in tally.reasons().items())
    return SourceError(f"every source has failed: {reasons}", code="source_failed")


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare how long to print, and how."""
    parser.add_argument(
        "--for", dest="for_s", type=duration_s, metavar="TIME",
        help="end so long after the sources are heard, such as 20s or 10m",
    )  # fmt: skip
    parser.add_argument(
        "--format",
        choices=["table", "json", "csv"],
        help="a table, a JSON object a line, or CSV (default: a table on a terminal, else JSON)",
    )


def chosen_format(args: argparse.Namespace) -> Format:
    """Return the format that was asked for, or the one that fits where stdout leads."""
    asked: Format | None = args.format
    if asked is not None:
        return asked
    return "table" if sys.stdout.isatty() else "json"


def duration_s(text: str) -> float:
    """Read a duration such as `20s` or `1m30s`, or a number of seconds."""
    number = text.isascii() and text.replace(".", "", 1).isdigit()
    ms = parse_duration_ms(float(text) if number else text)
    if not ms:
        raise argparse.ArgumentTypeError(f"a time is written 20s, 10m or 1h30m, not {text!r}")
    return ms / 1000


def say(text: str) -> None:
    """Tell the person at the terminal, on stderr, where it does not mix with records."""
    print(text, file=sys.stderr, flush=True)
