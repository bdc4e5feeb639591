"""Names of record fields that carry a number: `price_p95` is one of `price_p{1..99}`."""

from __future__ import annotations

import re
from collections.abc import Iterable

import attrs

_TEMPLATE = re.compile(r"([a-z][a-z0-9_]*)\{([1-9]\d{0,3})\.\.([1-9]\d{0,3})\}")


@attrs.frozen
class Template:
    """A family of field names: `prefix` and a whole number from `low` to `high`."""

    prefix: str
    low: int
    high: int

    def number(self, name: str) -> int | None:
        """Return the number in a name of this family, None for any other name."""
        text = name.removeprefix(self.prefix)
        if text == name or not re.fullmatch(r"[1-9]\d{0,3}", text, re.ASCII):
            return None
        return int(text) if self.low <= int(text) <= self.high else None


def template_of(field: str) -> Template | None:
    """Return the template that a field of an aggregator is; None for a plain name."""
    found = _TEMPLATE.fullmatch(field)
    if found is None:
        return None
    prefix, low, high = found.groups()
    return Template(prefix, int(low), int(high))


def family_of(name: str, fields: Iterable[str]) -> str | None:
    """Return which of these templates has a name; None if none does."""
    for field in fields:
        template = template_of(field)
        if template is not None and template.number(name) is not None:
            return field
    return None
