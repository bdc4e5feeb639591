"""Watch several markets in a terminal: the last record of each symbol, and how its sources are.

    python dashboard.py "BTC and ETH price + volume every 1s"

Needs rich, which Bond's server brings: `pip install rich`.
"""

from __future__ import annotations

import argparse
import asyncio
from contextlib import aclosing

from rich.console import Console
from rich.live import Live
from rich.table import Table

from ekko import Event, Gap, listen

SHOWN = ("price_close", "price_high", "price_low", "volume_sum", "trades", "tweets")
COLOURS = {"live": "green", "failed": "red"}


def table(latest: dict[str, Event], trail: dict[str, list[float]], lost: int) -> Table:
    """Return the screen."""
    simulated = any(s.get("simulated") for e in latest.values() for s in e.sources.values())
    title = "Bond" + (" SIMULATED" if simulated else "") + (f", {lost} gaps" if lost else "")
    columns = [name for name in SHOWN if any(name in event for event in latest.values())]
    screen = Table("symbol", "time", *columns, "", "sources", title=title)
    for symbol, event in sorted(latest.items()):
        shown = ["-" if event.get(c) is None else f"{event[c]:,.10g}" for c in columns]
        states = " ".join(
            f"[{COLOURS.get(source['status'], 'yellow')}]{name}[/]"
            for name, source in event.sources.items()
        )
        screen.add_row(symbol, event.ts[11:19], *shown, spark(trail[symbol]), states)
    return screen


def spark(prices: list[float]) -> str:
    """Return the last prices as a line of bars."""
    low, high = min(prices, default=0.0), max(prices, default=0.0)
    return "".join("▁▂▃▄▅▆▇█"[round((p - low) / ((high - low) or 1) * 7)] for p in prices[-20:])


async def show(sentence: str, seconds: float | None) -> None:
    """Keep the screen up to date."""
    latest: dict[str, Event] = {}
    trail: dict[str, list[float]] = {}
    lost = 0
    with Live(console=Console(), refresh_per_second=4) as live:
        async with aclosing(listen(sentence, seconds=seconds)) as events:
            async for event in events:
                if isinstance(event, Gap):
                    lost += 1
                    continue
                latest[event.symbol] = event
                prices = trail.setdefault(event.symbol, [])
                if event.get("price_close") is not None:
                    prices.append(event.price_close)
                    del prices[:-20]
                live.update(table(latest, trail, lost))


def main() -> None:
    """Show it until the time is over, or Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sentence", nargs="?", default="BTC and ETH price + volume every 1s")
    parser.add_argument("--seconds", type=float, default=None, help="for how long; else for ever")
    asked = parser.parse_args()
    asyncio.run(show(asked.sentence, asked.seconds))


if __name__ == "__main__":
    main()
