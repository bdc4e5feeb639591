"""`bond stop`: end streams of a server."""

from __future__ import annotations

import argparse

from bond_server.cli.asking import add_server_arguments, ask, stream_path

NAME = "stop"
HELP = "end streams of a server"
EXAMPLES = """\
examples:
  bond stop 8f2a1c9d4b3e7a10
  bond list --json | jq -r '.[].stream_id' | xargs bond stop

Their clients are told; what was kept of them is gone."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare which."""
    parser.add_argument("stream_ids", nargs="+", metavar="ID", help="as `bond list` shows it")
    add_server_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """End them. BondError: there is none of an id, or the server refuses."""
    for stream_id in args.stream_ids:
        ask(args.url, "DELETE", stream_path(stream_id))
        if not args.json:
            print(f"{stream_id} is stopped")
    return 0
