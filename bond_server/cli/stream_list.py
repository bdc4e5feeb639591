"""`bond list`: the streams of a server."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

from bond_server.cli.asking import add_server_arguments, ask

NAME = "list"
HELP = "list a server's streams"
EXAMPLES = """\
examples:
  bond list
  bond list --url https://bond.example.com --json | jq '.[].stream_id'"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare whose."""
    add_server_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print them, the oldest first. BondError: the server refuses."""
    streams = ask(args.url, "GET", "/v1/streams")
    if args.json:
        print(json.dumps(streams, indent=2))
        return 0
    if not streams:
        print('no streams; `bond create "BTC price + volume every 1s"` makes one')
    for stream in streams:
        print(line_of(stream))
    return 0


def line_of(stream: Mapping[str, Any]) -> str:
    """Return a stream on one line: `8f2a1c9d4b3e7a10  running  BTC/USDT of ccxt  desk`."""
    spec = stream["spec"]
    symbols = spec["symbols"]
    named = ", ".join(symbols[:3]) + (f" and {len(symbols) - 3} more" if len(symbols) > 3 else "")
    types = ", ".join(dict.fromkeys(source["type"] for source in spec["sources"]))
    said = f"{stream['stream_id']}  {stream['state']:<8}  {named} of {types}"
    return f"{said}  {stream['label'] or ''}".rstrip()
