"""Read the options that a simulator is started with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attrs import fields, frozen

from bond_sim.faults import Fault, parse_fault


@frozen
class Options:
    """How a simulator is to play.

    recording   a recorded session to play; without it the market is synthetic
    speed       recorded seconds per real second with a ManualClock; "max" or None: no waiting
    align_s     with any other clock, times are moved by whole multiples of this
    tail_s      how long the ManualClock goes on after the last frame
    symbols     the synthetic markets to list, by unified symbol; empty for all
    faults      faults as `parse_fault` reads them
    """

    recording: Path | None = None
    speed: float | None = 1.0
    align_s: float = 60.0
    tail_s: float = 3.0
    symbols: frozenset[str] = frozenset()
    faults: tuple[Fault, ...] = ()


def read_options(said: Mapping[str, object]) -> Options:
    """Return the options. ValueError: one is unknown or cannot be what it is."""
    known = [f.name for f in fields(Options)]
    unknown = sorted(set(said) - set(known))
    if unknown:
        raise ValueError(
            f"unknown simulator option {', '.join(map(repr, unknown))}: one of {', '.join(known)}"
        )
    values: dict[str, object] = {k: v for k, v in said.items() if v is not None}
    if "recording" in values:
        values["recording"] = Path(str(values["recording"]))
    if "speed" in values:
        given = values["speed"]
        values["speed"] = None if given == "max" else _positive("speed", given)
    for name in ("align_s", "tail_s"):
        if name in values:
            values[name] = _positive(name, values[name])
    if "symbols" in values:
        values["symbols"] = frozenset(_texts("symbols", values["symbols"]))
    if "faults" in values:
        values["faults"] = tuple(parse_fault(f) for f in _texts("faults", values["faults"]))
    return Options(**values)  # type: ignore[arg-type]  # each was made what it is above


def _positive(name: str, value: object) -> float:
    try:
        number = float(str(value))
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise ValueError(f"simulator option {name!r} is a number above 0, was {value!r}")
    return number


def _texts(name: str, value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, (list, tuple, set, frozenset)) and all(isinstance(v, str) for v in value):
        return list(value)
    raise ValueError(f"simulator option {name!r} is a list of texts, was {value!r}")
