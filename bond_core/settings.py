"""Turn plain data into checked settings, and say everything that is wrong with it at once.

    @attrs.frozen
    class TradesConfig:
        api_key: Secret = setting(doc="Acme API key")
        every_s: float = setting(default=5.0, ge=0.5, doc="Seconds between polls")

    config = structure(TradesConfig, {"api_key": {"$env": "ACME_KEY"}})

Nothing is coerced: `"3"` is not 3. Unknown keys are refused with a suggestion.
"""

from __future__ import annotations

import difflib
import math
import os
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import attrs

from bond_core.errors import Problem, SetupError

T = TypeVar("T")

_NO_DEFAULT: Any = attrs.NOTHING


class SettingsError(SetupError):
    """Settings don't fit their class; `problems` names every one with its JSON pointer."""

    default_code = "invalid_settings"


class Secret:
    """A value that never shows itself: not in `repr`, logs, JSON or error texts.

    In plain data it is written `{"$env": "NAME"}` or `{"$file": "/path"}`, never in clear.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value, for handing to the one who needs it."""
        return self._value

    def __repr__(self) -> str:
        """Hide the value."""
        return "Secret(***)"

    def __eq__(self, other: object) -> bool:
        """Compare values."""
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        """Hash the value."""
        return hash(self._value)


def setting(
    *,
    doc: str,
    default: Any = _NO_DEFAULT,
    ge: float | None = None,
    le: float | None = None,
    choices: Sequence[str] = (),
    example: object = None,
    advanced: bool = False,
) -> Any:
    """Declare one field of a settings class.

    Args:
        doc: One line for people, shown in schemas, `bond plugins info` and errors.
        default: Value when it is left out; without one the setting is required.
        ge: Smallest number allowed.
        le: Largest number allowed.
        choices: The only texts allowed.
        example: A value that works, for the documentation.
        advanced: Whether most users never need it.
    """
    metadata = {
        "doc": doc, "ge": ge, "le": le, "choices": tuple(choices),
        "example": example, "advanced": advanced,
    }  # fmt: skip
    if isinstance(default, (list, dict, set)):
        return attrs.field(factory=lambda: type(default)(default), metadata=metadata)
    return attrs.field(default=default, metadata=metadata)


def structure(cls: type[T], data: object, *, pointer: str = "") -> T:
    """Build an instance of the attrs class `cls` from plain data (as from JSON or TOML).

    Args:
        cls: Class whose fields were declared with `setting` or `attrs.field`.
        data: A mapping.
        pointer: JSON pointer of `data` itself, put before every problem's own.

    Raises:
        SettingsError: With every problem, not only the first.
    """
    problems: list[Problem] = []
    value = _structure_class(cls, data, pointer, problems)
    if problems:
        first = problems[0]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise SettingsError(f"{first.pointer or '/'}: {first.detail}{more}", problems=problems)
    return typing.cast("T", value)


def json_schema(cls: type) -> dict[str, object]:
    """Return the closed JSON Schema (2020-12) of a settings class.

    Raises:
        TypeError: A field's type has no JSON form.
    """
    hints = typing.get_type_hints(cls)
    properties: dict[str, object] = {}
    required = []
    for field in _fields(cls):
        schema = _schema_of(hints[field.name], f"{cls.__name__}.{field.name}")
        meta = field.metadata
        schema |= {
            key: value
            for key, value in {
                "description": meta.get("doc"),
                "minimum": meta.get("ge"),
                "maximum": meta.get("le"),
                "enum": list(meta.get("choices") or ()) or None,
                "examples": None if meta.get("example") is None else [meta["example"]],
            }.items()
            if value is not None
        }
        if field.default is attrs.NOTHING:
            required.append(field.name)
        elif isinstance(field.default, (str, int, float, bool)):
            schema["default"] = field.default
        properties[field.name] = schema
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _fields(cls: type) -> tuple[attrs.Attribute[Any], ...]:
    return tuple(f for f in attrs.fields(cls) if f.init)


def _structure_class(cls: type, data: object, pointer: str, problems: list[Problem]) -> object:
    if not isinstance(data, Mapping):
        problems.append(_expected("an object", data, pointer))
        return None
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in _fields(cls)}
    before = len(problems)
    for key in data:
        if key not in fields:
            near = difflib.get_close_matches(str(key), fields, n=3)
            problems.append(
                Problem(
                    detail=f"unknown key {key!r}",
                    pointer=f"{pointer}/{key}",
                    text=str(key),
                    did_you_mean=tuple(near),
                )
            )
    values: dict[str, object] = {}
    for name, field in fields.items():
        if name in data:
            value = _structure_value(hints[name], data[name], f"{pointer}/{name}", problems)
            _check_bounds(field, value, f"{pointer}/{name}", problems)
            values[name] = value
        elif field.default is attrs.NOTHING:
            problems.append(Problem(detail="is required", pointer=f"{pointer}/{name}"))
    if len(problems) > before:
        return None
    try:
        return cls(**values)
    except (ValueError, TypeError) as error:  # the class's own validators
        problems.append(Problem(detail=str(error), pointer=pointer))
        return None


def _structure_value(hint: Any, value: object, at: str, problems: list[Problem]) -> object:
    """Check `value` against a type hint and return it, converted where JSON has no such type."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any or hint is object:
        return value
    if origin in (typing.Union, types.UnionType):
        return _structure_union(args, value, at, problems)
    if origin is Literal:
        if value not in args:
            near = difflib.get_close_matches(str(value), [str(a) for a in args], n=1)
            problems.append(
                Problem(
                    detail=f"must be one of {', '.join(map(str, args))}, was {value!r}",
                    pointer=at, text=str(value), did_you_mean=tuple(near),
                )
            )  # fmt: skip
        return value
    if origin in (tuple, list, frozenset) or hint in (tuple, list, frozenset):
        return _structure_list(origin or hint, args, value, at, problems)
    if origin in (dict, Mapping, typing.get_origin(Mapping[str, str])):
        return _structure_mapping(args, value, at, problems)
    if hint is Secret:
        return _structure_secret(value, at, problems)
    if attrs.has(hint):
        return _structure_class(hint, value, at, problems)
    return _structure_scalar(hint, value, at, problems)


def _structure_union(
    args: tuple[Any, ...], value: object, at: str, problems: list[Problem]
) -> object:
    if value is None and type(None) in args:
        return None
    tries: list[list[Problem]] = []
    for arg in args:
        if arg is type(None):
            continue
        found: list[Problem] = []
        structured = _structure_value(arg, value, at, found)
        if not found:
            return structured
        tries.append(found)
    problems.extend(min(tries, key=len))
    return None


def _structure_list(
    kind: Any, args: tuple[Any, ...], value: object, at: str, problems: list[Problem]
) -> object:
    if not isinstance(value, (list, tuple)):
        problems.append(_expected("a list", value, at))
        return None
    item = args[0] if args else Any
    return kind(_structure_value(item, v, f"{at}/{i}", problems) for i, v in enumerate(value))


def _structure_mapping(
    args: tuple[Any, ...], value: object, at: str, problems: list[Problem]
) -> object:
    if not isinstance(value, Mapping):
        problems.append(_expected("an object", value, at))
        return None
    item = args[1] if args else Any
    return {str(k): _structure_value(item, v, f"{at}/{k}", problems) for k, v in value.items()}


def _structure_secret(value: object, at: str, problems: list[Problem]) -> Secret | None:
    """Read a secret from where it is kept; what is wrong is said without ever showing it."""
    if isinstance(value, Secret):
        return value
    if isinstance(value, Mapping) and len(value) == 1:
        ((how, where),) = value.items()
        if how == "$env":
            found = os.environ.get(str(where), "")
            if found:
                return Secret(found)
            problems.append(Problem(detail=f"environment variable {where} is not set", pointer=at))
            return None
        if how == "$file":
            try:
                return Secret(Path(str(where)).read_text(encoding="utf-8").strip())
            except OSError as error:
                detail = f"secret file can't be read: {error.strerror}"
                problems.append(Problem(detail=detail, pointer=at))
                return None
    detail = 'a secret is written {"$env": "NAME"} or {"$file": "/path"}, never in clear'
    problems.append(Problem(detail=detail, pointer=at))
    return None


def _structure_scalar(hint: Any, value: object, at: str, problems: list[Problem]) -> object:
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        if math.isfinite(value):
            return float(value)
        problems.append(Problem(detail=f"must be a finite number, was {value}", pointer=at))
        return None
    if hint is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if hint in (str, bool) and isinstance(value, hint):
        return value
    names = {float: "a number", int: "a whole number", str: "a text", bool: "true or false"}
    problems.append(_expected(names.get(hint, str(hint)), value, at))
    return None


def _check_bounds(
    field: attrs.Attribute[Any], value: object, at: str, problems: list[Problem]
) -> None:
    meta = field.metadata
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if meta.get("ge") is not None and value < meta["ge"]:
            problems.append(Problem(detail=f"must be at least {meta['ge']}, was {value}", pointer=at))
        if meta.get("le") is not None and value > meta["le"]:
            problems.append(Problem(detail=f"must be at most {meta['le']}, was {value}", pointer=at))
    if meta.get("choices") and isinstance(value, str) and value not in meta["choices"]:
        near = difflib.get_close_matches(value, meta["choices"], n=3)
        detail = f"must be one of {', '.join(meta['choices'])}, was {value!r}"
        problems.append(Problem(detail=detail, pointer=at, text=value, did_you_mean=tuple(near)))


def _expected(what: str, value: object, at: str) -> Problem:
    shown = "null" if value is None else type(value).__name__
    return Problem(detail=f"must be {what}, was {shown}", pointer=at)


_SCALARS: Mapping[Any, str] = {str: "string", int: "integer", float: "number", bool: "boolean"}


def _schema_of(hint: Any, where: str) -> dict[str, Any]:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint in _SCALARS:
        return {"type": _SCALARS[hint]}
    if hint is Any or hint is object:
        return {}
    if hint is Secret:
        source: Callable[[str], dict[str, Any]] = lambda key: {  # noqa: E731
            "type": "object", "properties": {key: {"type": "string"}},
            "required": [key], "additionalProperties": False,
        }  # fmt: skip
        return {"writeOnly": True, "oneOf": [source("$env"), source("$file")]}
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_schema_of(a, where) for a in args]}
    if hint is type(None):
        return {"type": "null"}
    if origin is Literal:
        return {"enum": list(args)}
    if origin in (tuple, list, frozenset):
        return {"type": "array", "items": _schema_of(args[0], where)}
    if origin in (dict, typing.get_origin(Mapping[str, str])):
        return {"type": "object", "additionalProperties": _schema_of(args[1], where)}
    if attrs.has(hint):
        return json_schema(hint)
    raise TypeError(f"{where}: {hint!r} has no JSON form; use str, int, float, bool, Secret, "
                    "tuple, Mapping, Literal or another attrs class")  # fmt: skip
