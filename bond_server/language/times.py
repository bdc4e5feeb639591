"""Read lengths of time from items, and refuse those that no interval can have."""

from __future__ import annotations

from bond_server.language.durations import MAX_INTERVAL_S, MIN_INTERVAL_S, UNITS, plain
from bond_server.language.items import Item, Reading


def length_at(reading: Reading, at: int) -> float | None:
    """Return the seconds of a duration, or of a unit alone (`the last minute`), at this place."""
    item = reading.free(at)
    if item is None:
        return None
    if item.kind == "duration" and item.unit != "M":
        return item.number or None
    return UNITS[item.name] if item.kind == "unit" else None


def take(reading: Reading, first: int, last: int, role: str, meaning: str) -> None:
    """Take every item from one place to another that no rule has taken yet."""
    for item in reading.items[first : last + 1]:
        if item.role is None:
            item.take(role, meaning)


def refuse_m(reading: Reading, item: Item) -> None:
    """Refuse `1M`: minutes are `m`."""
    count = plain(item.number)
    detail = f"{count}M may be {count} minutes or {count} months"
    near = (f"{count}m", f"{count}mo")
    reading.refuse("ambiguous_unit", detail, item, did_you_mean=near, instead=near[0])


def in_range(
    reading: Reading, seconds: float, timed: Item, last: Item, *, whole: Item | None = None
) -> bool:
    """Say whether an interval may be this long, and note the reason if not.

    `timed` is where its length stands, `whole` where the words that lead to it begin.
    """
    if MIN_INTERVAL_S <= seconds <= MAX_INTERVAL_S:
        return True
    near = "100ms" if seconds < MIN_INTERVAL_S else "1d"
    first, by = (timed, near) if whole is None else (whole, f"every {near}")
    reading.refuse(
        "interval_out_of_range", "an interval is from 100ms to 1d", timed, last,
        did_you_mean=(f"every {near}",), edit=(first.start, last.end, by),
    )  # fmt: skip
    return False
