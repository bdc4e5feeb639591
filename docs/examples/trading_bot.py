"""Trade on paper: buy when the fast mean of a price crosses the slow one upwards, sell downwards.

    python trading_bot.py "BTC price every 1s" --seconds 60

No order goes anywhere: it keeps a book of what it would have done. Not advice, either.
"""

from __future__ import annotations

import argparse
from collections import deque
from dataclasses import dataclass, field

from ekko import Event, Gap, listen_sync

FAST, SLOW = 3, 8  # windows


@dataclass
class Paper:
    """A book in which trades are only written down."""

    cash: float = 10_000.0
    coins: float = 0.0
    trades: list[str] = field(default_factory=list)

    def buy(self, price: float, when: str) -> None:
        """Spend all cash."""
        self.coins, self.cash = self.cash / price, 0.0
        self.note("buy", price, when)

    def sell(self, price: float, when: str) -> None:
        """Give all coins away."""
        self.cash, self.coins = self.coins * price, 0.0
        self.note("sell", price, when)

    def note(self, what: str, price: float, when: str) -> None:
        """Write a trade down."""
        self.trades.append(f"{when}  PAPER {what} at {price:,.2f}")
        print(self.trades[-1], flush=True)

    def worth(self, price: float) -> float:
        """Return what the book is worth at a price."""
        return self.cash + self.coins * price


@dataclass
class Crossing:
    """Two means of the last prices."""

    prices: deque[float] = field(default_factory=lambda: deque(maxlen=SLOW))

    def signal(self, event: Event) -> str | None:
        """Return `buy`, `sell`, or None when there is nothing to be said."""
        if isinstance(event, Gap):
            self.prices.clear()  # means over a hole would be means of something else
            return None
        if event.price_close is None or not trustworthy(event):
            return None  # a window without a trade has no price: nothing is known
        self.prices.append(event.price_close)
        if len(self.prices) < SLOW:
            return None
        fast = sum(list(self.prices)[-FAST:]) / FAST
        slow = sum(self.prices) / SLOW
        return "buy" if fast > slow else "sell" if fast < slow else None


def trustworthy(event: Event) -> bool:
    """Whether a source was live; what only a stale one said is no reason to trade."""
    return any(source["status"] == "live" for source in event.sources.values())


def main() -> None:
    """Trade until the time is over, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sentence", nargs="?", default="BTC price every 1s")
    parser.add_argument("--seconds", type=float, default=None, help="for how long; else for ever")
    asked = parser.parse_args()
    book, crossing, price = Paper(), Crossing(), None
    for event in listen_sync(asked.sentence, seconds=asked.seconds):
        price = price if event.price_close is None else event.price_close
        signal = crossing.signal(event)
        if signal == "buy" and not book.coins:
            book.buy(event.price_close, event.ts)
        elif signal == "sell" and book.coins:
            book.sell(event.price_close, event.ts)
    if price is not None:
        print(f"{len(book.trades)} paper trades; the book is worth {book.worth(price):,.2f}")


if __name__ == "__main__":
    main()
