"""Turn a request's body into what would run; what is refused comes with a fix that works here."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from typing import Any

import msgspec

from bond_core.errors import BondError
from bond_server.compiling import EXAMPLE, Compiled
from bond_server.local import Bond

_log = logging.getLogger("bond.server")

_EXAMPLE_SPEC = {"sources": [{"type": "ccxt"}], "symbols": ["BTC/USDT"], "interval_sec": 5}


def compile_or_mend(bond: Bond, body: Mapping[str, Any]) -> Compiled:
    """Return what a request means here.

    Raises:
        BondError: It makes no sense, or can't be had here. Its `fix` has been tried: it is
            what came with the error, or else an example, as a sentence or a whole body.
    """
    try:
        return bond.compile(body)
    except BondError as error:
        error.fix = _working_fix(bond, error.fix, is_spec="spec" in body)
        raise


def _working_fix(bond: Bond, fix: str | None, *, is_spec: bool) -> str | None:
    examples = [_as_text({"spec": _EXAMPLE_SPEC}), EXAMPLE]
    for candidate in (fix, *(examples if is_spec else reversed(examples))):
        if candidate:
            request = _as_request(candidate)
            if _works(bond, request):
                return _as_text(request) if "spec" in request else candidate
    return fix


def _as_request(fix: str) -> dict[str, Any]:
    """Return a fix as a body: a sentence and a spec are not yet one."""
    with contextlib.suppress(msgspec.DecodeError):
        found = msgspec.json.decode(fix)
        if isinstance(found, dict):
            return found if {"spec", "natural_language"} & set(found) else {"spec": found}
    return {"natural_language": fix}


def _as_text(body: Mapping[str, Any]) -> str:
    return msgspec.json.encode(body).decode()


def _works(bond: Bond, request: Mapping[str, Any]) -> bool:
    try:
        bond.compile(request)
    except BondError:
        return False
    except Exception:  # noqa: BLE001 -- the request was refused well; that must not fail now
        _log.exception("the fix %s failed", request)
        return False
    return True
