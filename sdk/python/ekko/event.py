"""What the SDK hands out: mappings that can't be changed, whose keys are attributes, too."""

from __future__ import annotations

import datetime as dt
import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from ekko.display import event_html

_ID = re.compile(r"(\d+)-(\d+)")


class Frozen(dict[str, Any]):
    """A mapping that can't be changed: `answer["spec"]` and `answer.spec` are the same.

    It is a dict by birth, so that `json.dumps`, pandas and the like take it as it is. Values keep
    their JSON types; a nested object is an ordinary dict. A key that is also the name of a dict's
    method (`items`, `values`) is reached with brackets only.
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        # Copying, pickling and notebooks ask for names of their own, and want a short no.
        raise AttributeError(name if name.startswith("_") else self._no_field(name))

    def __missing__(self, key: object) -> NoReturn:
        raise KeyError(self._no_field(key))

    def __dir__(self) -> Iterator[str]:
        """Name the fields first: an interactive shell completes them."""
        yield from (key for key in self if key.isidentifier())
        yield from super().__dir__()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._shown()!r})"

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return event_html(self._shown(), type(self).__name__)

    def _shown(self) -> dict[str, Any]:
        """Return what of it may be seen."""
        return self.to_dict()

    def __reduce__(self) -> tuple[type[Frozen], tuple[dict[str, Any]]]:
        return type(self), (self.to_dict(),)

    def to_dict(self) -> dict[str, Any]:
        """Return a plain dict of the same fields, which may be changed."""
        return dict(self)

    def _no_field(self, name: object) -> str:
        near = difflib.get_close_matches(str(name), self, n=3)
        todo = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(self)}"
        return f"this {type(self).__name__} has no field {name!r}; {todo}"

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError(
            f"this {type(self).__name__} can't be changed; to_dict() gives a dict that can"
        )

    __setitem__ = __delitem__ = __setattr__ = __delattr__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse


class Event(Frozen):
    """One record: what happened to one symbol in one window, as in the server's event schema.

    The fields below are always there; those of the stream's feeds (`price_avg`, `volume_sum`,
    `tweets`, …) come with it. A price without a trade is None, and so is a count whose source
    was down for the whole window: unknown is never zero.
    """

    __slots__ = ()

    id: str  # "<ms>-<n>": the position in the stream; strictly rising
    stream_id: str
    symbol: str
    timeframe: str
    rev: int
    partial: bool
    ts: str  # the window's end, ISO 8601 UTC
    window_start: str
    window_end: str
    sources: dict[str, Any]
    notices: list[dict[str, Any]]


class Gap(Event):
    """A hole: records that this client will never get. Comes before the record that follows it.

    It has that record's fields, so that a program for records takes it, too; but nothing is
    known of what they held, and so they are None. `notices` says the same in words.
    """

    __slots__ = ()

    after: str  # the last record before the hole; also the gap's id
    before: str  # the first record behind it
    reason: str  # trimmed, epoch, slow, takeover: as the server says it; or ended, or unknown


def gap_before(record: Mapping[str, Any], *, after: str, reason: str) -> Gap:
    """Return the gap between the position `after` and a record."""
    before = str(record.get("id") or record.get("ts"))
    begin, end = _time(after), _time(before)
    detail = f"the records after {after} and before {before} are lost ({reason})"
    return Gap(
        {
            **dict.fromkeys(record),
            "id": after,
            "stream_id": record.get("stream_id"),
            "ts": end,
            "window_start": begin,
            "window_end": end,
            "sources": {},
            "notices": [{"code": "gap", "from": begin, "to": end, "detail": detail}],
            "after": after,
            "before": before,
            "reason": reason,
        }
    )


def position(text: str | None) -> tuple[int, int] | None:
    """Return an id's two numbers; None for anything but an id."""
    found = _ID.fullmatch(text) if text else None
    return (int(found[1]), int(found[2])) if found else None


def _time(text: str) -> str:
    """Return the time of a position; what is no id is a time already."""
    found = position(text)
    if found is None:
        return text
    at = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(milliseconds=found[0])
    return at.isoformat().replace("+00:00", "Z")


def _without_token(grant: Frozen) -> dict[str, Any]:
    """Return what of a grant may be seen: no token."""
    return {
        key: "***" if key in {"token", "access_token"} and value else _without_query(value)
        for key, value in grant.items()
    }


def _without_query(value: Any) -> Any:
    return value.partition("?")[0] if isinstance(value, str) and "://" in value else value


class Stream(Frozen):
    """A stream as the server describes it; `create_stream` returns all of these fields."""

    __slots__ = ()

    stream_id: str
    access_token: str
    ws_url: str
    sse_url: str
    expires_in_sec: int
    spec: dict[str, Any]
    understood: Any
    warnings: list[Any]

    _shown = _without_token


class Token(Frozen):
    """A fresh token for a stream."""

    __slots__ = ()

    token: str
    ws_url: str
    expires_in_sec: int

    _shown = _without_token
