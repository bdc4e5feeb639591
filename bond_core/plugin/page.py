"""Write a plugin's page from its specs and settings, so that it can't say what isn't so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bond_core.plugin.discovery import PluginRow
from bond_core.plugin.records import full_record_of


def page_of(row: PluginRow, *, sentences: Iterable[str] = ()) -> str:
    """Return the page of a loaded plugin, as Markdown.

    Args:
        row: The plugin.
        sentences: Some that ask for what it brings.
    """
    record = full_record_of(row, {})
    return "\n".join((*_page(record), *_asking(sentences))).rstrip() + "\n"


def setting_line(name: str, schema: Mapping[str, Any], required: Iterable[str]) -> str:
    """Say a setting on one line: `every_s: number, from 0.5, 5.0 unless said. Seconds …`."""
    return f"{name}: {', '.join(_takes(schema, name in required))}. {_text(schema)}".rstrip()


def _page(record: Mapping[str, Any]) -> Iterator[str]:
    yield f"# {record['name']}"
    yield ""
    yield f"Package `{record['distribution']}`, version {record['version']}."
    for spec in record["provides"]:
        yield ""
        yield f"## {spec['name']}"
        yield ""
        yield f"{spec['summary']}. A {spec['what']}, {spec['stability']}."
        yield from _facts(spec)
        yield from _channels(spec.get("channels", ()))
        yield from _settings(spec["config"])


def _asking(sentences: Iterable[str]) -> Iterator[str]:
    lines = [f'$ bond listen "{sentence}"' for sentence in sentences]
    if lines:
        yield from ("", "## Asking for it", "", "```console", *lines, "```")


def _facts(spec: Mapping[str, Any]) -> Iterator[str]:
    words = spec.get("words") or {}
    facts = [
        ("Also called", _codes(spec.get("aliases", ()))),
        ("Kind of event", _codes(spec.get("kinds") or filter(None, [spec.get("kind")]))),
        ("Record fields", _codes(spec.get("fields", ()))),
        ("Words", _codes(words)),
        ("Venues", _codes(spec.get("venues", ()))),
        ("Hosts", _codes(spec.get("hosts", ()))),
        ("Delivery", (spec.get("delivery") or "").replace("_", " ")),
        ("Polls", f"every {spec['polls_every_s']:g} s" if spec.get("polls_every_s") else ""),
        ("Fetches what was missed of", _codes(_backfilled(spec))),
        ("Can be simulated", "yes" if spec.get("simulator") else ""),
    ]
    facts += [(f"Needs `{key}`", why) for key, why in spec.get("needs", {}).items()]
    lines = [f"- {label}: {said}" for label, said in facts if said]
    if lines:
        yield ""
        yield from lines


def _backfilled(spec: Mapping[str, Any]) -> Sequence[str]:
    backfill = spec.get("capabilities", {}).get("backfill") or {}
    return tuple(backfill.get("channels", ()))


def _channels(channels: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    rows = [
        f"| `{c['name']}` | {c['kind']} | {_codes(c['fields'])} | {_codes(c['words']) or '-'} |"
        for c in channels
    ]
    if rows:
        yield ""
        yield from ("| Channel | Events | Record fields | Words |", "|---|---|---|---|", *rows)


def _settings(schema: Mapping[str, Any]) -> Iterator[str]:
    rows = [
        f"| `{name}` | {', '.join(_takes(one, name in schema['required']))} | {_text(one)} |"
        for name, one in schema["properties"].items()
    ]
    if rows:
        yield ""
        yield from ("| Setting | Takes | What it is |", "|---|---|---|", *rows)


def _takes(schema: Mapping[str, Any], is_required: bool) -> list[str]:  # noqa: FBT001 -- one fact
    what = str(schema.get("type", "a secret" if schema.get("writeOnly") else "any"))
    parts = [" or ".join(map(str, schema["enum"])) if "enum" in schema else what]
    if "minimum" in schema:
        parts.append(f"from {schema['minimum']:g}")
    if "maximum" in schema:
        parts.append(f"to {schema['maximum']:g}")
    if is_required:
        parts.append("required")
    elif "default" in schema:
        parts.append(f"{schema['default']!r} unless said")
    return parts


def _text(schema: Mapping[str, Any]) -> str:
    return str(schema.get("description", ""))


def _codes(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)
