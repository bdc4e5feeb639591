"""`bond ib`: print a contract's ticks in the terminal, or as JSON lines."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any, TextIO

import msgspec

from bond_core.plugin import AnsweredError, Host
from bond_ibkr.config import limits_of
from bond_ibkr.server.asking import DEFAULT_TYPE, TICK_TYPES, Key, Wish, read_contract_id
from bond_ibkr.server.streams import Streams


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `bond ib`."""
    parser.add_argument(
        "contract", metavar="CONTRACT", type=_contract, help="a contract id, such as 265598"
    )
    parser.add_argument("--number", type=_count, metavar="N", help="end after so many ticks")
    parser.add_argument(
        "--type", choices=TICK_TYPES, default=DEFAULT_TYPE, help="which ticks (%(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object a line")
    parser.add_argument("--timeout", type=_count, metavar="SECONDS", help="end after so long")


async def run(args: argparse.Namespace, host: Host) -> int:
    """Print ticks until there are enough.

    Raises:
        AnsweredError: The contract can't be had.
    """
    key = Key(args.contract, args.type)
    streams = Streams(host, limits_of(host.config))
    wish = Wish(key=key, limit=args.number, timeout_s=args.timeout)
    reason = None
    async with aclosing(await streams.listen(wish)) as heard:
        async for messages in heard:
            for message in messages:
                body = msgspec.json.decode(message)
                _show(body, message.decode() if args.json else None)
                reason = body.get("reason", reason)
    return 1 if reason == "error" else 0


def _show(body: Mapping[str, Any], as_json: str | None) -> None:
    if as_json is not None:
        _print(sys.stdout, as_json)
    elif body["type"] == "tick":
        label = "  (simulated)" if body.get("simulated") else ""
        _print(sys.stdout, f"{line_of(body['data'])}{label}")
    else:
        _print(sys.stderr, said_of(body))


def _print(stream: TextIO, line: str) -> None:
    stream.write(f"{line}\n")
    stream.flush()  # whoever reads wants it now


def line_of(tick: Mapping[str, Any]) -> str:
    """Return a tick as a line: its time, then what it has; `-` is unknown."""
    at = tick["timestamp"]
    match tick["type"]:
        case "bid_ask":
            bid = f"bid {_number(tick['bid_price'])} x {_number(tick['bid_size'])}"
            return f"{at}  {bid}  ask {_number(tick['ask_price'])} x {_number(tick['ask_size'])}"
        case "midpoint":
            return f"{at}  midpoint {_number(tick['mid_point'])}"
        case _:
            more = " unreported" if tick["unreported"] else ""
            price = f"{_number(tick['price'])} x {_number(tick['size'])}"
            return f"{at}  {price}  {tick['exchange']}{more}".rstrip()


def said_of(body: Mapping[str, Any]) -> str:
    """Return what is told of a stream besides its ticks as a line."""
    label = ", simulated" if body.get("simulated") else ""
    if body["type"] == "error":
        error = body["error"]
        return f"error: {error['message']} ({error['details']}){label}"
    if body["type"] == "complete":
        return f"complete: {body['reason']}, {body['total_ticks']} ticks{label}"
    data = body["data"]
    named = data.get("contract", {}).get("symbol", "")
    what = data.get("message") or f"{named} {data.get('tick_type', '')}".strip()
    return f"{data['status']}: {what}{label}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.10g}"


def _contract(text: str) -> int:
    try:
        return read_contract_id(text)
    except AnsweredError as error:
        raise argparse.ArgumentTypeError(error.detail) from None


def _count(text: str) -> int:
    if text.isascii() and text.isdigit() and 0 < int(text) <= 1_000_000_000:
        return int(text)
    raise argparse.ArgumentTypeError(f"a whole number above 0 is needed, not {text!r}")
