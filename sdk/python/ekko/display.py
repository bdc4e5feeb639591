"""Show events in a notebook: small tables, and a line of what changes; no library needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

_ROWS = 10
_WIDTH, _HEIGHT = 480, 60
_LINE_OF = ("price_close", "price_avg", "mid_avg", "vwap", "tweets", "onchain_count")
_HIDDEN = {"id", "stream_id", "rev", "partial", "window_start", "window_end", "sources",
           "notices", "raw_data"}  # fmt: skip


def event_html(event: Mapping[str, Any], title: str) -> str:
    """Return an event as a table of its fields."""
    rows = "".join(f"<tr><th>{_text(key)}</th>{_cell(value)}</tr>" for key, value in event.items())
    return f"<table><caption>{_text(title)}{_badge([event])}</caption>{rows}</table>"


def records_html(records: Sequence[Mapping[str, Any]], gaps: Sequence[object]) -> str:
    """Return the last records as a table, under a line of the field that says most."""
    shown = records[-_ROWS:]
    names = dict.fromkeys(name for record in shown for name in record if name not in _HIDDEN)
    head = "".join(f"<th>{_text(name)}</th>" for name in names)
    rows = "".join(
        f"<tr>{''.join(_cell(record.get(name)) for name in names)}</tr>" for record in shown
    )
    lost = f", {len(gaps)} gaps" if gaps else ""
    said = f"{len(records)} records{lost}{_badge(records)}"
    return f"{_line(records)}<table><caption>{said}</caption><tr>{head}</tr>{rows}</table>"


def _line(records: Sequence[Mapping[str, Any]]) -> str:
    """Return a chart of one symbol's values; it breaks where one is unknown."""
    name = next((n for n in _LINE_OF if any(_is_number(r.get(n)) for r in records)), None)
    if name is None:
        return ""
    symbol = records[-1].get("symbol")
    values = [record.get(name) for record in records if record.get("symbol") == symbol]
    known = [float(value) for value in values if value is not None and _is_number(value)]
    if len(known) < 2:
        return ""
    low, high = min(known), max(known)
    step, scale = _WIDTH / (len(values) - 1), _HEIGHT / ((high - low) or 1)
    path, pen = "", "M"
    for n, value in enumerate(values):
        if value is None or not _is_number(value):
            pen = "M"
        else:
            path += f"{pen}{n * step:.1f},{_HEIGHT - (value - low) * scale:.1f} "
            pen = "L"
    title = _text(f"{symbol} {name}: {low:,} to {high:,}")
    return (
        f'<svg width="{_WIDTH}" height="{_HEIGHT + 4}" viewBox="0 -2 {_WIDTH} {_HEIGHT + 4}" '
        f'role="img"><title>{title}</title><path d="{path.strip()}" fill="none" '
        f'stroke="currentColor"/></svg>'
    )


def _badge(records: Iterable[Mapping[str, Any]]) -> str:
    simulated = any(
        isinstance(source, Mapping) and source.get("simulated")
        for record in records
        for source in (record.get("sources") or {}).values()
    )
    return " <strong>SIMULATED</strong>" if simulated else ""


def _cell(value: Any) -> str:
    if value is None:
        return '<td title="unknown">-</td>'
    shown = f"{value:,.10g}" if isinstance(value, float) else str(value)
    align = ' style="text-align:right"' if _is_number(value) else ""
    return f"<td{align}>{_text(shown)}</td>"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: str) -> str:
    return escape(value)
