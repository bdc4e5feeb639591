"""What OpenAPI says of a request for a stream: the keys that are read, and what they take.

Made of the classes that requests are read with, so that both say the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Literal, NewType, Union, get_args, get_origin, get_type_hints

import attrs
from litestar.openapi.spec import OpenAPIType, Schema

from bond_core.spec import given
from bond_core.spec.conditions.given import OPS
from bond_core.spec.conditions.parse import MAX_TEXT

_MAX_SENTENCE = 500
_OPTIONS = ("ephemeral", "duration_sec", "replay_sec", "label")

_TEXT = Schema(type=OpenAPIType.STRING)
_OBJECT = Schema(type=OpenAPIType.OBJECT)
_NOTHING = Schema(type=OpenAPIType.NULL)
_DURATION = (
    Schema(type=OpenAPIType.NUMBER, description="Seconds"),
    Schema(type=OpenAPIType.STRING, description="A duration such as 1m30s"),
)
_CONDITION = (
    Schema(
        type=OpenAPIType.STRING, max_length=MAX_TEXT,
        description="A condition such as price_avg > 70000 && volume_sum > 5",
    ),
    Schema(type=OpenAPIType.OBJECT, description='Such as {"field": …, "op": ">", "value": 1}'),
)  # fmt: skip
_COMPARISON = {
    "field": Schema(type=OpenAPIType.STRING, description="Such as price_avg"),
    "op": Schema(type=OpenAPIType.STRING, enum=list(OPS)),
    "value": Schema(description="A number or a text"),
    "change": Schema(type=OpenAPIType.STRING, enum=["percent"]),
    "window_sec": Schema(one_of=list(_DURATION)),
    "all": Schema(type=OpenAPIType.ARRAY, description="Conditions that must all hold"),
    "any": Schema(type=OpenAPIType.ARRAY, description="Conditions of which one must hold"),
}
_PLAIN: Mapping[Any, tuple[Schema, ...]] = {
    str: (_TEXT,),
    bool: (Schema(type=OpenAPIType.BOOLEAN),),
    int: (Schema(type=OpenAPIType.INTEGER, minimum=1),),
    given.Symbol: (Schema(type=OpenAPIType.STRING, description="Such as BTC/USDT"),),
    given.Timeframe: (
        Schema(
            type=OpenAPIType.STRING,
            description="A duration such as 1m, or a bar such as 100ticks or 10vol",
        ),
    ),
    given.Milliseconds: _DURATION,
    given.Span: _DURATION,
    given.Interval: _DURATION,
    given.Json: (_OBJECT,),
    given.Patience: _DURATION,
    given.Name: (_TEXT,),
    given.ConditionText: _CONDITION,
    given.SinkName: (_TEXT,),
    NoneType: (_NOTHING,),
}


def stream_request() -> Schema:
    """Return the schema of a body with a sentence or a spec, and what may be said beside it."""
    spec = _of_class(given.SpecInput)
    properties = spec.properties or {}
    beside = {name: properties[name] for name in _OPTIONS}
    sentence = Schema(type=OpenAPIType.STRING, max_length=_MAX_SENTENCE)
    return Schema(
        description="Either natural_language or spec.",
        one_of=[
            Schema(
                type=OpenAPIType.OBJECT, properties={name: schema, **beside}, required=[name],
                additional_properties=False,
            )
            for name, schema in (("natural_language", sentence), ("spec", spec))
        ],
    )  # fmt: skip


def _of_class(cls: type[attrs.AttrsInstance]) -> Schema:
    hints = get_type_hints(cls)
    return Schema(
        type=OpenAPIType.OBJECT,
        properties={field.name: _of(hints[field.name]) for field in attrs.fields(cls)},
        required=[f.name for f in attrs.fields(cls) if f.default is attrs.NOTHING],
        additional_properties=False,
    )


def _of(hint: Any) -> Schema:
    kinds = _kinds(hint)
    return kinds[0] if len(kinds) == 1 else Schema(one_of=list(kinds))


def _kinds(hint: Any) -> tuple[Schema, ...]:
    if hint in _PLAIN:
        return _PLAIN[hint]
    if hint is given.Alert:
        return (_of_alert(),)
    if isinstance(hint, NewType):
        return _kinds(hint.__supertype__)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return tuple(schema for argument in arguments for schema in _kinds(argument))
    if origin is Literal:
        return (Schema(type=OpenAPIType.STRING, enum=list(arguments)),)
    if origin is tuple:
        return (Schema(type=OpenAPIType.ARRAY, items=_of(arguments[0])),)
    if hint is given.SinkInput:
        return (_of_sink(),)
    return (_of_class(hint),)


def _of_alert() -> Schema:
    """Return the schema of an alert: its condition may stand beside its other keys."""
    schema = _of_class(given.AlertInput)
    schema.properties = {**(schema.properties or {}), **_COMPARISON}
    schema.required = None
    return schema


def _of_sink() -> Schema:
    """Return the schema of a sink's entry: its own settings stand beside the stream's words."""
    schema = _of_class(given.SinkInput)
    schema.properties = {k: v for k, v in (schema.properties or {}).items() if k != "config"}
    schema.additional_properties = True
    return schema
