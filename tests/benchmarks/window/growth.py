"""How the cost of an event grows with the number of symbols."""

from __future__ import annotations

from collections.abc import Iterable

from tests.benchmarks.figure import Figure
from tests.benchmarks.window import bond
from tests.benchmarks.window.market import make_trades, symbols_of
from tests.benchmarks.window.speed import figure, rounds, times

TRADES = 100_000
MANY = 500
MUST = 2.5


def growth() -> Iterable[Figure]:
    """Yield what an event costs with many symbols, against one."""
    one, many = symbols_of(1), symbols_of(MANY)
    of_one, of_many = make_trades(TRADES, one), make_trades(TRADES, many)
    took = rounds(
        {
            "one": lambda: bond.run(of_one, bond.an_engine(one, bond.CANDLE, (5,))),
            "many": lambda: bond.run(of_many, bond.an_engine(many, bond.CANDLE, (5,))),
        }
    )
    yield figure(f"{MANY} symbols", "1 symbol", times(took, "many", "one")).at_most(MUST)
