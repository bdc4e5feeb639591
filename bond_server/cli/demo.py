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
from collections.abc import Mapping
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

import attrs

from bond_core.clock import ManualClock
from bond_core.errors import (
    NotInstalledError,
    PluginError,
    Problem,
    RequestError,
    Retryable,
    SourceError,
)
from bond_core.log.event_log import Retention
from bond_core.plugin.catalog import load_class
from bond_core.runtime.binding import Defaults
from bond_core.settings import Secret
from bond_server.cli.first import first_of
from bond_server.cli.remote import Server, Subscribed
from bond_server.cli.serve import serve_bond
from bond_server.cli.phrase import understood
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
from bond_server.compiling import EXAMPLE, Compiled
from bond_server.delivery.transport import listening_socket
from bond_server.local import Bond, Stream
from bond_server.settings import ServerSettings

NAME = "demo"
HELP = "see it all at once: no key, no network, nothing to set up"
EXAMPLES = f"""\
examples:
  bond demo
  bond demo "ETH and SOL price every 2s" --for 20s
  bond demo --fault stall:binance@5s+30s        binance falls silent; another stands in
  bond demo --recording OKX.ws.1.0              play what was recorded, as it came
  bond demo --recording OKX.ws.1.0 --format json | jq .price_avg

Without TEXT it shows "{EXAMPLE}", or all that the recording holds. Without --for it
runs until Ctrl-C, or until the recording ends."""

SIMULATOR = "bond_sim.simulator:Simulator"
_KEEP_ALL = Retention(seconds=10 * 86_400.0)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what to show, and what should go wrong."""
    parser.add_argument("text", nargs="?", metavar="TEXT", help="what to show, in English")
    add_output_arguments(parser)
    parser.add_argument(
        "--recording", type=Path, metavar="FILE",
        help="play this recorded session (cryptofeed's format) instead of a synthetic market",
    )  # fmt: skip
    parser.add_argument(
        "--speed", type=_speed, metavar="1|10|max",
        help="how fast to play it (default: 1 in a table, max as JSON)",
    )  # fmt: skip
    parser.add_argument(
        "--fault", action="append", default=[], metavar="TEXT",
        help="let a venue fail: KIND:VENUE[/CHANNEL[/SYMBOL]][*COUNT][=HOW][@START][+LENGTH] "
        "with KIND one of drop, duplicate, reorder, flip, stall, refuse, close; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=int, default=1, metavar="N", help="grows the synthetic market (default: 1)"
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
    return run_and_sum_up(main, show)


@attrs.frozen(kw_only=True)
class Script:
    """What is shown.

    Attributes:
        request: What the client asks the server for.
        bond: What `Bond` is built with.
        venues: The venues that are played.
        is_recorded: Whether they play a recording.
        badge: What the table says of the data.
        told: One line on where the data come from.
    """

    request: Mapping[str, Any]
    bond: Mapping[str, Any]
    venues: tuple[str, ...]
    is_recorded: bool
    badge: str
    told: str


def _read_script(args: argparse.Namespace, format_: Format) -> Script:
    faults = [_checked_fault(text) for text in args.fault]
    if args.recording is not None:
        return _recorded(args, faults, args.speed or ("max" if format_ == "json" else 1.0))
    defaults = Defaults(
        exchanges=("binance", "okx"), fallback=("coinbaseexchange",), simulate=True
    )
    shown = f"{' and '.join(defaults.exchanges)}, {' '.join(defaults.fallback)} standing in"
    return Script(
        request={"natural_language": args.text or EXAMPLE},
        bond={
            "defaults": defaults,
            "seed": args.seed,
            "simulator_options": {SIMULATOR: {"faults": faults}},
        },
        venues=tuple(_bond_sim("instruments:VENUES")),
        is_recorded=False,
        badge="SIMULATED",
        told=f"SIMULATED   {shown}: venues on this machine, their market of seed {args.seed}",
    )


def _recorded(args: argparse.Namespace, faults: list[str], speed: float | str) -> Script:
    path: Path = args.recording
    markets, start_ns = _read_recording(path)
    venue = markets[0].venue
    spec = {
        "sources": [{"type": "ccxt", "exchanges": [venue]}],
        "symbols": [market.symbol for market in markets],
        "interval_sec": 1,
    }
    options = {"recording": str(path), "speed": speed, "faults": faults}
    return Script(
        request={"natural_language": args.text} if args.text else {"spec": spec},
        bond={
            "clock": ManualClock(start_ns),
            "defaults": Defaults(exchanges=(venue,), fallback=(), simulate=True),
            "seed": args.seed,
            "retention": _KEEP_ALL,
            "simulator_options": {SIMULATOR: options},
        },
        venues=(venue,),
        is_recorded=True,
        badge=f"PLAYED from {path.name}",
        told=f"PLAYED      {venue} from {path.name}, as it was heard then; labelled simulated",
    )


async def _demo(script: Script, show: Show, for_s: float | None, *, is_table: bool) -> None:
    """Serve and listen, until either ends."""
    with closing(listening_socket("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
        settings = ServerSettings(
            host="127.0.0.1", port=port, secret=Secret(secrets.token_hex(32)), simulate=True
        )
        async with Bond(**script.bond) as bond:
            compiled = bond.compile(script.request)
            _require_played(compiled, script.venues)
            ready = asyncio.Event()
            serving = serve_bond(bond, settings, bound, log_level="error", ready=ready.set)
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
            assert stream is not None, asked.stream_id  # noqa: S101 -- it was created here
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
        if source["status"] == "failed":
            raise SourceError(f"{name}: {source.get('reason')}", code="source_failed")


def _require_played(compiled: Compiled, venues: tuple[str, ...]) -> None:
    """Refuse venues that nothing plays here."""
    for source in compiled.spec.sources:
        for venue in source.exchanges:
            if venue not in venues:
                detail = f"{venue} is not played here; {', '.join(venues)} can be"
                problem = Problem(detail=detail, text=venue)
                raise RequestError(
                    detail, code="not_simulated", problems=[problem], fix="bond demo"
                )


def _read_recording(path: Path) -> tuple[list[Any], int]:
    """Return the markets that the recording holds trades of, and when it begins, in ns."""
    try:
        markets = _bond_sim("recording:symbols")(path)
        start_ns = _bond_sim("recording:recording_start_ns")(path)
    except (OSError, ValueError, StopIteration) as error:
        why = error.strerror if isinstance(error, OSError) else str(error) or "it is empty"
        raise RequestError(
            f"{path} can't be played: {why}", code="bad_recording", fix="bond demo"
        ) from error
    traded = [market for market in markets if "trades" in market.channels]
    if not traded:
        raise RequestError(f"{path} holds no trades", code="bad_recording", fix="bond demo")
    return traded, int(start_ns)


def _checked_fault(text: str) -> str:
    try:
        _bond_sim("faults:parse_fault")(text)
    except ValueError as error:
        raise RequestError(
            str(error), code="bad_fault", fix="bond demo --fault stall:binance@5s+30s"
        ) from error
    return text


def _bond_sim(name: str) -> Any:
    """Return something of bond-sim, a plugin: there only if it is installed."""
    try:
        return load_class(f"bond_sim.{name}")
    except PluginError as error:
        raise NotInstalledError(
            f"the demo needs bond-sim and bond-ccxt: {error.detail}",
            fix="pip install -e plugins/bond-sim -e plugins/bond-ccxt",
        ) from error


def _speed(text: str) -> float | str:
    if text == "max":
        return text
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed <= 1_000_000:
        raise argparse.ArgumentTypeError(f"a speed is a number above 0, or max, not {text!r}")
    return speed
