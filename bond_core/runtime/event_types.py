"""Let a source's `event_types` choose among a connector's channels, where those have such."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import attrs

from bond_core.errors import Problem, RequestError
from bond_core.plugin.specs import Channel, ConnectorSpec


def chooses_channels(connector: ConnectorSpec) -> bool:
    """Whether `event_types` name channels of this connector, and are no setting of it."""
    return any(channel.event_type for channel in connector.channels)


def offered(connector: ConnectorSpec, event_types: Sequence[str], pointer: str) -> ConnectorSpec:
    """Return the connector with those channels only that a source may have.

    Raises:
        RequestError: It has no such event type, or two of them would count the same twice.
    """
    if not chooses_channels(connector):
        return connector
    named = [_named(connector, word, pointer) for word in event_types]
    _refuse_twice(named, pointer)
    if named:
        kept = [
            attrs.evolve(channel, default=True) if channel.event_type else channel
            for channel in connector.channels
            if not channel.event_type or channel in named
        ]
    else:
        kept = [c for c in connector.channels if not c.event_type or c.default]
    return attrs.evolve(connector, channels=tuple(kept))


def _named(connector: ConnectorSpec, word: str, pointer: str) -> Channel:
    by_word = {c.event_type.lower(): c for c in connector.channels if c.event_type}
    found = by_word.get(word.lower())
    if found is None:
        known = [c.event_type for c in by_word.values()]
        near = tuple(difflib.get_close_matches(word, known, n=3, cutoff=0.5))
        detail = f"{connector.name} has no event type {word!r}; it has {', '.join(known)}"
        raise _refusal(detail, pointer, word, near)
    return found


def _refuse_twice(named: Sequence[Channel], pointer: str) -> None:
    """Refuse two channels that bring the same fields from the same kind of event."""
    for i, channel in enumerate(named):
        for other in named[:i]:
            if other.kind == channel.kind and set(other.fields) & set(channel.fields):
                both = f"{other.event_type} and {channel.event_type}"
                detail = f"{both} hear the same {channel.kind}s, which would count twice: name one"
                raise _refusal(detail, pointer, channel.event_type, (other.event_type,))


def _refusal(detail: str, pointer: str, text: str, near: tuple[str, ...]) -> RequestError:
    problem = Problem(
        detail=detail, pointer=f"{pointer}/event_types", text=text, did_you_mean=near
    )  # fmt: skip
    return RequestError(detail, code="invalid_spec", problems=[problem])
