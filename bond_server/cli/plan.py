"""`bond plan`: what would run, how often it asks, and what is missing. Runs nothing."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from bond_core.errors import BondError, SetupError
from bond_core.plugin.catalog import Catalog
from bond_core.runtime.binding import BoundSource, BoundStream
from bond_core.spec.canonical import spec_as_json, stream_id
from bond_core.spec.duration import format_duration, parse_duration_ms
from bond_server.assumed import defaults_of
from bond_server.cli.listen import read_request
from bond_server.cli.phrase import understood
from bond_server.compiling import Compiled, compile_request
from bond_server.language.vocabulary import vocabulary_of
from bond_server.plugin_choice import plugins_of

NAME = "plan"
HELP = "say what would run, how often it asks, and what is missing"
EXAMPLES = """\
examples:
  bond plan "BTC and ETH price + tweets every 5s"
  bond plan stream.json
  bond plan "BTC price every 1s" --json | jq .requests_per_min

Exit status 0 if it would run; 1 if a key or a plugin is missing, or it makes no sense."""


@attrs.frozen(kw_only=True)
class Row:
    """One source of the stream, or what stands in for it.

    Attributes:
        requests_per_min: How often it is asked, if it is; None where it sends by itself.
    """

    source: str
    type: str
    channel: str
    symbols: int
    requests_per_min: float | None
    stands_in: bool
    simulated: bool
    needs: tuple[str, ...]


@attrs.frozen(kw_only=True)
class Plan:
    """What would run.

    Attributes:
        stream_id: Its id on this machine; None where a key is missing.
    """

    compiled: Compiled
    rows: Sequence[Row]
    stream_id: str | None

    @property
    def requests_per_min(self) -> float:
        """Requests to all sources that are polled, at most; not to what only stands in."""
        return round(sum(r.requests_per_min or 0 for r in self.rows if not r.stands_in), 3)

    @property
    def missing(self) -> list[str]:
        """What has to be set first: `X_BEARER for x`."""
        return list(
            dict.fromkeys(f"{key} for {row.type}" for row in self.rows for key in row.needs)
        )

    def lines(self) -> Iterator[str]:
        """Yield it for people."""
        spec = self.compiled.spec
        yield f"{'understood':<12}{understood(self.compiled)}"
        for warning in self.compiled.warnings:
            yield f"{'note':<12}{warning}"
        if self.stream_id is not None:
            yield f"{'stream':<12}{self.stream_id}"
        table = [_cells(row) for row in self.rows]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        for n, row in enumerate(table):
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            yield f"{'' if n else 'listens to':<12}{'  '.join(cells).rstrip()}"
        every = format_duration(spec.interval_ms)
        yield f"{'windows':<12}{', '.join(spec.timeframes)}, every {every}"
        yield f"{'records':<12}{_records_per_min(self.compiled.bound):,g} a minute"
        if self.requests_per_min:
            yield f"{'requests':<12}{self.requests_per_min:,g} a minute at most"
        for sink in spec.sinks:
            yield f"{'carried to':<12}{sink.type} {sink.name}".rstrip()
        for name in self.missing:
            yield f"{'missing':<12}{name}"

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "stream_id": self.stream_id,
            "spec": spec_as_json(self.compiled.spec),
            "assumed": list(self.compiled.assumed),
            "warnings": list(self.compiled.warnings),
            "sources": [attrs.asdict(row) for row in self.rows],
            "records_per_min": _records_per_min(self.compiled.bound),
            "requests_per_min": self.requests_per_min,
            "missing": self.missing,
        }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what to plan."""
    parser.add_argument("text", metavar="TEXT|SPEC.json", help="a sentence, or a file with a spec")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--simulate", action="store_true", help="as if simulated, with no keys")


def run(args: argparse.Namespace) -> int:
    """Print it. BondError: it makes no sense, or can't be had here."""
    catalog = Catalog.loaded(plugins_of(os.environ))
    real = defaults_of(os.environ, simulate=args.simulate)
    vocabulary = vocabulary_of(catalog)
    request = read_request(args.text)
    is_short_of_a_key = False
    try:
        compiled = compile_request(request, catalog, vocabulary, real)
    except SetupError as error:
        if error.code != "missing_key":
            raise
        is_short_of_a_key = True
        try:
            # What it would be with its keys is told all the same: simulated needs none.
            pretended = attrs.evolve(real, simulate=True)
            compiled = compile_request(request, catalog, vocabulary, pretended)
        except BondError:
            raise error from None
    rows = list(_rows(compiled.bound, is_real=is_short_of_a_key))
    plan = Plan(
        compiled=compiled,
        rows=rows,
        stream_id=None if is_short_of_a_key else stream_id("local", compiled.spec),
    )
    if args.json:
        print(json.dumps(plan.as_json(), indent=2))
    else:
        print("\n".join(plan.lines()))
    return 1 if is_short_of_a_key else 0


def _rows(bound: BoundStream, *, is_real: bool) -> Iterator[Row]:
    """Yield its sources, and what stands in; `is_real` where it was bound as if simulated."""
    ours = len(bound.sources)
    for n, source in enumerate(bound.all_sources()):
        spec = source.origin.spec
        is_simulated = source.origin.simulated and not is_real
        needs = () if is_simulated else spec.needs
        yield Row(
            source=source.plan.name,
            type=spec.name,
            channel=source.channel.name,
            symbols=len(source.asks),
            requests_per_min=_requests_per_min(source),
            stands_in=n >= ours,
            simulated=is_simulated,
            needs=tuple(key for key in needs if not os.environ.get(key)),
        )


def _requests_per_min(source: BoundSource) -> float | None:
    """Return how often a source is asked at most: once a symbol and poll."""
    spec = source.origin.spec
    if spec.polls_every_s is None:
        return None
    # Binding makes the time between two polls the time that a silence may last.
    asked = len(source.asks) * 60_000_000_000 / source.plan.idle_ns
    most = spec.capabilities.requests_per_min
    return round(asked if most is None else min(asked, most), 3)


def _records_per_min(bound: BoundStream) -> float:
    """Return how many records come a minute of the windows; bars come when they are full."""
    spec = bound.spec
    timed = [ms for ms in map(parse_duration_ms, spec.timeframes) if ms is not None] or [
        spec.interval_ms
    ]
    if spec.window_ms is not None:
        timed = [spec.interval_ms]
    return round(len(spec.symbols) * sum(60_000 / ms for ms in timed), 3)


def _cells(row: Row) -> tuple[str, ...]:
    how = "pushed" if row.requests_per_min is None else f"asked {row.requests_per_min:g}/min"
    notes = ["stands in"] * row.stands_in + ["SIMULATED"] * row.simulated
    symbols = f"{row.symbols} symbol{'s' * (row.symbols != 1)}"
    return row.source, row.type, row.channel, symbols, how, ", ".join(notes)
