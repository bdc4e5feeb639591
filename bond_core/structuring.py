"""Structure plain data strictly with cattrs, and turn what it found wrong into problems.

Strict: nothing is coerced (`"3"` is not 3, `true` is not 1, 3.0 is not 3), numbers are
finite, unknown keys are refused, and the bounds and choices of `setting()` hold. cattrs
goes through the whole document and raises groups of errors with notes on where they
happened; `structured` flattens them to a list, each with its JSON pointer (RFC 6901).

Importing this costs what importing cattrs costs: do it where data is read, not where
settings are declared.
"""

from __future__ import annotations

import difflib
import math
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal

import attrs
from cattrs import Converter
from cattrs.cols import list_structure_factory
from cattrs.errors import (
    AttributeValidationNote,
    BaseValidationError,
    ForbiddenExtraKeysError,
    IterableValidationNote,
)
from cattrs.gen import make_dict_structure_fn, make_mapping_structure_fn, override

from bond_core.errors import Problem

Hook = Callable[[Any, Any], Any]

_SHOWN = 60  # characters of a wrong value that are repeated in an error
_SUGGESTED = 20  # wrong keys and values of one document that get a suggestion: each costs a search


class MisfitError(ValueError):
    """One value doesn't fit. Hooks raise it where they stand; `structured` adds the pointer.

    Attributes:
        detail: What is wrong, as a sentence.
        pointer: Where, from the document's root.
        text: What stood there, if it may be repeated.
        did_you_mean: What may have been meant, the likeliest first.
        code: What an error is called that has no other problem; None leaves it to the caller.
        is_key: Whether the key itself is wrong, not its value.
        is_missing: Whether there is nothing where something is required.
    """

    def __init__(
        self, detail: str, *, pointer: str = "", text: str | None = None,
        did_you_mean: Iterable[str] = (), code: str | None = None,
        is_key: bool = False, is_missing: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(detail)
        self.detail = detail
        self.pointer = pointer
        self.text = text
        self.did_you_mean = tuple(did_you_mean)
        self.code = code
        self.is_key = is_key
        self.is_missing = is_missing

    def as_problem(self, pointer: str) -> Problem:
        """Return it for people; `pointer` is the document's own, put before this one's."""
        return Problem(
            detail=self.detail,
            pointer=pointer + self.pointer,
            text=self.text,
            did_you_mean=self.did_you_mean,
        )


def strict_converter() -> Converter:
    """Return a new converter for attrs classes of plain fields; add hooks for types of your own."""
    converter = Converter(detailed_validation=True, forbid_extra_keys=True)
    for kind, hook in _SCALARS.items():
        converter.register_structure_hook(kind, hook)
    # The last one registered is asked first.
    converter.register_structure_hook_factory(_is_mapping, _mapping_hook)
    converter.register_structure_hook_factory(_is_list, _list_hook)
    converter.register_structure_hook_factory(_is_literal, _literal_hook)
    converter.register_structure_hook_factory(_is_union, _union_hook)
    converter.register_structure_hook_factory(attrs.has, _class_hook)
    return converter


def structured(converter: Converter, cls: type, data: object) -> tuple[Any, list[MisfitError]]:
    """Return an instance of `cls` made from `data`, or None and everything that is wrong.

    Raises:
        StructureHandlerNotFoundError: A field's type is one that no hook reads.
    """
    try:
        return converter.structure(data, cls), []
    except (BaseValidationError, MisfitError) as error:
        return None, list(_misfits(error, ""))


def nearest(text: str, known: Iterable[str], n: int = 3) -> tuple[str, ...]:
    """Return those of `known` that may have been meant, the likeliest first."""
    return tuple(difflib.get_close_matches(text, known, n=n)) if len(text) <= _SHOWN else ()


def shown(value: object) -> str:
    """Return a text to repeat in an error: valid Unicode and not too long."""
    text = _unicode(str(value))
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _unicode(text: str) -> str:
    """Escape lone surrogates, which JSON can carry and UTF-8 can't."""
    return text.encode("utf-8", "backslashreplace").decode()


def kind_of(value: object) -> str:
    """Return what a value is in the words of JSON, without repeating it."""
    for kind, name in _KINDS:
        if isinstance(value, kind):
            return name
    return "null" if value is None else type(value).__name__


def must_be(what: str, value: object) -> MisfitError:
    """Return the error for a value of the wrong kind."""
    return MisfitError(f"must be {what}, was {kind_of(value)}")


_KINDS: tuple[tuple[Any, str], ...] = (
    (bool, "true or false"), (str, "a text"), ((int, float), "a number"),
    (Mapping, "an object"), ((list, tuple), "a list"),
)  # fmt: skip


def text_of(value: object, _: object = str) -> str:
    """Take a text."""
    if not isinstance(value, str):
        raise must_be("a text", value)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise MisfitError("is not valid Unicode", text=shown(value)) from None
    return value


def _float_of(value: object, _: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise must_be("a number", value)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise MisfitError(f"must be a finite number, was {number}")
    return number


def _int_of(value: object, _: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise must_be("a whole number", value)
    return value


def _bool_of(value: object, _: object) -> bool:
    if not isinstance(value, bool):
        raise must_be("true or false", value)
    return value


_SCALARS: Mapping[type, Hook] = {str: text_of, float: _float_of, int: _int_of, bool: _bool_of}


def _origin(hint: Any) -> Any:
    return typing.get_origin(hint) or hint


def _is_list(hint: Any) -> bool:
    return _origin(hint) in (tuple, list, frozenset)


def _is_mapping(hint: Any) -> bool:
    return _origin(hint) in (dict, Mapping)


def _is_literal(hint: Any) -> bool:
    return _origin(hint) is Literal


def _is_union(hint: Any) -> bool:
    return _origin(hint) in (typing.Union, types.UnionType)


def _list_hook(hint: Any, converter: Converter) -> Hook:
    kind, item = _origin(hint), (typing.get_args(hint) or (Any,))[0]
    many: Any = types.GenericAlias(list, item)
    items = list_structure_factory(many, converter)

    def take(value: object, _: object) -> Any:
        if not isinstance(value, (list, tuple)):
            raise must_be("a list", value)
        return kind(items(value, many))

    return take


def _mapping_hook(hint: Any, converter: Converter) -> Hook:
    item = (typing.get_args(hint) or (str, Any))[1]
    many: Any = types.GenericAlias(dict, (str, item))
    items: Hook = make_mapping_structure_fn(many, converter)

    def take(value: object, _: object) -> Any:
        if not isinstance(value, Mapping):
            raise must_be("an object", value)
        return items(value, many)

    return take


def _literal_hook(hint: Any, _: Converter) -> Hook:
    allowed = typing.get_args(hint)

    def take(value: object, _: object) -> Any:
        # By type too: to Python, True is 1.
        if not any(value == a and type(value) is type(a) for a in allowed):
            raise _not_among([str(a) for a in allowed], value)
        return value

    return take


def _union_hook(hint: Any, converter: Converter) -> Hook:
    kinds = [kind for kind in typing.get_args(hint) if kind is not types.NoneType]
    hooks = [(kind, converter.get_structure_hook(kind)) for kind in kinds]
    may_be_null = len(kinds) < len(typing.get_args(hint))

    def take(value: object, _: object) -> Any:
        if value is None and may_be_null:
            return None
        errors: list[Exception] = []
        for kind, hook in hooks:
            try:
                return hook(value, kind)
            except (BaseValidationError, MisfitError) as error:
                errors.append(error)
        # The kind that comes closest tells best what is wrong.
        raise min(errors, key=lambda error: len(list(_misfits(error, ""))))

    return take


def _class_hook(cls: type, converter: Converter) -> Hook:
    hints = typing.get_type_hints(cls)
    bounded: dict[str, Any] = {
        field.name: override(
            struct_hook=_bounded(field, converter.get_structure_hook(hints[field.name]))
        )
        for field in attrs.fields(cls)
        if any(field.metadata.get(bound) not in (None, ()) for bound in _BOUNDS)
    }
    fields: Hook = make_dict_structure_fn(
        cls, converter, _cattrs_forbid_extra_keys=True, _cattrs_detailed_validation=True, **bounded
    )

    def take(value: object, _: object) -> Any:
        if not isinstance(value, Mapping):
            raise must_be("an object", value)
        return fields(value, cls)

    return take


_BOUNDS = ("ge", "le", "choices", "check")


def _bounded(field: attrs.Attribute[Any], hook: Hook) -> Hook:
    """Let a value pass that keeps within the field's `setting()`."""
    least, most = field.metadata.get("ge"), field.metadata.get("le")
    choices, check = field.metadata.get("choices") or (), field.metadata.get("check")

    def take(given: object, hint: object) -> Any:
        value = hook(given, hint)
        if isinstance(value, (int, float)):
            if least is not None and value < least:
                raise MisfitError(f"must be at least {least}, was {shown(value)}")
            if most is not None and value > most:
                raise MisfitError(f"must be at most {most}, was {shown(value)}")
        if choices and isinstance(value, str) and value not in choices:
            raise _not_among(choices, value)
        if check is not None:
            check(value)
        return value

    return take


def _not_among(choices: Iterable[str], value: object) -> MisfitError:
    choices = tuple(choices)
    if not isinstance(value, str):
        return must_be(f"one of {', '.join(choices)}", value)
    return MisfitError(
        f"must be one of {', '.join(choices)}, was {shown(value)!r}",
        text=shown(value),
        did_you_mean=nearest(value, choices),
    )


def _misfits(error: BaseException, pointer: str) -> Iterator[MisfitError]:
    """Walk a tree of cattrs' errors and yield its leaves, each with its pointer."""
    if isinstance(error, BaseValidationError):
        # Unknown keys first: a misspelt key is why another one is missing.
        for inner in sorted(error.exceptions, key=_is_not_about_keys):
            yield from _misfits(inner, pointer + _step(inner))
    elif isinstance(error, MisfitError):
        error.pointer = pointer
        yield error
    elif isinstance(error, ForbiddenExtraKeysError):
        yield from _unknown_keys(error, pointer)
    elif isinstance(error, KeyError):
        yield MisfitError("is required", pointer=pointer, is_missing=True)
    elif isinstance(error, (ValueError, TypeError)):  # the class's own validators
        yield MisfitError(str(error.args[0]) if error.args else "is refused", pointer=pointer)
    else:
        raise error


def _is_not_about_keys(error: BaseException) -> bool:
    return not isinstance(error, ForbiddenExtraKeysError)


def _unknown_keys(error: ForbiddenExtraKeysError, pointer: str) -> Iterator[MisfitError]:
    known = [field.name for field in attrs.fields(error.cl) if field.init]
    for i, key in enumerate(sorted(map(str, error.extra_fields))):
        yield MisfitError(
            f"unknown key {shown(key)!r}",
            pointer=f"{pointer}/{_token(key)}",
            text=shown(key),
            did_you_mean=nearest(key, known) if i < _SUGGESTED else (),
            is_key=True,
        )


def _step(error: BaseException) -> str:
    """Return where below its group cattrs noted that an error happened, as a pointer's step."""
    for note in getattr(error, "__notes__", ()):
        if isinstance(note, AttributeValidationNote):
            return f"/{note.name}"
        if isinstance(note, IterableValidationNote):
            return f"/{_token(str(note.index))}"
    return ""


def _token(key: str) -> str:
    # RFC 6901, 3: "~" and "/" are escaped in a pointer's step.
    return _unicode(key).replace("~", "~0").replace("/", "~1")
