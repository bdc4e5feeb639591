"""Refuse settings that can't work when they are read, all that is wrong with them at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bond_core.errors import Fatal
from bond_core.plugin.egress import parse_url
from bond_core.structuring import MisfitError
from bond_websocket.compile import compiled
from bond_websocket.faults import Fault

if TYPE_CHECKING:
    from bond_websocket.config import CustomConfig

_NO_URL = "a custom source needs its address: wss://host/path"
_NO_MAPPING = (
    "a custom source needs a mapping: what to send, and which of its messages mean what; "
    "docs/custom.md has three that work"
)


def refuse_faults(config: CustomConfig) -> None:
    """Raise for everything that is wrong with the settings.

    Raises:
        ClassValidationError: As `bond_core.structuring` reads it, each fault with its place.
    """
    found = [*_url_faults(config.url), *_mapping_faults(config)]
    if found:
        raise _as_group(found)


def _url_faults(url: str | None) -> list[Fault]:
    if url is None:
        return [Fault("url", _NO_URL)]
    try:
        route = parse_url(url)
    except Fatal as error:
        return [Fault("url", error.detail)]
    if route.scheme not in ("ws", "wss"):
        return [Fault("url", f"a WebSocket's address begins with wss://, not {route.scheme}://")]
    return []


def _mapping_faults(config: CustomConfig) -> list[Fault]:
    if config.mapping is None:
        return [Fault("mapping", _NO_MAPPING)]
    return compiled(config.mapping)[1].found


def _as_group(found: list[Fault]) -> Exception:
    # The form in which cattrs says where below a class something happened.
    from cattrs.errors import AttributeValidationNote, ClassValidationError  # noqa: PLC0415

    errors = []
    for fault in found:
        error = MisfitError(fault.detail, text=fault.text, did_you_mean=fault.did_you_mean)
        error.__notes__ = [AttributeValidationNote(fault.at, fault.at, str)]
        errors.append(error)
    return ClassValidationError("settings of a custom source", errors, object)
