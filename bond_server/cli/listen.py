"""`bond listen`: run a stream in this process, or ask a server for it, and print its records."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

import msgspec

from bond_core.errors import BondError, RequestError
from bond_core.log.cursor import StreamEnded
from bond_core.log.offset import START
from bond_server.assumed import defaults_of, egress_of, proposer_of
from bond_server.cli.phrase import understood
from bond_server.cli.proposed import confirmed
from bond_server.cli.show import (
    Format,
    Show,
    add_output_arguments,
    chosen_format,
    new_show,
    run_and_sum_up,
    say,
    show_all,
)
from bond_server.compiling import Compiled
from bond_server.local import Bond, Stream
from bond_server.mending import EXAMPLE
from bond_server.plugin_choice import plugins_of
from bond_server.proposals.refusal import ProposedError, compile_or_propose

NAME = "listen"
HELP = "run a stream here and print its records"
EXAMPLES = f"""\
examples:
  bond listen "{EXAMPLE}"
  bond listen "BTC and ETH price on kraken every 5s" --for 10m
  bond listen "BTC price every 1s" --limit 60 | jq .price_avg
  bond listen "BTC price every 1s" --format csv > btc.csv
  bond listen "BTC price every 1s" --simulate          venues on this machine: no network
  bond listen stream.json --url http://localhost:8000  a spec, run by a server

A file holds a spec:
  {{"sources": [{{"type": "ccxt"}}], "symbols": ["BTC/USDT"], "interval_sec": 5}}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what to listen to, and for how long."""
    parser.add_argument("text", metavar="TEXT|SPEC.json", help="a sentence, or a file with a spec")
    parser.add_argument("--limit", type=_count, metavar="N", help="end after so many records")
    add_output_arguments(parser)
    parser.add_argument(
        "--simulate", action="store_true",
        help="simulate what can be; every record says so (or BOND_SIMULATE=1)",
    )  # fmt: skip
    parser.add_argument(
        "--url", metavar="URL", help="let the server there run it, such as http://localhost:8000"
    )
    parser.set_defaults(refuse=parser.error)


def run(args: argparse.Namespace) -> int:
    """Print records until there are enough, the time is over, or Ctrl-C."""
    if args.url is not None and args.simulate:
        args.refuse('with --url the server decides; a spec may say "simulate": true')
    format_ = chosen_format(args)
    if format_ == "table":
        # The table tells of reconnections and the like itself, from the records.
        logging.getLogger("bond").setLevel(logging.CRITICAL)
    request = {**read_request(args.text), "ephemeral": True}
    try:
        return _run(request, args, format_)
    except ProposedError as error:  # asked outside of the event loop, where Ctrl-C ends it
        return _run(confirmed(error, request), args, format_)


def _run(request: Mapping[str, Any], args: argparse.Namespace, format_: Format) -> int:
    show = new_show(format_, limit=args.limit)
    return run_and_sum_up(_listen(request, show, args, format_), show, for_s=args.for_s)


def read_request(text: str) -> dict[str, Any]:
    """Return a request for a sentence, or for the spec in a file.

    Raises:
        RequestError: There is no such file, or it holds no spec.
    """
    path = Path(text)
    if path.suffix != ".json":
        return {"natural_language": text}
    try:
        body = msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else f"it is not JSON: {error}"
        raise RequestError(f"{text} can't be read: {why}", code="bad_file", fix=EXAMPLE) from None
    if not isinstance(body, dict):
        raise RequestError(f"{text} holds no JSON object", code="bad_file", fix=EXAMPLE)
    return body if "spec" in body or "natural_language" in body else {"spec": body}


async def _listen(
    request: Mapping[str, Any], show: Show, args: argparse.Namespace, format_: Format
) -> None:
    if args.url is None:
        await _listen_here(request, show, args, format_)
    else:
        await _listen_there(request, show, args)


async def _listen_here(
    request: Mapping[str, Any], show: Show, args: argparse.Namespace, format_: Format
) -> None:
    defaults = defaults_of(os.environ, simulate=args.simulate)
    async with Bond(
        defaults=defaults, egress=egress_of(os.environ), plugins=plugins_of(os.environ)
    ) as bond:
        compiled = await compile_or_propose(request, bond, proposer_of(os.environ))
        if format_ == "table":
            say(f"understood  {understood(compiled)}")
        for warning in compiled.warnings:
            say(f"warning: {warning}")
        stream, _ = await bond.create(compiled)
        async with aclosing(records(bond, stream)) as heard:
            await show_all(show, heard, args.for_s or _asked_duration_s(compiled))


def _asked_duration_s(compiled: Compiled) -> float | None:
    """Return for how long the request itself says it is wanted (`… for 10 minutes`)."""
    ms = compiled.options.duration_ms
    return None if ms is None else ms / 1000


async def records(bond: Bond, stream: Stream) -> AsyncGenerator[bytes]:
    """Yield the stream's records from its start.

    Raises:
        BondError: The stream has failed, by a bug.
    """
    cursor = bond.cursor(stream.stream_id, START)
    try:
        while True:
            batch = await cursor.next()
            if batch.hole is not None:
                say(f"gap: records after {batch.hole.after} were not printed in time")
            for entry in batch.entries:
                yield entry.data
    except StreamEnded:
        if stream.pipeline.failure is not None:
            raise BondError(f"the stream failed: {stream.pipeline.failure}", code="bug") from None
    finally:
        cursor.close()


async def _listen_there(request: Mapping[str, Any], show: Show, args: argparse.Namespace) -> None:
    from bond_server.cli.remote import Server  # noqa: PLC0415 -- loads what listening here needs not

    async with Server(args.url, api_key=os.environ.get("EKKO_API_KEY")) as server:
        stream = await server.create(request)
        for warning in stream.body.get("warnings", ()):
            say(f"warning: {warning}")
        async with aclosing(server.records(stream)) as heard:
            await show_all(show, heard, args.for_s)


def _count(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"a whole number above 0 is needed, not {text!r}")
