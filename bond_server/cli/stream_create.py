"""`bond create`: let a server run a stream."""

from __future__ import annotations

import argparse
import json

from bond_server.cli.asking import add_server_arguments, ask
from bond_server.cli.listen import read_request
from bond_server.cli.show import duration_s, say

NAME = "create"
HELP = "let a server run a stream"
EXAMPLES = """\
examples:
  bond create "BTC price + volume every 1s"
  bond create stream.json --label desk
  id=$(bond create "BTC price every 5s" --json | jq -r .stream_id)

It runs until `bond stop ID`, or as long as --for says. The addresses hold its token."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what to create."""
    parser.add_argument("text", metavar="TEXT|SPEC.json", help="a sentence, or a file with a spec")
    parser.add_argument("--label", help="what to call it in lists")
    parser.add_argument(
        "--for", dest="for_s", type=duration_s, metavar="TIME", help="end after so long: 20s, 10m"
    )
    add_server_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Create it, and print where it is heard. BondError: the server refuses."""
    request = read_request(args.text)
    if args.label is not None:
        request["label"] = args.label
    if args.for_s is not None:
        request["duration_sec"] = args.for_s
    stream = ask(args.url, "POST", "/v1/streams", request)
    if args.json:
        print(json.dumps(stream, indent=2))
        return 0
    for warning in stream["warnings"]:
        say(f"warning: {warning}")
    print(f"stream     {stream['stream_id']}")
    print(f"websocket  {stream['ws_url']}")
    print(f"events     {stream['sse_url']}")
    return 0
