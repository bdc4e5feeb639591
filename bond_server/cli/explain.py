"""`bond explain`: how a sentence is read, what it would run, and what that needs. Runs nothing."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from bond_core.errors import BondError, RequestError
from bond_core.plugin.catalog import Catalog
from bond_core.runtime.binding import BoundStream, Defaults, bind
from bond_core.runtime.families import needs_plugin
from bond_core.runtime.resolving import STOCK_PROVIDERS, STOCKS
from bond_core.spec.canonical import spec_as_json, stream_id
from bond_core.spec.read import read_spec
from bond_core.spec.stream_spec import StreamSpec
from bond_server.assumed import defaults_of, proposer_of
from bond_server.compiling import Compiled, all_assumed, compile_request, refuse_unfit
from bond_server.cost import cost_of
from bond_server.language.compile import Understanding, understand
from bond_server.language.explain import Paint, as_json, render
from bond_server.language.vocabulary import Vocabulary, vocabulary_of
from bond_server.plugin_choice import plugins_of
from bond_server.proposals.refusal import with_proposal

NAME = "explain"
HELP = "say what a sentence would become"
EXAMPLES = """\
examples:
  bond explain "BTC price + tweets every 5s"
  bond explain "etherium pirce evry 5s" --json | jq .spec

Exit status 0 if the sentence is understood, also where something it needs is not here."""

_DIM = "2"
_COLOURS = {
    "symbol": "1;36", "field": "32", "source": "32", "interval": "35", "time": "35",
    "exchange": "34", "condition": "33", "unparsed": "31",
}  # fmt: skip
"""By role, the colour (SGR) of a word; others are dim."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what to explain, and how."""
    parser.add_argument("text", metavar="TEXT", help="a sentence")
    parser.add_argument("--json", action="store_true", help="print JSON, as POST /v1/explain does")


def run(args: argparse.Namespace) -> int:
    """Print what was understood. RequestError: the sentence makes no sense."""
    catalog = Catalog.loaded(plugins_of(os.environ))
    defaults = defaults_of(os.environ, simulate=False)
    vocabulary = vocabulary_of(catalog)
    understanding = _understood(args.text, catalog, vocabulary, defaults)
    spec, _ = read_spec(understanding.spec)
    needs = list(_needs(spec, catalog, defaults, os.environ))
    bound: BoundStream | None = None
    try:
        bound = bind(spec, catalog, defaults)
    except BondError as error:
        needs = needs or [error.detail]
    assumed = all_assumed(understanding.assumed, bound.assumed if bound else ())
    understanding = attrs.evolve(understanding, assumed=assumed)
    spec_id = None if bound is None else stream_id("local", bound.spec)
    if args.json:
        print(json.dumps(_explanation(understanding, bound, needs, spec_id), indent=2))
    else:
        cost = "" if bound is None else cost_of(bound).line()
        print(render(understanding, needs=needs, spec_id=spec_id, cost=cost, paint=_painter()))
    return 0


def _understood(
    text: str, catalog: Catalog, vocabulary: Vocabulary, defaults: Defaults
) -> Understanding:
    """Return what is understood. RequestError: nothing is; it may come with a proposal."""
    try:
        found = understand(text, vocabulary, default_exchanges=defaults.exchanges)
        refuse_unfit(found)
    except RequestError as error:
        refused = error
    else:
        return found

    def compiled(request: Mapping[str, Any]) -> Compiled:
        return compile_request(request, catalog, vocabulary, defaults)

    proposer = proposer_of(os.environ)
    raise asyncio.run(with_proposal(refused, text, proposer, vocabulary, compiled))


def _painter() -> Paint:
    """Return what colours words by what they became, where stdout is a terminal that may."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return lambda text, _: text
    return lambda text, role: f"\x1b[{_COLOURS.get(role, _DIM)}m{text}\x1b[0m"


def _needs(
    spec: StreamSpec, catalog: Catalog, defaults: Defaults, environ: Mapping[str, str]
) -> Iterator[str]:
    """Yield what the sources need and is not here: plugins, and keys of those that are."""
    for source in spec.sources:
        connector = catalog.connector(source.type)
        if source.type == STOCKS and any(catalog.connector(name) for name in STOCK_PROVIDERS):
            continue  # binding says which of them, or what each needs
        if connector is None:
            yield needs_plugin(source.type) or f"no installed plugin provides {source.type}"
            continue
        if source.simulate or spec.simulate or defaults.simulate:
            continue
        instead = "; --simulate makes it up, and says so" if connector.simulator else ""
        for key, why in connector.needs.items():
            if not environ.get(key):
                yield f"{key} for {connector.name}: {why} (not set: it will refuse{instead})"


def _explanation(
    understanding: Understanding, bound: BoundStream | None, needs: list[str], spec_id: str | None
) -> dict[str, Any]:
    return {
        "understood": as_json(understanding),
        "assumed": list(understanding.assumed),
        "warnings": [warning.detail for warning in understanding.warnings],
        "needs": needs,
        "spec": dict(understanding.spec) if bound is None else spec_as_json(bound.spec),
        "stream_id": spec_id,
        "cost": None if bound is None else cost_of(bound).as_json(),
    }
