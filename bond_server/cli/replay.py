"""`bond replay`: play a recording, and print its records."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import aclosing
from pathlib import Path

from bond_core.plugin.catalog import Catalog
from bond_server.cli.pace import speed
from bond_server.cli.show import (
    Show,
    add_output_arguments,
    chosen_format,
    new_show,
    run_and_sum_up,
    say,
    show_all,
)
from bond_server.plugin_choice import plugins_of
from bond_server.process import tune_for_playing
from bond_server.recordings.player import Player
from bond_server.recordings.recording import open_recording
from bond_server.recordings.replaying import replayed

NAME = "replay"
HELP = "play what `bond record` has kept"
EXAMPLES = """\
examples:
  bond replay btc.jsonl.gz                       as fast as it was
  bond replay btc.jsonl.gz --speed 60            an hour in a minute
  bond replay btc.jsonl.gz --speed max | jq .price_avg
  bond replay btc.jsonl.gz --from messages       what connectors make of the messages now
  bond serve --replay btc.jsonl.gz --speed 10    at the URLs of a server, for any client

Each record says "replayed": true at its end; but for that it is what it was, byte for byte."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what to play, and how fast."""
    parser.add_argument("file", type=Path, metavar="FILE", help="a recording")
    parser.add_argument(
        "--speed", type=speed, metavar="1|60|max",
        help="recorded seconds a second (default: 1 in a table, max as JSON)",
    )  # fmt: skip
    parser.add_argument(
        "--from", dest="played", choices=("events", "messages"), default="events",
        help="play the events as recorded (default), or read the venues' messages again, with "
        "the connectors of now, and say what is not as it was recorded",
    )  # fmt: skip
    parser.add_argument("--limit", type=int, metavar="N", help="end after so many records")
    add_output_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print records until there are no more, or enough."""
    format_ = chosen_format(args)
    recording = open_recording(args.file)
    show = new_show(format_, limit=args.limit, badge=f"REPLAYED from {recording.name}")
    if format_ == "table":
        header = recording.header
        say(f"REPLAYED    {header.text or header.stream_id}, from {args.file}")
    at = args.speed or ("max" if format_ == "json" else 1.0)
    return run_and_sum_up(_replay(args, show, None if at == "max" else float(at)), show)


async def _replay(args: argparse.Namespace, show: Show, at: float | None) -> None:
    tune_for_playing()
    telling = _Telling(is_shown=sys.stderr.isatty() and show.table is None)
    records = replayed(
        args.file, speed=at, catalog=Catalog.loaded(plugins_of(os.environ)), told=telling.far,
        rereads=args.played == "messages",
    )  # fmt: skip
    try:
        async with aclosing(records) as played:
            await show_all(show, played, args.for_s)
    finally:
        telling.ended()


class _Telling:
    """Says on stderr how far it is, and in the end how it went."""

    def __init__(self, *, is_shown: bool) -> None:
        self._is_shown = is_shown
        self._percent = -1
        self._player: Player | None = None

    def far(self, player: Player) -> None:
        """Say how far it is, where somebody sees it."""
        self._player = player
        percent = 100 * player.read_bytes // max(1, player.recording.size_bytes)
        if self._is_shown and percent != self._percent:
            self._percent = percent
            line = f"\r\x1b[K{percent} % · {player.events:,} events"
            print(line, end="", file=sys.stderr, flush=True)

    def ended(self) -> None:
        """Say how it went."""
        if self._is_shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
        if self._player is None:
            return
        for line in self._player.said():
            say(line)
        if self._player.recording.cut_off is not None:
            say(f"the recording ends early: {self._player.recording.cut_off}")
