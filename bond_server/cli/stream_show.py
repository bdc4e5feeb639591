"""`bond show`: one stream of a server, and how its sources do."""

from __future__ import annotations

import argparse
import json

from bond_server.cli.asking import add_server_arguments, ask, stream_path
from bond_server.cli.stream_list import line_of

NAME = "show"
HELP = "show a stream of a server, and how its sources do"
EXAMPLES = """\
examples:
  bond show 8f2a1c9d4b3e7a10
  bond show 8f2a1c9d4b3e7a10 --json | jq .sources

Exit status 1 if the stream has failed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare which."""
    parser.add_argument("stream_id", metavar="ID", help="as `bond list` shows it")
    add_server_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print it. BondError: there is none, or the server refuses."""
    stream = ask(args.url, "GET", stream_path(args.stream_id))
    if args.json:
        print(json.dumps(stream, indent=2))
    else:
        print(line_of(stream))
        for assumed in stream["assumed"]:
            print(f"  assumed   {assumed}")
        for name, source in stream["sources"].items():
            badge = " SIMULATED" if source.get("simulated") else ""
            reason = f": {source['reason']}" if source.get("reason") else ""
            print(f"  source    {name} {source['status']}{badge}{reason}")
        if "failure" in stream:
            print(f"  failed    {stream['failure']}")
    return 1 if stream["state"] == "failed" else 0
