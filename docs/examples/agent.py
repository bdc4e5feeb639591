"""Let an agent watch a market: it looks, thinks, and says what it saw, turn after turn.

    python agent.py "BTC price + tweets every 1s" --turns 3

`think` is a rule, so that this runs anywhere; put a call to your model there. What posts say is
never part of what the model is told: it is other people's text, and may try to give orders.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from contextlib import aclosing

from ekko import EkkoClient, Event, Gap

WINDOWS = 3  # a turn


def seen(events: list[Event]) -> dict[str, object]:
    """Return what happened, short enough for a prompt; unknown stays null."""
    records = [event for event in events if not isinstance(event, Gap)]
    prices = [e["price_close"] for e in records if e.get("price_close") is not None]
    tweets = [e["tweets"] for e in records if e.get("tweets") is not None]
    return {
        "until": events[-1].ts,
        "price_from": prices[0] if prices else None,
        "price_to": prices[-1] if prices else None,
        "tweets": sum(tweets) if tweets else None,
        "holes": len(events) - len(records),
        "not_live": sorted(
            {name for e in records for name, s in e.sources.items() if s["status"] != "live"}
        ),
        "simulated": any(s.get("simulated") for e in records for s in e.sources.values()),
    }


async def think(observation: dict[str, object]) -> str:
    """Return what to tell the user; here your model would be asked."""
    begin, end = observation["price_from"], observation["price_to"]
    if not isinstance(begin, float | int) or not isinstance(end, float | int):
        return "No price in this while; I wait."
    word = "rose" if end > begin else "fell" if end < begin else "stood still"
    return f"The price {word}: {begin:,.2f} to {end:,.2f}; {observation['tweets']} posts."


async def watch(sentence: str, turns: int) -> None:
    """Create a stream, look at it for so many turns, and delete it."""
    async with EkkoClient() as client:
        plan = await client.explain(sentence)  # what it would get, before it asks for it
        print("understood:", plan.understood["sentence"])
        stream = await client.create_stream(sentence, label="agent")
        try:
            async with aclosing(client.subscribe(stream.stream_id)) as events:
                for turn in range(turns):
                    window = [await anext(events) for _ in range(WINDOWS)]
                    observation = seen(window)
                    print(f"turn {turn + 1} saw:", json.dumps(observation), flush=True)
                    print(f"turn {turn + 1} says:", await think(observation), flush=True)
        finally:
            await client.delete_stream(stream.stream_id)


def main() -> None:
    """Watch for as many turns as asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sentence", nargs="?", default="BTC price + tweets every 1s")
    parser.add_argument("--turns", type=int, default=10)
    asked = parser.parse_args()
    asyncio.run(watch(asked.sentence, asked.turns))


if __name__ == "__main__":
    main()
