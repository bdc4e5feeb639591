"""`bond serve`: the server. The web framework is imported here, and in no other command."""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import attrs

from bond_core.log.event_log import Retention
from bond_core.plugin.egress import Egress
from bond_core.runtime.places import FilePlaces
from bond_core.runtime.stages import Latency
from bond_server.app import create_app
from bond_server.auth.access import Access
from bond_server.cli import render_error
from bond_server.data_dir import holding
from bond_server.delivery.drain import Drain
from bond_server.delivery.listening import listening_socket
from bond_server.delivery.transport import BondServer, loop_factory, uvicorn_config
from bond_server.environment import Dotenv, with_files
from bond_server.local import Bond
from bond_server.logs import LogStyle
from bond_server.plugin_choice import plugins_of
from bond_server.process import tune_for_serving
from bond_server.registry.on_disk import StreamsOnDisk
from bond_server.roles import NAMES, PORTS, roles_of
from bond_server.service import Service
from bond_server.settings import ServerSettings, UnsafeBindError, read_settings
from bond_server.snapshots import snapshots_of
from bond_server.telemetry.loop_lag import watch_the_loop
from bond_server.telemetry.tracing import NO_TRACING, Tracing, tracing_from

NAME = "serve"
HELP = "serve streams over HTTP and WebSocket"
EXAMPLES = """\
examples:
  bond serve
  bond serve --port 9000
  bond keys new && BOND_SECRET=$(bond secret new) bond serve --host 0.0.0.0

then:
  curl -X POST http://localhost:8000/v1/streams -H 'Content-Type: application/json' \\
       -d '{"natural_language": "BTC price + volume every 1s"}'"""

NOT_SAFE = 78
"""Exit status where the server refuses to start as it is set up (EX_CONFIG of sysexits.h)."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare where it listens and what it says."""
    parser.add_argument("--host", default="127.0.0.1", help="address to bind to (%(default)s)")
    parser.add_argument(
        "--port", type=_port, metavar="N",
        help="port to bind to (8000; a worker 8001, a broker 8080); 0: a free one",
    )  # fmt: skip
    parser.add_argument(
        "--role", choices=NAMES, help="what this process does (default: BOND_ROLE, else all)"
    )
    parser.add_argument(
        "--redis", metavar="URL", help="keep records in Redis or Valkey (default: REDIS_URL)"
    )
    parser.add_argument(
        "--log-level", choices=["debug", "info", "warning", "error"], default="info",
        help="how much to log, on stderr (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--log-format", choices=["text", "json"], default="text",
        help="lines for people, or a JSON object a line (%(default)s)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Serve until told to end."""
    try:
        given = {"REDIS_URL": args.redis, "BOND_ROLE": args.role}
        chosen = {name: text for name, text in given.items() if text}
        environ = {**with_files(os.environ), **chosen}
        settings = read_settings(environ, host=args.host, port=args.port or 0)
        if args.port is None:
            settings = attrs.evolve(settings, port=PORTS[settings.role])
    except UnsafeBindError as error:
        print(render_error(error, command=NAME), file=sys.stderr)
        return NOT_SAFE
    for warning in settings.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    tracing = tracing_from(os.environ)
    logs = LogStyle(level=args.log_level, format=args.log_format)
    tune_for_serving()
    with ExitStack() as held:
        if settings.redis_url is None:
            held.enter_context(holding(settings.data_dir))
        held.callback(tracing.close)
        bound = held.enter_context(closing(listening_socket(settings.host, settings.port)))
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(_serve(settings, bound, logs, tracing))
    return 0


def made_with(settings: ServerSettings, tracing: Tracing = NO_TRACING) -> dict[str, Any]:
    """Return what the Bond of these settings is made with, whichever kind it is."""
    return {
        "defaults": settings.defaults(),
        "retention": Retention(seconds=settings.ring_seconds),
        "egress": Egress(settings.egress),
        "tracing": tracing,
        "plugins": plugins_of(os.environ, Dotenv(os.environ, Path.cwd())),
        "max_streams": settings.max_streams,
        "future": settings.future,
    }


@asynccontextmanager
async def a_service(
    settings: ServerSettings, tracing: Tracing = NO_TRACING
) -> AsyncGenerator[Service, None]:
    """Give the Bond that these settings describe: alone, or one of those that share a Redis."""
    common = made_with(settings, tracing)
    if settings.redis_url is None:
        registry, places = StreamsOnDisk(settings.data_dir), FilePlaces(settings.data_dir / "sinks")
        checkpoints = snapshots_of(settings)
        async with Bond(
            registry=registry, places=places, checkpoints=checkpoints, **common
        ) as bond:
            yield bond
        return
    # Only those who use it pay for it.
    from bond_server.fleet.fleet import Fleet  # noqa: PLC0415
    from bond_server.fleet.places import RedisPlaces  # noqa: PLC0415
    from bond_server.redis_log.connect import connected  # noqa: PLC0415
    from bond_server.redis_log.log import log_on  # noqa: PLC0415

    async with (
        connected(settings.redis_url.reveal()) as redis,
        log_on(redis) as log,
        Fleet(
            redis=redis, log=log, roles=roles_of(settings.role), lease_s=settings.lease_s,
            is_standby=settings.is_standby, hand_over_s=settings.hand_over_s,
            places=RedisPlaces(redis), **common,
        ) as fleet,
    ):  # fmt: skip
        yield fleet


async def serve_bond(
    bond: Service,
    settings: ServerSettings,
    bound: socket.socket,
    *,
    logs: LogStyle | None = None,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve a Bond on a socket until SIGINT, SIGTERM or cancellation; then end in order.

    Args:
        bond: Entered already.
        settings: What the environment says.
        bound: From `listening_socket`; closed in the end.
        logs: What to log on stderr; None leaves the process's logging as it is.
        ready: Called once connections are taken.
    """
    drain, loop_lag = Drain(spread_s=settings.drain_s), Latency()
    access = Access(settings, bond.clock)
    app = create_app(bond, settings, drain, access=access, loop_lag=loop_lag)
    server = BondServer(uvicorn_config(app, logs=logs, drain=drain), drain, ready=ready)
    watching = asyncio.create_task(watch_the_loop(bond.clock, loop_lag), name="event loop's lag")
    async with access.running():
        serving = asyncio.create_task(server.serve(sockets=[bound]))
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            server.should_exit = True
            await serving
            raise
        finally:
            watching.cancel()


async def _serve(
    settings: ServerSettings, bound: socket.socket, logs: LogStyle, tracing: Tracing
) -> None:
    async with a_service(settings, tracing) as bond:
        address = _address(settings.host, bound.getsockname()[1])
        await serve_bond(
            bond,
            settings,
            bound,
            logs=logs,
            ready=lambda: print(_what_is_where(address, settings), flush=True),
        )


def _address(host: str, port: int) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"{name}:{port}"


def _what_is_where(address: str, settings: ServerSettings) -> str:
    roles = roles_of(settings.role)
    kept = "in memory" if settings.redis_url is None else "in Redis"
    lines = [f"bond serves http://{address}"]
    if settings.role != "all":
        lines.append(f"  role       {settings.role}")
    if "api" in roles:
        lines.append(f"  streams    http://{address}/v1/streams")
    if "broker" in roles:
        lines.append(f"  websocket  ws://{address}/ws/{{stream_id}}?token=…")
    if "api" in roles:
        lines.append(f"  openapi    http://{address}/schema")
    lines.append(f"  health     http://{address}/health")
    lines.append(f"  metrics    http://{address}/metrics")
    lines.append(f"  records are kept {kept}; Ctrl-C ends it")
    return "\n".join(lines)


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) <= 65_535:
        return int(text)
    raise argparse.ArgumentTypeError(f"a port is a number from 0 to 65535, not {text!r}")
