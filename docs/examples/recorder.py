"""Keep a stream in a file of JSON lines; started again, it goes on where it stopped.

    python recorder.py "BTC price + volume every 1s" -o btc.jsonl --seconds 60

What came while it was away is fetched, as far as the server still keeps it (BOND_RING_SECONDS);
what isn't kept any more stands in the file as a line with `gap`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ekko import EkkoClientSync, Event, Gap


def last_id(file: Path) -> str | None:
    """Return the id of the last whole line, and cut off a torn one behind it."""
    if not file.exists():
        return None
    lines = file.read_bytes().splitlines(keepends=True)
    if lines and not lines[-1].endswith(b"\n"):
        lines.pop()  # the machine stopped in the middle of it; its record is fetched again
        file.write_bytes(b"".join(lines))
    return json.loads(lines[-1])["id"] if lines else None


def line(event: Event) -> str:
    """Return an event as it stands in the file."""
    if isinstance(event, Gap):
        told = {"from": event.after, "to": event.before, "reason": event.reason}
        return json.dumps({"id": event.id, "stream_id": event.stream_id, "gap": told})
    return json.dumps(event)


def main() -> None:
    """Record until the time is over, or Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sentence", nargs="?", default="BTC price + volume every 1s")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=None, help="for how long; else for ever")
    asked = parser.parse_args()
    after, count = last_id(asked.output), 0
    with EkkoClientSync() as client, asked.output.open("a", encoding="utf-8") as file:
        stream = client.create_stream(asked.sentence, label="recorder")
        for event in client.subscribe(stream.stream_id, after=after, seconds=asked.seconds):
            file.write(line(event) + "\n")
            file.flush()
            count += 1
    print(f"{count} records in {asked.output}{f', behind {after}' if after else ''}")


if __name__ == "__main__":
    main()
