"""Pretend to trade on signals, on paper: no order leaves this process."""

from __future__ import annotations

from typing import Any

import attrs

from ekko.bars.model import Direction, Signal


@attrs.frozen(kw_only=True)
class PaperFill:
    """What a signal would have been filled at.

    Attributes:
        side: What was done.
        size: How much, in base units.
        price: At which price: the close of the signal's bar.
        fee: What it cost, in the quote currency.
        position: What is held after it; below 0 is short.
        is_paper: Always.
        simulated: Whether the market was simulated, too.
    """

    symbol: str
    side: Direction
    size: float
    price: float
    fee: float
    position: float
    simulated: bool
    is_paper: bool = True


@attrs.define(eq=False)
class PaperExecutor:
    """Holds what signals say: long after `buy`, short (or nothing) after `sell`.

    A signal in the direction of what is held changes nothing. Fills are at the bar's close,
    as if there always were somebody to trade with: a real market is worse.

    Args:
        notional: How large a position is, in the quote currency.
        fee_bps: What a trade costs, in 1/100 % of its value.
        may_short: Whether `sell` goes short; else it only closes.

    Attributes:
        fills: What was done, in order.
        positions: What is held of each symbol, base units.
        cash: What was paid and got so far, in the quote currencies, summed as if they were one.
    """

    notional: float = 1_000.0
    fee_bps: float = 10.0
    may_short: bool = False
    fills: list[PaperFill] = attrs.field(factory=list)
    positions: dict[str, float] = attrs.field(factory=dict)
    cash: float = 0.0
    _prices: dict[str, float] = attrs.field(factory=dict)

    def execute(self, signal: Signal) -> PaperFill | None:
        """Take a signal; return what was filled, None where nothing was to be done."""
        held = self.positions.get(signal.symbol, 0.0)
        self._prices[signal.symbol] = signal.price
        wanted = self.notional / signal.price
        if signal.direction == "sell":
            wanted = -wanted if self.may_short else 0.0
        if signal.direction == "hold" or _sign(held) == _sign(wanted):
            return None
        size = wanted - held
        fee = abs(size) * signal.price * self.fee_bps / 10_000
        self.cash -= size * signal.price + fee
        self.positions[signal.symbol] = wanted
        fill = PaperFill(
            symbol=signal.symbol, side=signal.direction, size=abs(size), price=signal.price,
            fee=fee, position=wanted, simulated=signal.simulated,
        )  # fmt: skip
        self.fills.append(fill)
        return fill

    def report(self) -> dict[str, Any]:
        """Return what it has made so far: positions at the price of their newest signal."""
        value = sum(size * self._prices[symbol] for symbol, size in self.positions.items())
        return {
            "paper": True,
            "simulated": any(fill.simulated for fill in self.fills),
            "fills": len(self.fills),
            "fees": sum(fill.fee for fill in self.fills),
            "profit": self.cash + value,
            "positions": {symbol: size for symbol, size in self.positions.items() if size},
        }


def _sign(number: float) -> int:
    return (number > 0) - (number < 0)
