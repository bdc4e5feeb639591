"""What a settings class promises by its schema: samples of it, and what became of an older one."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from bond_core.settings import Secret, json_schema

_CREDENTIAL = re.compile(
    r"(^|_)(api_?key|key|token|secret|password|passwd|passphrase|credentials?|bearer)$"
)


@attrs.frozen
class Sample:
    """A value for one setting, and whether the schema says that it is fine."""

    name: str
    value: Any
    is_fine: bool
    why: str

    def __str__(self) -> str:
        return f"{self.name} = {self.value!r} is {self.why}"


def samples(cls: type) -> Iterator[Sample]:
    """Yield values that a settings class must take, and values that it must refuse."""
    schema: Any = json_schema(cls)
    for name, said in schema["properties"].items():
        for value in said.get("examples", ()):
            yield Sample(name, value, is_fine=True, why="its example")
        for value in said.get("enum", ()):
            yield Sample(name, value, is_fine=True, why="one of its choices")
        if "default" in said:
            yield Sample(name, said["default"], is_fine=True, why="its default")
        numeric = (int, float)
        if isinstance(said.get("minimum"), numeric):
            yield Sample(name, _as(said, said["minimum"]), is_fine=True, why="its minimum")
            yield Sample(name, _as(said, said["minimum"] - 1), is_fine=False, why="below it")
        if isinstance(said.get("maximum"), numeric):
            yield Sample(name, _as(said, said["maximum"]), is_fine=True, why="its maximum")
            yield Sample(name, _as(said, said["maximum"] + 1), is_fine=False, why="above it")


def required_examples(cls: type) -> dict[str, Any]:
    """Return the examples of those settings that must be given."""
    schema: Any = json_schema(cls)
    said = {name: schema["properties"][name].get("examples") for name in schema["required"]}
    return {name: examples[0] for name, examples in said.items() if examples}


def _as(said: Mapping[str, Any], value: float) -> float:
    return int(value) if said.get("type") == "integer" else float(value)


def plain_credentials(cls: type) -> Iterator[str]:
    """Yield the settings that are called like a credential and are a plain text."""
    hints = typing.get_type_hints(cls)
    for field in attrs.fields(cls):
        hint = hints[field.name]
        kinds = {hint, *typing.get_args(hint)}
        if _CREDENTIAL.search(field.name.lower()) and str in kinds and Secret not in kinds:
            yield field.name
        for kind in kinds:
            if attrs.has(kind):
                yield from (f"{field.name}.{inner}" for inner in plain_credentials(kind))


def broken_promises(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return how settings that a schema allowed would be refused by another."""
    return list(_broken(before, now, ""))


def _broken(before: Mapping[str, Any], now: Mapping[str, Any], at: str) -> Iterator[str]:
    old, new = before.get("properties", {}), now.get("properties", {})
    for name in set(now.get("required", ())) - set(before.get("required", ())):
        yield f"{at}{name} is required, and was not"
    for name, was in old.items():
        if name not in new:
            yield f"{at}{name} is gone"
            continue
        yield from _narrowed(was, new[name], f"{at}{name}")


def _narrowed(was: Mapping[str, Any], now: Mapping[str, Any], name: str) -> Iterator[str]:
    if was.get("type") == now.get("type") == "object":
        yield from _broken(was, now, f"{name}.")
    elif _types(now) and not _types(was) <= _types(now):
        yield f"{name} was {_said(was)} and is {_said(now)}"
    if gone := [value for value in was.get("enum", now.get("enum", ())) if _lacks(now, value)]:
        yield f"{name} may no longer be {', '.join(map(str, gone))}"
    if "enum" in now and "enum" not in was:
        yield f"{name} may only be one of some values now"
    if now.get("minimum", float("-inf")) > was.get("minimum", float("-inf")):
        yield f"{name} must be at least {now['minimum']} now"
    if now.get("maximum", float("inf")) < was.get("maximum", float("inf")):
        yield f"{name} may be {now['maximum']} at most now"


def _lacks(now: Mapping[str, Any], value: Any) -> bool:
    return "enum" in now and value not in now["enum"]


def _types(said: Mapping[str, Any]) -> set[str]:
    if "anyOf" in said:
        return set[str]().union(*(_types(each) for each in said["anyOf"]))
    if "oneOf" in said:
        return {"secret"}
    kind = said.get("type")
    if kind is None:
        return {type(value).__name__ for value in said["enum"]} if "enum" in said else set()
    return {"integer", "number"} if kind == "number" else {str(kind)}


def _said(said: Mapping[str, Any]) -> str:
    return " or ".join(sorted(_types(said) - {"integer"} or _types(said))) or "anything"
