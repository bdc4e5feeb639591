"""How a handler says where its arguments come from.

    async def show_stream(stream_id: StreamId, bond: Given[Bond]) -> ...

`Given` is what `app.py` made under the parameter's name, handed on as it is. Without these
marks the framework guesses, which it has announced to stop doing.
"""

from __future__ import annotations

from typing import TypeAlias, TypeVar

from litestar.di import NamedDependency
from litestar.params import FromPath, SkipValidation

T = TypeVar("T")

Given: TypeAlias = NamedDependency[SkipValidation[T]]

StreamId: TypeAlias = FromPath[str]
TokenId: TypeAlias = FromPath[str]
