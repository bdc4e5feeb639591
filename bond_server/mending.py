"""See that the fix of a refused request works here, and find one that does."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from bond_core.errors import BondError
from bond_core.spec.mend import EXAMPLE as EXAMPLE_SPEC

EXAMPLE = "BTC price + volume every 1s"
"""A sentence that works wherever bond-ccxt is installed."""

_log = logging.getLogger("bond.server")


def working_fix(
    fix: str | None, *, tries: Callable[[Mapping[str, Any]], object], is_spec: bool
) -> str | None:
    """Return `fix` if a request made of it is understood, else an example that is.

    Args:
        fix: A sentence, a spec as JSON, or a whole request as JSON.
        tries: Compiles a request; raises BondError if it can't be had.
        is_spec: Whether a spec was asked for: then the answer is one too, if it can be.
    """
    examples = [_as_text({"spec": EXAMPLE_SPEC}), EXAMPLE]
    for candidate in (fix, *(examples if is_spec else reversed(examples))):
        if candidate:
            request = _as_request(candidate)
            if _works(request, tries):
                return _as_text(request) if "spec" in request else candidate
    return fix


def _as_request(fix: str) -> dict[str, Any]:
    """Return a fix as a request: a sentence and a spec are not yet one."""
    with contextlib.suppress(msgspec.DecodeError):
        found = msgspec.json.decode(fix)
        if isinstance(found, dict):
            return found if {"spec", "natural_language"} & set(found) else {"spec": found}
    return {"natural_language": fix}


def _as_text(request: Mapping[str, Any]) -> str:
    return msgspec.json.encode(request).decode()


def _works(request: Mapping[str, Any], tries: Callable[[Mapping[str, Any]], object]) -> bool:
    try:
        tries(request)
    except BondError:
        return False
    except Exception:  # noqa: BLE001 -- the request was refused well; that must not fail now
        _log.exception("the fix %s failed", request)
        return False
    return True
