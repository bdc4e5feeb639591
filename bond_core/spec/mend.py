"""Mend a spec that was refused, so that the refusal can show one that works."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bond_core.structuring import MisfitError

EXAMPLE: Mapping[str, Any] = {
    "sources": [{"type": "ccxt", "symbols": ["BTC/USDT"]}],
    "interval_sec": 5,
    "symbols": ["BTC/USDT"],
}
"""A spec that works wherever bond-ccxt is installed."""

MAX_ITEMS: Mapping[str, int] = {
    "sources": 8, "symbols": 500, "timeframes": 32, "fields": 100, "derived": 100,
    "alerts": 32, "sinks": 8,
}  # fmt: skip
"""How long the lists of a spec may be."""

_MOST = 50  # beyond so many mistakes an example helps more than a mended spec
_STARTERS: Mapping[str, Any] = {
    "type": "ccxt", "sources": [{"type": "ccxt"}], "symbols": ["BTC/USDT"],
}  # fmt: skip


def mended(data: Any, misfits: Sequence[MisfitError]) -> Any:
    """Return `data` with each wrong thing corrected, left out, or where it is needed replaced.

    `data` itself stays as it is. The result may have other mistakes: read it again.
    """
    if len(misfits) > _MOST:
        return EXAMPLE
    # Misspelt keys first: what seems to be missing may be there then. After that from the
    # end, so that taking an item from a list moves none that is still to be mended.
    keys_first = [m for m in misfits if m.is_key] + [m for m in misfits[::-1] if not m.is_key]
    for misfit in keys_first:
        steps = [s.replace("~1", "/").replace("~0", "~") for s in misfit.pointer.split("/")[1:]]
        data = _mend_below(data, steps, misfit) if steps else EXAMPLE
    return data


def _mend_below(node: Any, steps: Sequence[str], misfit: MisfitError) -> Any:
    """Return a copy of `node` in which what `steps` lead to is mended."""
    step, *further = steps
    if isinstance(node, Mapping):
        copy = dict(node)
        if not further:
            _mend_entry(copy, step, misfit)
        elif step in copy:
            copy[step] = _mend_below(copy[step], further, misfit)
        return copy
    if isinstance(node, (list, tuple)):
        items, at = list(node), int(step)
        if further:
            items[at] = _mend_below(items[at], further, misfit)
        else:
            items[at : at + 1] = misfit.did_you_mean[:1]
        return items
    return node


def _mend_entry(entries: dict[str, Any], key: str, misfit: MisfitError) -> None:
    if misfit.is_missing and key in entries:
        return  # it was there, misspelt
    value = entries.pop(key, None)
    if misfit.is_key:
        if misfit.did_you_mean and misfit.did_you_mean[0] not in entries:
            entries[misfit.did_you_mean[0]] = value
    elif misfit.did_you_mean:
        entries[key] = misfit.did_you_mean[0]
    elif isinstance(value, (list, tuple)) and len(value) > MAX_ITEMS.get(key, len(value)):
        entries[key] = list(value[: MAX_ITEMS[key]])
    elif key in _STARTERS:
        entries[key] = _STARTERS[key]
