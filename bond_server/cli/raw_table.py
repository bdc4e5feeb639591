"""Show raw events as lines on a terminal, and what their sources say above them.

     received      symbol    kind   what                                 source       lag
SIM  13:30:04.112  BTC/USDT  trade  buy 0.0028 at 91,233.60              binance      45ms
   ! 13:30:06 okx reconnecting: the connection was lost
SIM  13:30:06.208  BTC/USDT  book   91,230.0 x 0.4 | 91,233.7 x 0.1 (5)  okx.book      8ms

A dash is what isn't known; it never stands for zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from bond_core.wire.times import parse_iso

Json = Mapping[str, Any]

BADGE = "SIM"
_HEAD_AGAIN_AFTER = 40
_NO_OWN = (
    "id", "stream_id", "kind", "symbol", "symbols", "source", "venue", "ts", "received",
    "event_id", "seq", "simulated", "late", "repaired", "size_unit",
)  # fmt: skip
_ROOM = {"symbol": 8, "kind": 5, "source": 8}


class RawTable:
    """Prints events, each as one line.

    Args:
        console: Where to.
        badge: What the head says of simulated data.
    """

    def __init__(self, console: Console, badge: str) -> None:
        self._console = console
        self._badge = badge
        self._widths = dict(_ROOM)
        self._lines_since_head = 0
        self._states: dict[str, tuple[str, str | None]] = {}

    def show(self, item: Json) -> None:
        """Print an event, or what there is to say of a status item."""
        if item["kind"] == "status":
            clock = _clock(item["ts"], decimals=0)
            for line in (*self._new_states(item), *_notices(item)):
                self._console.print(Text(f"! {clock} {line}", style="yellow"))
            return
        if self._lines_since_head % _HEAD_AGAIN_AFTER == 0:
            self._print_head(is_simulated=bool(item.get("simulated")))
        self._lines_since_head += 1
        text = Text(self._line(item))
        text.highlight_regex(rf"^{BADGE}\b", style="magenta")
        self._console.print(text)

    def _print_head(self, *, is_simulated: bool) -> None:
        if is_simulated:
            badge = Text(f" {self._badge} ", style="bold reverse magenta")
            badge.append(" not what any market does now", style="not bold not reverse")
            self._console.print(badge)
        heads = {"symbol": "symbol", "kind": "kind", "source": "source"}
        self._console.print(Text(self._row("", "received", heads, "what", "lag"), style="bold"))

    def _line(self, item: Json) -> str:
        cells = {
            "symbol": _symbol(item), "kind": str(item["kind"]), "source": str(item["source"]),
        }  # fmt: skip
        marks = [mark for mark in ("late", "repaired") if item.get(mark)]
        what = " ".join([what_of(item), *(f"({mark})" for mark in marks)])
        badge = BADGE if item.get("simulated") else ""
        return self._row(badge, _clock(item["received"], decimals=3), cells, what, _lag(item))

    def _row(self, badge: str, clock: str, cells: Mapping[str, str], what: str, lag: str) -> str:
        for name, text in cells.items():
            self._widths[name] = max(self._widths[name], cell_len(text))
        front = "  ".join(
            [badge.ljust(3), clock.ljust(12)]
            + [cells[name].ljust(self._widths[name]) for name in ("symbol", "kind")]
        )
        back = f"{cells['source'].ljust(self._widths['source'])}  {lag.rjust(6)}"
        room = max(self._console.width - cell_len(front) - cell_len(back) - 4, 8)
        if cell_len(what) > room:
            what = what[: room - 1] + "…"
        return f"{front}  {what.ljust(room)}  {back}".rstrip()

    def _new_states(self, item: Json) -> Iterable[str]:
        for name, source in item["sources"].items():
            state = source["status"], source.get("reason")
            before = self._states.get(name, ("starting", None))
            self._states[name] = state
            if state == before:
                continue
            if state[0] in ("live", "starting"):
                if before[0] not in ("live", "starting"):
                    yield f"{name} is {state[0]} again"
            else:
                yield f"{name} {state[0]}" + (f": {state[1]}" if state[1] else "")


def what_of(item: Json) -> str:
    """Return what an event says, in a few words."""
    shown = _SHOWN.get(str(item["kind"]))
    if shown is not None:
        return shown(item)
    own = {key: value for key, value in item.items() if key not in _NO_OWN and value is not None}
    return " ".join(f"{key}={value}" for key, value in own.items())


def _trade(item: Json) -> str:
    return f"{item['side'] or '-'} {_number(item['size'])} at {_number(item['price'])}"


def _quote(item: Json) -> str:
    sides = (f"{_number(item[s])} x {_number(item[f'{s}_size'])}" for s in ("bid", "ask"))
    return " | ".join(sides)


def _book(item: Json) -> str:
    bids, asks = item["bids"], item["asks"]
    return f"{_level(bids)} | {_level(asks)} ({len(bids)}+{len(asks)} levels)"


def _candle(item: Json) -> str:
    prices = " ".join(_number(item[key]) for key in ("open", "high", "low", "close"))
    return f"{item['length_sec']}s {prices} volume {_number(item['volume'])}"


def _text(item: Json) -> str:
    who = item.get("author") or item.get("publisher")
    said = " ".join(str(item["text"]).split())
    return f"{who}: {said}" if who else said


_SHOWN: Mapping[str, Callable[[Json], str]] = {
    "trade": _trade, "liquidation": _trade, "quote": _quote, "book": _book, "candle": _candle,
    "post": _text, "news": _text,
}  # fmt: skip


def _level(levels: Sequence[Sequence[float]]) -> str:
    return f"{_number(levels[0][0])} x {_number(levels[0][1])}" if levels else "-"


def _number(value: Any) -> str:
    if value is None:
        return "-"
    if not isinstance(value, (int, float)):
        return str(value)
    return f"{value:,.2f}" if abs(value) >= 1_000 else f"{value:.10g}"


def _symbol(item: Json) -> str:
    return str(item["symbol"] or "-")


def _clock(text: str, *, decimals: int) -> str:
    """Return the time of day of an ISO time, UTC: `13:30:05.112`."""
    whole, _, fraction = text.partition("T")[2].removesuffix("Z").partition(".")
    return f"{whole}.{fraction[:decimals].ljust(decimals, '0')}" if decimals else whole


def _lag(item: Json) -> str:
    at_ns, received_ns = parse_iso(item["ts"]), parse_iso(item["received"])
    if at_ns is None or received_ns is None:
        return "-"
    ms = (received_ns - at_ns) // 1_000_000
    return f"{ms}ms" if abs(ms) < 10_000 else f"{ms // 1000}s"


def _notices(item: Json) -> Iterable[str]:
    for notice in item["notices"]:
        source, detail = notice.get("source"), notice["detail"]
        about = "" if source is None or source in detail else f"{source}: "
        yield f"{notice['code']} {about}{detail}"
