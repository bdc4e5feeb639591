"""Decide what a demo plays: a synthetic market, or a recorded session at its own times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from bond_core.clock import ManualClock
from bond_core.errors import NotInstalledError, PluginError, Problem, RequestError
from bond_core.log.event_log import Retention
from bond_core.plugin.factories import load_class
from bond_core.runtime.binding import Defaults
from bond_server.compiling import Compiled
from bond_server.mending import EXAMPLE

_SIMULATOR = "bond_sim.simulator:Simulator"

# A recording may be played faster than its records are read, so all of them are kept.
_ALL = Retention(seconds=10 * 86_400.0)


@attrs.frozen(kw_only=True)
class Script:
    """What a demo shows.

    Attributes:
        request: What its client asks the server for.
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


def synthetic(text: str | None, *, seed: int, faults: Iterable[str]) -> Script:
    """Return the script of a synthetic market.

    Args:
        text: A sentence; None shows the example.
        seed: What the market grows from.
        faults: What goes wrong, as bond-sim reads it.

    Raises:
        RequestError: A fault can't be read; NotInstalledError: there is no bond-sim here.
    """
    defaults = Defaults(exchanges=("binance", "okx"), fallback=("coinbaseexchange",), simulate=True)
    shown = f"{' and '.join(defaults.exchanges)}, {' '.join(defaults.fallback)} standing in"
    options = {"faults": [_checked(fault) for fault in faults]}
    return Script(
        request={"natural_language": EXAMPLE if text is None else text},
        bond={"defaults": defaults, "seed": seed, "simulator_options": {_SIMULATOR: options}},
        venues=tuple(_bond_sim("instruments:VENUES")),
        is_recorded=False,
        badge="SIMULATED",
        told=f"SIMULATED   {shown}: venues on this machine, their market of seed {seed}",
    )


def recorded(
    text: str | None, path: Path, *, speed: float | str, seed: int, faults: Iterable[str]
) -> Script:
    """Return the script of a recorded session.

    Args:
        text: A sentence; None shows all that the recording holds, in windows of 1 s.
        path: The recording.
        speed: Recorded seconds a second, or `max`.
        seed: Seeds what little is left to chance.
        faults: What goes wrong, as bond-sim reads it.

    Raises:
        RequestError: It can't be played, or a fault can't be read; NotInstalledError: there is
            no bond-sim here.
    """
    markets, start_ns = _read_recording(path)
    venue = markets[0].venue
    spec = {
        # Never stale: a pause in the recording is one of the market's, and a reconnect on the
        # way would be of this machine, not of the recording.
        "sources": [{"type": "ccxt", "exchanges": [venue], "stale_sec": "1d"}],
        "symbols": [market.symbol for market in markets],
        "interval_sec": 1,
    }
    options = {
        "recording": str(path),
        "speed": speed,
        "faults": [_checked(fault) for fault in faults],
    }
    return Script(
        request={"spec": spec} if text is None else {"natural_language": text},
        bond={
            "clock": ManualClock(start_ns),
            "defaults": Defaults(exchanges=(venue,), fallback=(), simulate=True),
            "seed": seed,
            "retention": _ALL,
            "simulator_options": {_SIMULATOR: options},
        },
        venues=(venue,),
        is_recorded=True,
        badge=f"PLAYED from {path.name}",
        told=f"PLAYED      {venue} from {path.name}, as it was heard then; labelled simulated",
    )


def require_played(compiled: Compiled, script: Script) -> None:
    """Raise RequestError for venues that nothing plays here."""
    for source in compiled.spec.sources:
        for venue in source.exchanges:
            if venue not in script.venues:
                detail = f"{venue} is not played here; {', '.join(script.venues)} can be"
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


def _checked(fault: str) -> str:
    try:
        _bond_sim("faults:parse_fault")(fault)
    except ValueError as error:
        raise RequestError(
            str(error), code="bad_fault", fix="bond demo --fault stall:binance@5s+30s"
        ) from error
    return fault


def _bond_sim(name: str) -> Any:
    """Return something of bond-sim, which is a plugin: there only if it is installed."""
    try:
        return load_class(f"bond_sim.{name}")
    except PluginError as error:
        raise NotInstalledError(
            f"the demo needs bond-sim and bond-ccxt: {error.detail}",
            fix="pip install -e plugins/bond-sim -e plugins/bond-ccxt",
        ) from error
