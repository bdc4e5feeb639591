"""What understanding a sentence costs as it grows, as a ratio: 500 characters beside 25.

Of several kinds, each beside its own: what is understood, slips, symbols, what is refused.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import statistics
import time
from collections.abc import Iterable

from bond_core.errors import RequestError
from bond_server.language.compile import MAX_LENGTH, understand
from bond_server.language.vocabulary import Vocabulary, bundled
from tests.benchmarks.figure import Figure

ROUNDS = 15
GOAL = 20.0
SHORT = "BTC price + volume per 5s"
LONG = {
    "words": "BTC price + volume + trades + tweets and news every 5s on binance, okx, kraken ",
    "slips": "bitcion pirce volum evry etherum twets ",
    "symbols": "BTC ETH SOL ADA XRP DOGE LTC DOT AVAX LINK ATOM NEAR UNI AAVE ",
    "conditions": "alert me when BTC price is above 70k and ETH volume drops below 5 or ",
    "nothing": "qzxv jkwp vbnm zzzq xxyq ",
    "signs": "-/+,:%$#@!?() ",
}


def run() -> Iterable[Figure]:
    """Yield how many times as long the longest sentence of each kind takes."""
    vocabulary = bundled()
    assert len(SHORT) == 25
    texts = {kind: filled(part, MAX_LENGTH) for kind, part in LONG.items()}
    attempt(SHORT, vocabulary)
    for kind, text in texts.items():
        attempt(text, vocabulary)  # what is made once is not timed
        short = SHORT if kind == "words" else filled(LONG[kind], len(SHORT))
        attempt(short, vocabulary)
        pairs = [(seconds(text, vocabulary), seconds(short, vocabulary)) for _ in range(ROUNDS)]
        ratio = statistics.median(long / short for long, short in pairs)
        yield Figure(
            bench="language", case=f"500 of {kind}", against=f"25 of {kind}", ratio=ratio,
        ).at_most(GOAL)  # fmt: skip


def filled(part: str, length: int) -> str:
    """Return a part again and again, to so many characters."""
    return "".join(itertools.islice(itertools.cycle(part), length))


def attempt(text: str, vocabulary: Vocabulary) -> None:
    """Understand a text, or be refused."""
    with contextlib.suppress(RequestError):
        understand(text, vocabulary)


def seconds(text: str, vocabulary: Vocabulary) -> float:
    """Return the CPU time that one understanding takes, the best of three."""
    gc.collect()
    taken = []
    for _ in range(3):
        began = time.process_time()
        attempt(text, vocabulary)
        taken.append(time.process_time() - began)
    return min(taken)
