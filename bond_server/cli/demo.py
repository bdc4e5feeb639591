"""`bond demo`: everything at once, on this machine, with no key and no network.

    simulated venues ─▶ real connectors ─▶ the server ─▶ a client on a tokenized WebSocket
     on loopback                            in this process            prints

With `--recording` the venue plays recorded traffic, whose own times move the clock of all
the rest: the same file gives the same records, byte for byte.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import tempfile
from contextlib import aclosing, closing
from pathlib import Path

import attrs

from bond_core.errors import Retryable, SourceError
from bond_core.settings import Secret
from bond_server.cli.first import first_of
from bond_server.cli.pace import speed
from bond_server.cli.phrase import understood
from bond_server.cli.remote import Server, Subscribed
from bond_server.cli.script import Script, recorded, require_played, synthetic
from bond_server.cli.serve import serve_bond
from bond_server.cli.show import (
    STARTS_WITHIN_S,
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
from bond_server.delivery.listening import listening_socket
from bond_server.local import Bond, Stream
from bond_server.logs import LogStyle
from bond_server.mending import EXAMPLE
from bond_server.settings import ServerSettings

NAME = "demo"
HELP = "see it all at once: no key, no network, nothing to set up"
EXAMPLES = f"""\
examples:
  bond demo
  bond demo "ETH and SOL price every 2s" --for 20s
  bond demo "BTC price + on-chain activity + tweets every 5s"
  bond demo --fault stall:binance@5s+30s        binance falls silent; another stands in
  bond demo --recording OKX.ws.1.0              play what was recorded, as it came
  bond demo --recording OKX.ws.1.0 --format json | jq .price_avg

Without TEXT it shows "{EXAMPLE}", or all that the recording
holds. Without --for it runs until Ctrl-C, or until the recording ends."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what to show, and what should go wrong."""
    parser.add_argument("text", nargs="?", metavar="TEXT", help="what to show, in English")
    add_output_arguments(parser)
    parser.add_argument(
        "--recording", type=Path, metavar="FILE",
        help="play this recorded session (cryptofeed's format) instead of a synthetic market",
    )  # fmt: skip
    parser.add_argument(
        "--speed", type=speed, metavar="1|10|max",
        help="how fast to play it (default: 1 in a table, else max)",
    )  # fmt: skip
    parser.add_argument(
        "--fault", action="append", default=[], metavar="TEXT",
        help="let a venue fail: KIND:VENUE[/CHANNEL[/SYMBOL]][*COUNT][=HOW][@START][+LENGTH] "
        "with KIND one of drop, duplicate, reorder, flip, stall, refuse, close; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=int, default=1, metavar="N", help="grows the synthetic market (default: 1)"
    )
    parser.add_argument(
        "--simulate", action="store_true", help="as in `bond listen`; a demo does so in any case"
    )
    parser.set_defaults(refuse=parser.error)


def run(args: argparse.Namespace) -> int:
    """Show it until it ends, or until Ctrl-C."""
    if args.speed is not None and args.recording is None:
        args.refuse("--speed is about a recording: give --recording FILE too")
    format_ = chosen_format(args)
    script = _read_script(args, format_)
    show = new_show(format_, badge=script.badge)
    main = _demo(script, show, args.for_s, is_table=format_ == "table")
    return run_and_sum_up(main, show, for_s=args.for_s)


def _read_script(args: argparse.Namespace, format_: Format) -> Script:
    if args.recording is None:
        return synthetic(args.text, seed=args.seed, faults=args.fault)
    at = args.speed or (1.0 if format_ == "table" else "max")
    return recorded(args.text, args.recording, speed=at, seed=args.seed, faults=args.fault)


async def _demo(script: Script, show: Show, for_s: float | None, *, is_table: bool) -> None:
    """Serve and listen, until either ends."""
    with (
        tempfile.TemporaryDirectory(prefix="bond-demo-") as folder,  # not its user's keys
        closing(listening_socket("127.0.0.1", 0)) as bound,
    ):
        port = bound.getsockname()[1]
        settings = ServerSettings(
            host="127.0.0.1",
            port=port,
            secret=Secret(secrets.token_hex(32)),
            simulate=True,
            data_dir=Path(folder),
        )
        async with Bond(**script.bond) as bond:
            compiled = bond.compile(script.request)
            require_played(compiled, script)
            ready = asyncio.Event()
            serving = serve_bond(
                bond, settings, bound, logs=LogStyle(level="error"), ready=ready.set
            )
            client = _Client(bond, script, show, compiled, is_table=is_table)
            await first_of(client.run(f"http://127.0.0.1:{port}", ready, for_s), serving)


@attrs.frozen
class _Client:
    """The listening side of a demo."""

    bond: Bond
    script: Script
    show: Show
    compiled: Compiled
    is_table: bool = attrs.field(kw_only=True)

    async def run(self, url: str, ready: asyncio.Event, for_s: float | None) -> None:
        """Ask for the stream, wait until it hears its venues, and print it."""
        await ready.wait()
        async with Server(url) as server:
            asked = await server.create(self.script.request)
            stream = self.bond.find(asked.stream_id)
            assert isinstance(stream, Stream), asked.stream_id  # noqa: S101 -- it began here
            if self.is_table:
                self._tell(asked, url)
            await _heard(stream)
            # The first records of a market are of the time before anybody listened to it. A
            # recording begins only now, and all that it gives is wanted.
            start = "after=0-0" if self.script.is_recorded else "from=now"
            records = server.records(asked, start=start)
            async with aclosing(records):
                printing = show_all(self.show, records, for_s)
                if self.script.is_recorded:
                    await first_of(printing, self._play(stream))
                else:
                    await printing

    def _tell(self, asked: Subscribed, url: str) -> None:
        say(f"understood  {understood(self.compiled)}")
        say(self.script.told)
        say(f"server      {url} while this runs; in another terminal:")
        say(f'  curl -N "{asked.sse_url}"')
        say(f'  python -m websockets "{asked.ws_url}"')

    async def _play(self, stream: Stream) -> None:
        """Play the recording, and return when its last record was printed."""
        _refuse_unheard(stream)
        connector = self.bond.catalog.connector("ccxt")
        assert connector is not None  # noqa: S101 -- the stream listens through it
        simulator = await self.bond.simulators.running(connector)
        await simulator.play()
        last, printed = str(stream.tail.top), asyncio.Event()
        self.show.on_record = printed.set
        while self.show.last_id != last:
            printed.clear()
            await printed.wait()


async def _heard(stream: Stream) -> None:
    """Return when no source of the stream is starting any more."""
    try:
        async with asyncio.timeout(STARTS_WITHIN_S):
            await stream.pipeline.settled()
    except TimeoutError:
        raise Retryable(
            f"the simulated venues were not heard within {STARTS_WITHIN_S:g} s", fix="bond demo"
        ) from None


def _refuse_unheard(stream: Stream) -> None:
    for name, source in stream.health().items():
        if source["status"] != "live":
            why = source.get("reason", "no reason given")
            raise SourceError(f"{name} is {source['status']}: {why}", code="source_failed")
