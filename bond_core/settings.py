"""Turn plain data into checked settings, and say everything that is wrong with it at once.

    @attrs.frozen
    class TradesConfig:
        api_key: Secret = setting(doc="Acme API key")
        every_s: float = setting(default=5.0, ge=0.5, doc="Seconds between polls")

    config = structure(TradesConfig, {"api_key": {"$env": "ACME_KEY"}})

Nothing is coerced: `"3"` is not 3. Unknown keys are refused with a suggestion.
"""  # fmt: skip

from __future__ import annotations

import functools
import os
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import attrs

from bond_core.errors import SetupError

if TYPE_CHECKING:
    from cattrs import Converter

T = TypeVar("T")

_NO_DEFAULT: Any = attrs.NOTHING
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


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


def setting(  # noqa: PLR0913 -- each is a word of its own, and none depends on another
    *,
    doc: str,
    default: Any = _NO_DEFAULT,
    ge: float | None = None,
    le: float | None = None,
    choices: Sequence[str] = (),
    check: Callable[[Any], object] | None = None,
    example: object = None,
    advanced: bool = False,
    env: str | None = None,
) -> Any:
    """Declare one field of a settings class.

    Args:
        doc: One line for people, shown in schemas, `bond plugins info` and errors.
        default: Value when it is left out; without one the setting is required.
        ge: Smallest number allowed.
        le: Largest number allowed.
        choices: The only texts allowed.
        check: Is given a value that fits so far, and raises ValueError where it won't do; the
            text says why, and the error where. Of a secret it must not show what it is.
        example: A value that works, for the documentation.
        advanced: Whether most users never need it.
        env: An environment variable of the server that fills it where a request doesn't: a
            key, an endpoint. Only for `Secret` and `str`.
    """
    metadata = {
        "doc": doc, "ge": ge, "le": le, "choices": tuple(choices), "check": check,
        "example": example, "advanced": advanced, "env": env,
    }  # fmt: skip
    if isinstance(default, (list, dict, set)):
        return attrs.field(factory=lambda: type(default)(default), metadata=metadata)
    return attrs.field(default=default, metadata=metadata)


def from_environment(
    cls: type, environ: Mapping[str, str], *, simulated: bool = False
) -> dict[str, object]:
    """Return the settings of a class that environment variables fill, by name.

    Simulated, a secret is a stand-in: no key is asked for, and none leaves.
    """
    hints = typing.get_type_hints(cls)
    filled: dict[str, object] = {}
    for field in attrs.fields(cls):
        variable = field.metadata.get("env")
        is_secret = variable is not None and Secret in (
            hints[field.name],
            *typing.get_args(hints[field.name]),
        )
        if is_secret and simulated:
            filled[field.name] = Secret("simulated")
        elif variable is not None and environ.get(variable):
            value = environ[variable]
            filled[field.name] = Secret(value) if is_secret else value
    return filled


def structure(cls: type[T], data: object, *, pointer: str = "") -> T:
    """Build an instance of the attrs class `cls` from plain data (as from JSON or TOML).

    Args:
        cls: Class whose fields were declared with `setting` or `attrs.field`.
        data: A mapping.
        pointer: JSON pointer of `data` itself, put before every problem's own.

    Raises:
        SettingsError: With every problem, not only the first.
    """
    # On use: declaring settings, as every plugin does when it is listed, takes no cattrs.
    from bond_core.structuring import structured  # noqa: PLC0415

    value, misfits = structured(_converter(), cls, data)
    if misfits:
        problems = [misfit.as_problem(pointer) for misfit in misfits]
        first = problems[0]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise SettingsError(f"{first.pointer or '/'}: {first.detail}{more}", problems=problems)
    return typing.cast("T", value)


@functools.cache
def _converter() -> Converter:
    from bond_core.structuring import strict_converter  # noqa: PLC0415 -- as above

    converter = strict_converter()
    converter.register_structure_hook(Secret, _secret_of)
    return converter


def _secret_of(value: object, _: object) -> Secret:
    """Read a secret from where it is kept; what is wrong is said without ever showing it."""
    from bond_core.structuring import MisfitError  # noqa: PLC0415 -- as above

    match value:
        case Secret():
            return value
        case {"$env": str(name), **rest} if not rest and _VARIABLE.fullmatch(name):
            if not (found := os.environ.get(name)):
                raise MisfitError(f"environment variable {name} is not set")
            return Secret(found)
        case {"$file": str(path), **rest} if not rest:
            try:
                found = Path(path).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise MisfitError(f"secret file can't be read: {error.strerror}") from None
            except ValueError:
                raise MisfitError("secret file can't be read: it holds no text") from None
            if not found:
                raise MisfitError("secret file is empty")
            return Secret(found)
    raise MisfitError('a secret is written {"$env": "NAME"} or {"$file": "/path"}, never in clear')


def json_schema(cls: type) -> dict[str, object]:
    """Return the closed JSON Schema (2020-12) of a settings class.

    Raises:
        TypeError: A field's type has no JSON form.
    """
    hints = typing.get_type_hints(cls)
    fields = [field for field in attrs.fields(cls) if field.init]
    return {
        "type": "object",
        "properties": {
            field.name: _schema_of(hints[field.name], f"{cls.__name__}.{field.name}")
            | _annotations(field)
            for field in fields
        },
        "required": [field.name for field in fields if field.default is attrs.NOTHING],
        "additionalProperties": False,
    }


def _annotations(field: attrs.Attribute[Any]) -> dict[str, Any]:
    """Return what `setting()` said of a field, in the words of JSON Schema."""
    meta, default = field.metadata, field.default
    said = {
        "description": meta.get("doc"),
        "minimum": meta.get("ge"),
        "maximum": meta.get("le"),
        "enum": list(meta.get("choices") or ()) or None,
        "examples": None if meta.get("example") is None else [meta["example"]],
        "default": default if isinstance(default, (str, int, float, bool)) else None,
    }
    return {key: value for key, value in said.items() if value is not None}


_SCALARS: Mapping[Any, str] = {
    str: "string", int: "integer", float: "number", bool: "boolean", types.NoneType: "null",
}  # fmt: skip


def _schema_of(hint: Any, where: str) -> dict[str, Any]:
    origin, args = typing.get_origin(hint) or hint, typing.get_args(hint)
    if hint in _SCALARS:
        return {"type": _SCALARS[hint]}
    if hint in (Any, object):
        return {}
    if hint is Secret:
        return {"writeOnly": True, "oneOf": [_object_of("$env"), _object_of("$file")]}
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_schema_of(a, where) for a in args]}
    if origin is Literal:
        return {"enum": list(args)}
    if origin in (tuple, list, frozenset):
        return {"type": "array", "items": _schema_of(args[0] if args else Any, where)}
    if origin in (dict, Mapping):
        values = _schema_of(args[1] if args else Any, where)
        return {"type": "object", "additionalProperties": values}
    if attrs.has(hint):
        return json_schema(hint)
    raise TypeError(
        f"{where}: {hint!r} has no JSON form; use str, int, float, bool, Secret, tuple, Mapping, "
        "Literal or another attrs class"
    )


def _object_of(key: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {key: {"type": "string"}},
        "required": [key],
        "additionalProperties": False,
    }
