"""Sentences that ask for what plugins bring: for OpenAPI, and for a plugin's own page.

Each was read before it is shown, so that an example that doesn't work can't be one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bond_core.errors import RequestError
from bond_core.plugin.specs import AggregatorSpec, ConnectorSpec, Spec
from bond_server.language.compile import Understanding, understand
from bond_server.language.vocabulary import Vocabulary

_ASSETS = {"market": "BTC", "stock": "AAPL", "asset": "BTC"}
_EXCHANGES = ("binance",)


def examples_of(specs: Iterable[Spec], vocabulary: Vocabulary) -> dict[str, str]:
    """Return by the name of each connector and aggregator a sentence that asks for it.

    One that English can't ask for (it has no words, another has them all) is left out.
    """
    found = {}
    for spec in specs:
        sentence = next((s for s in _candidates(spec) if _asks_for(s, spec, vocabulary)), None)
        if sentence is not None:
            found[spec.name] = sentence
    return found


def _candidates(spec: Spec) -> Iterator[str]:
    if isinstance(spec, AggregatorSpec):
        for word in spec.words:
            yield f"BTC {word} every 5s"
    if isinstance(spec, ConnectorSpec):
        asset = _ASSETS[spec.default_symbol]
        for channel in spec.channels:
            for word in channel.words or ("price",):
                yield f"{asset} {word} every 5s"
                yield f"{asset} {word} from {spec.name} every 5s"


def _asks_for(sentence: str, spec: Spec, vocabulary: Vocabulary) -> bool:
    read = _read(sentence, vocabulary)
    if read is None or read.corrected or read.warnings:
        return False
    if isinstance(spec, AggregatorSpec):
        fields = read.spec.get("fields")
        return isinstance(fields, list) and not set(spec.fields).isdisjoint(fields)
    if not isinstance(spec, ConnectorSpec):
        return False
    sources = read.spec.get("sources")
    names = {spec.name, *spec.aliases}
    return isinstance(sources, list) and any(source["type"] in names for source in sources)


def _read(sentence: str, vocabulary: Vocabulary) -> Understanding | None:
    try:
        return understand(sentence, vocabulary, default_exchanges=_EXCHANGES)
    except RequestError:
        return None
