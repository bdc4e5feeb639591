"""What is understood can be had, or it says what is missing: every sentence, up to its stream."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

import pytest

from bond_core.errors import BondError, RequestError
from bond_server.language.compile import understand
from bond_server.local import Bond
from tests.journeys.test_every_kind_of_phrase import a_bond
from tests.language.test_language_corpus import HERE, corpus

CASES = HERE / "corpus.jsonl"

REFUSED = [
    # sentence, what it says is missing
    ("custom websocket wss://feeds.example.com/v1 + BTC price every 5s", "needs a mapping"),
    ("BTC price on gate every 1s", "gate can't be simulated"),
    ("replay BTC trades of yesterday", "bond replay FILE"),
    ("BTC price, skip anything below 60k", "only when"),
    ("buy BTC below 60k", "doesn't trade"),
    ("BTC sentiment every 5s", "doesn't provide"),
    ("BTC price every 7s over the last 1m", "no multiple"),
    ("BTC price + https://10.0.0.1/feed", "not a public address"),
]


@pytest.mark.parametrize(("sentence", "said"), REFUSED)
def test_what_can_not_be_had_says_what_is_missing_and_its_fix_works(sentence, said):
    """The sentence beside the refusal makes a stream that can be had here."""

    async def journey() -> str:
        async with a_bond() as bond:
            with pytest.raises(BondError) as caught:
                bond.compile({"natural_language": sentence})
            fix = caught.value.fix
            assert isinstance(fix, str)
            bond.compile({"natural_language": fix})
            return str(caught.value)

    assert said in asyncio.run(journey())


def test_a_source_without_its_key_says_which_variable_is_missing(monkeypatch):
    """Nothing is simulated unless that was asked for."""
    monkeypatch.delenv("X_BEARER", raising=False)
    monkeypatch.delenv("BOND_SIMULATE", raising=False)

    async def journey() -> str:
        async with Bond(seed=7) as bond:
            with pytest.raises(BondError) as caught:
                bond.compile({"natural_language": "BTC tweets every 1s"})
            return str(caught.value)

    assert "X_BEARER" in asyncio.run(journey())


def test_whatever_compiles_can_be_had_or_says_what_is_missing():
    """Every sentence of both corpora that is understood; beside what is refused stands a way."""
    told = [json.loads(line)["text"] for line in CASES.read_text(encoding="utf-8").splitlines()]
    sentences = [*told, *(text for text, outcome in corpus() if outcome.startswith("=>"))]

    async def journey() -> dict[str, BondError]:
        refused = {}
        async with a_bond() as bond:
            for text in sentences:
                with suppress(RequestError):
                    understand(text, bond.vocabulary)
                    try:
                        bond.compile({"natural_language": text})
                    except BondError as error:
                        refused[text] = error
            for error in refused.values():
                assert isinstance(error.fix, str)
                bond.compile({"natural_language": error.fix})
        return refused

    refused = asyncio.run(journey())
    assert {error.code for error in refused.values()} <= {
        "invalid_spec", "not_simulated", "conflicting_interval",
    }  # fmt: skip
    assert len(refused) < 0.05 * len(sentences)
