"""Show records as a table that grows line by line on a terminal; 80 columns are enough.

     time      symbol    price_avg  high       low        volume  sources        lag
     13:30:04  BTC/USDT  91,230.51  91,240.00  91,210.30  4.21    binance okx    38ms
    ! 13:30:06 okx stale: nothing new on trades for 5.0 s
     13:30:06  BTC/USDT  91,231.02  91,238.10  91,220.00  2.02    ~okx stale …   41ms

A dash is what isn't known; it never stands for zero. What finds no room is named, once. A
terminal that changes its width changes the table from the next line on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TextIO

import attrs
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from bond_server.cli.raw_table import BADGE, RawTable

Json = Mapping[str, Any]

_SHOWN_AS = {
    "price_avg": "price_avg", "price_high": "high", "price_low": "low", "volume_sum": "volume",
    "bid_avg": "bid", "ask_avg": "ask",
}  # fmt: skip
# A record's identity, and what is shown otherwise than as a column.
_NO_FIELD = (
    "id", "stream_id", "symbol", "timeframe", "rev", "partial", "ts", "window_start",
    "window_end", "size_unit", "skipped", "passes", "bar", "sources", "notices", "raw_data",
)  # fmt: skip
# Where there is no room these go first, from the left: they come with every price. What was
# asked for by a word of its own goes after them.
_LEAVE_FIRST = ("price_open", "price_close", "vwap", "trades", "price_low", "price_high")
_STAY = ("price_avg", "volume_sum")
# Spares most tables from growing, which has them print their head again.
_ROOM = {"lag": 5, "volume_sum": 7, **dict.fromkeys(("price_avg", "price_high", "price_low"), 9)}
_LEAVE_LAST = ("volume_sum", "lag")
_NARROW, _TINY = 100, 60
# What the sources get where there is hardly any room, where it is narrow, and at most.
_SOURCES_TINY, _SOURCES_NARROW, _SOURCES_WIDE = 7, 13, 36
_HEAD_AGAIN_AFTER = 40


@attrs.frozen
class _Column:
    """One column: its head, what it shows of a record, and whether numbers stand right."""

    name: str
    head: str
    cell: Callable[[Json], str]
    is_number: bool = True


class Table:
    """Prints records as lines, their notices and changes of status as lines above them.

    Args:
        out: Where to.
        badge: What the heads say of simulated data, such as `PLAYED from okx.ws`.
    """

    def __init__(self, out: TextIO, *, badge: str = "SIMULATED") -> None:
        self._console = Console(file=out, highlight=False, soft_wrap=True)
        self._badge = badge
        self._raw = RawTable(self._console, badge)
        self._width = 0
        self._gap = " "
        self._sources_room = _SOURCES_NARROW
        self._decimals: dict[tuple[str, str], int] = {}
        self._fields: tuple[str, ...] = ()
        self._timeframes: set[str] = set()
        self._all: list[_Column] = []
        self._columns: list[_Column] = []
        self._widths: dict[str, int] = {}
        self._hidden: tuple[str, ...] = ()
        self._is_told = False
        self._lines_since_head = 0
        self._states: dict[tuple[str, str], tuple[str, str | None]] = {}
        self._said: tuple[str, set[str]] = ("", set())

    def show(self, record: Json) -> None:
        """Print a record, or an item of a raw stream."""
        if "kind" in record:
            self._raw.show(record)
            return
        for line in (*self._new_states(record), *self._new_notices(record)):
            self._console.print(Text(f"! {clock_of(record)} {line}", style="yellow"))
        if _is_starting(record):
            return  # said above, once; until then a row would be a row of dashes
        self._fit(record)
        if self._lines_since_head % _HEAD_AGAIN_AFTER == 0:
            self._print_head(is_simulated=_is_simulated(record))
        self._lines_since_head += 1
        self._console.print(self._line(record))

    def _fit(self, record: Json) -> None:
        """Widen what has become too narrow, and then see anew what finds room."""
        fields = tuple(key for key in record if key not in _NO_FIELD)
        is_new = fields != self._fields or record["timeframe"] not in self._timeframes
        is_resized = self._console.width != self._width
        if is_resized:
            self._width = self._console.width
            self._gap = " " if self._width < _NARROW else "  "
            self._sources_room = _SOURCES_NARROW if self._width >= _TINY else _SOURCES_TINY
        if is_new:
            self._fields = fields
            self._timeframes.add(record["timeframe"])
            self._all = self._every_column(fields)
        for column in self._all:
            width = max(len(column.head), cell_len(column.cell(record)), _ROOM.get(column.name, 0))
            if width > self._widths.get(column.name, 0):
                self._widths[column.name] = width
                is_new = True
        sources = min(len(_sources(record)), _SOURCES_WIDE)
        if sources > self._sources_room and self._width >= _NARROW:
            self._sources_room = sources
            is_new = True
        if is_new or is_resized:
            self._lay_out()

    def _every_column(self, fields: Iterable[str]) -> list[_Column]:
        """Return every column that records with these fields could have, in their order."""
        known = [name for name in _SHOWN_AS if name in fields]
        rest = [name for name in fields if name not in _SHOWN_AS]
        columns = [_Column("time", "time", clock_of, is_number=False)]
        if len(self._timeframes) > 1:
            columns.append(_Column("timeframe", "of", lambda r: str(r["timeframe"])))
        columns.append(_Column("symbol", "symbol", lambda r: str(r["symbol"]), is_number=False))
        columns += [
            _Column(name, _SHOWN_AS.get(name, name), self._cell_of(name)) for name in known + rest
        ]
        return [*columns, _Column("lag", "lag", _lag)]

    def _cell_of(self, name: str) -> Callable[[Json], str]:
        """Return what shows a field: a symbol's numbers with as many decimals as its first had."""
        digits = 3 if name == "volume_sum" else 6

        def cell(record: Json) -> str:
            value = record[name]
            if value is None:
                return "-"
            if isinstance(value, dict):  # numbers by venue
                shares = ((k, "-" if v is None else f"{v:.2f}") for k, v in value.items())
                return " ".join(f"{venue} {share}" for venue, share in shares)
            if not isinstance(value, float):
                return f"{value:,}" if isinstance(value, int) else str(value)
            key = name, record["symbol"]
            if key not in self._decimals and value:
                self._decimals[key] = decimals_for(value, digits=digits)
            return f"{value:,.{self._decimals.get(key, 2)}f}"

        return cell

    def _lay_out(self) -> None:
        """Leave out columns until the rest fits, with two spaces between them and the badge."""
        shown = list(self._all)
        others = [n for n in reversed(self._fields) if n not in {*_LEAVE_FIRST, *_STAY}]
        leaving = [name for name in (*_LEAVE_FIRST, *others) if name in self._fields]
        leaving += _LEAVE_LAST
        while leaving and self._wide(shown) + self._sources_room > self._width:
            gone = leaving.pop(0)
            shown = [column for column in shown if column.name != gone]
        names = {column.name for column in shown}
        hidden = tuple(name for name in (*self._fields, "lag") if name not in names)
        self._is_told = self._is_told and hidden == self._hidden
        self._hidden = hidden
        self._columns = shown
        self._lines_since_head = 0

    def _wide(self, columns: Iterable[_Column]) -> int:
        gap = len(self._gap)
        return len(BADGE) + sum(self._widths[column.name] + gap for column in columns) + gap

    def _print_head(self, *, is_simulated: bool) -> None:
        if is_simulated:
            badge = Text(f" {self._badge} ", style="bold reverse magenta")
            badge.append(" not what any market does now", style="not bold not reverse")
            self._console.print(badge)
        heads = {column.name: column.head for column in self._columns}
        self._console.print(Text(self._row("", heads, "sources"), style="bold"))
        if self._hidden and not self._is_told:
            self._is_told = True
            names = " ".join(self._hidden)
            self._console.print(Text(f"     no room for {names}; JSON has all", style="dim"))

    def _line(self, record: Json) -> Text:
        cells = {column.name: column.cell(record) for column in self._columns}
        line = Text(self._row(BADGE if _is_simulated(record) else "", cells, _sources(record)))
        line.highlight_regex(rf"^{BADGE}\b", style="magenta")
        line.highlight_regex(r"~\S+ [a-z]+", style="yellow")
        if all(record[name] is None for name in self._fields):
            line.stylize("dim")
        return line

    def _row(self, badge: str, cells: Mapping[str, str], sources: str) -> str:
        padded = [
            cells[c.name].rjust(self._widths[c.name])
            if c.is_number
            else cells[c.name].ljust(self._widths[c.name])
            for c in self._columns
        ]
        lag = [padded.pop()] if self._columns[-1].name == "lag" else []
        line = self._gap.join([badge.ljust(len(BADGE)), *padded])
        taken = cell_len(line) + sum(len(self._gap) + cell_len(cell) for cell in lag)
        room = max(self._width - taken - len(self._gap), 1)
        if len(sources) > room:
            sources = sources[: room - 1] + "…"
        row = self._gap.join([line, sources.ljust(room), *lag]).rstrip()
        return row if cell_len(row) <= self._width else f"{row[: self._width - 1]}…"

    def _new_states(self, record: Json) -> Iterable[str]:
        """Yield what to say of sources whose state is another than in the record before."""
        told = {(notice.get("source"), notice["code"]) for notice in record["notices"]}
        for name, source in record["sources"].items():
            state = source["status"], source.get("reason")
            before = self._states.get((name, record["symbol"]), ("live", None))
            self._states[name, record["symbol"]] = state
            if state == before or (name, state[0]) in told:
                continue
            if state[0] != "live":
                reason = f": {state[1]}" if state[1] else ""
                yield from self._once(record, f"{name} {state[0]}{reason}")
            elif before[0] != "starting":
                yield from self._once(record, f"{name} is live again")

    def _new_notices(self, record: Json) -> Iterable[str]:
        for notice in record["notices"]:
            source, detail = notice.get("source"), notice["detail"]
            about = "" if source is None or source in detail else f"{source}: "
            yield from self._once(record, f"{notice['code']} {about}{detail}")

    def _once(self, record: Json, line: str) -> Iterable[str]:
        """Yield a line unless a record of the same window has said it already."""
        end, lines = self._said
        if end != record["window_end"]:
            self._said = end, lines = record["window_end"], set()
        if line not in lines:
            lines.add(line)
            yield line


def clock_of(record: Json) -> str:
    """Return the time of day at which a record's window ended, UTC: `13:30:05`."""
    return str(record["window_end"]).partition("T")[2].removesuffix("Z")


def decimals_for(value: float, *, digits: int) -> int:
    """Return how many decimals show so many significant digits: 2 to 8."""
    exponent = math.floor(math.log10(abs(value)))
    return min(max(digits - 1 - exponent, 2), 8)


def _lag(record: Json) -> str:
    lags = [s["lag_ms"] for s in record["sources"].values() if s.get("lag_ms") is not None]
    if not lags:
        return "-"
    worst = max(lags)
    return f"{worst}ms" if abs(worst) < 10_000 else f"{worst / 1000:.0f}s"


def _sources(record: Json) -> str:
    """Return the sources, those that need attention first: `~okx stale binance`.

    A further channel of a source that is named (`okx.quotes`) is named only if it is ill.
    """
    sources = record["sources"]
    ill = [f"~{name} {s['status']}" for name, s in sources.items() if s["status"] != "live"]
    live = [name for name, s in sources.items() if s["status"] == "live"]
    return " ".join([*ill, *(n for n in live if n.rpartition(".")[0] not in live)])


def _is_simulated(record: Json) -> bool:
    return any(source.get("simulated") for source in record["sources"].values())


def _is_starting(record: Json) -> bool:
    return all(source["status"] == "starting" for source in record["sources"].values())
