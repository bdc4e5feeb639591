"""`bond export`: take what a recording holds to Parquet or CSV."""

from __future__ import annotations

import argparse
import asyncio
import os
from pathlib import Path

from bond_core.plugin.catalog import Catalog
from bond_server.cli.show import say
from bond_server.plugin_choice import plugins_of
from bond_server.recordings.exporting import Format, export_events, export_records
from bond_server.recordings.recording import open_recording
from bond_server.recordings.replaying import replayed

NAME = "export"
HELP = "take what a recording holds to Parquet or CSV"
EXAMPLES = """\
examples:
  bond export btc.jsonl.gz --to parquet                  btc.trade.parquet, btc.quote.parquet, …
  bond export btc.jsonl.gz --to csv --what records       btc.records.csv
  bond export btc.jsonl.gz --to csv -o /data/day1        /data/day1.trade.csv, …"""

_ENDINGS = (".gz", ".jsonl")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what to take, and where to."""
    parser.add_argument("file", type=Path, metavar="FILE", help="a recording")
    parser.add_argument("--to", choices=["parquet", "csv"], required=True, help="the format")
    parser.add_argument(
        "--what", choices=["events", "records"], default="events",
        help="the events as they were heard, or the records made of them (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--output", type=Path, metavar="NAME",
        help="what the files' names begin with (default: as the recording's, in this folder)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Write the files, and say which."""
    name = args.output or Path(_bare(args.file.name))
    if args.what == "events":
        _events(args.file, args.to, name)
    else:
        asyncio.run(_records(args.file, args.to, name))
    return 0


def _events(file: Path, to: Format, name: Path) -> None:
    recording = open_recording(file)
    counts = export_events(recording, to, lambda kind: _named(name, kind, to))
    for path, count in counts.items():
        say(f"{count:,} events in {path}")
    if not counts:
        say("there is no event in it")
    if recording.cut_off is not None:
        say(f"the recording ends early: {recording.cut_off}")


async def _records(file: Path, to: Format, name: Path) -> None:
    path = _named(name, "records", to)
    catalog = Catalog.loaded(plugins_of(os.environ))
    count = await export_records(lambda: replayed(file, catalog=catalog), to, path)
    say(f"{count:,} records in {path}" if count else "there is no record in it")


def _named(name: Path, what: str, to: Format) -> Path:
    return name.with_name(f"{name.name}.{what}.{to}")


def _bare(name: str) -> str:
    for ending in _ENDINGS:
        name = name.removesuffix(ending)
    return name
