"""All errors by code, and what to fall back on where a code is a third party's."""

from __future__ import annotations

from collections.abc import Mapping

from bond_server.error_catalogue import access, asking, commands, serving, setup, sources
from bond_server.error_catalogue.entry import Entry, Group

GROUPS: Mapping[Group, tuple[Entry, ...]] = {
    "asking": asking.ENTRIES,
    "access": access.ENTRIES,
    "serving": serving.ENTRIES,
    "sources": sources.ENTRIES,
    "setup": setup.ENTRIES,
    "commands": commands.ENTRIES,
}

CATALOGUE: Mapping[str, Entry] = {
    entry.code: entry for entries in GROUPS.values() for entry in entries
}


def link_of(code: str) -> str | None:
    """Return where a server explains a code: a path on it; None for one that nobody knows."""
    return f"/v1/errors/{code}" if code in CATALOGUE else None


def entry_of(code: str) -> Entry | None:
    """Return what is known of a code; None for one that a plugin of others' made up."""
    return CATALOGUE.get(code)
