"""`bond token`: a token that opens a stream of a server."""

from __future__ import annotations

import argparse
import json
from typing import Any

from bond_server.cli.asking import add_server_arguments, ask, stream_path
from bond_server.cli.show import say

NAME = "token"
HELP = "get a token that opens a stream of a server"
EXAMPLES = """\
examples:
  bond token 8f2a1c9d4b3e7a10
  bond token 8f2a1c9d4b3e7a10 --persistent --label bot
  wscat -c "$(bond token 8f2a1c9d4b3e7a10 --json | jq -r .ws_url)"

The token stands alone on stdout; how long it is good for is said on stderr."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare which stream, and what kind of token."""
    parser.add_argument("stream_id", metavar="ID", help="as `bond list` shows it")
    parser.add_argument(
        "--persistent", action="store_true", help="a long-lived one, which can be revoked"
    )
    parser.add_argument("--label", help="what to call it in lists; goes with --persistent")
    add_server_arguments(parser)
    parser.set_defaults(refuse=parser.error)


def run(args: argparse.Namespace) -> int:
    """Print it. BondError: there is no such stream, or the server refuses."""
    if args.label is not None and not args.persistent:
        args.refuse("--label is about a registered token: give --persistent too")
    asked: dict[str, Any] = {"persistent": True} if args.persistent else {}
    if args.label is not None:
        asked["label"] = args.label
    token = ask(args.url, "POST", f"{stream_path(args.stream_id)}/token", asked)
    if args.json:
        print(json.dumps(token, indent=2))
        return 0
    print(token["token"])
    registered = f", registered as {token['token_id']}" if "token_id" in token else ""
    say(f"good for {token['expires_in_sec']} s{registered}")
    return 0
