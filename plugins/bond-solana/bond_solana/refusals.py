"""Say what an endpoint's refusals mean.

Source: https://grpc.io/docs/guides/status-codes, and what yellowstone-grpc answers with.
"""

from __future__ import annotations

from typing import Any

from bond_core.plugin import Fatal, Retryable, plain

THROTTLED_PAUSE_S = 30.0


class NotReplayedError(Retryable):
    """The endpoint no longer has the slot that was asked for."""


def error_of(error: Any, *, resumed: bool) -> Exception:
    """Return what to raise for an `AioRpcError`.

    Args:
        error: With `code()` and `details()`.
        resumed: Whether a slot to go on from was asked for.
    """
    code = error.code().name
    said = plain(str(error.details() or ""))[:200]
    tail = f": {said}" if said else ""
    if code in ("UNAUTHENTICATED", "PERMISSION_DENIED"):
        return Fatal(
            f"the endpoint refuses this x-token, which your provider shows ({code}){tail}",
            fix="export GRPC_X_TOKEN=…",
        )
    if code == "UNIMPLEMENTED":
        return Fatal(f"GRPC_ENDPOINT speaks no Yellowstone ({code}){tail}")
    if resumed and code in ("INVALID_ARGUMENT", "OUT_OF_RANGE", "NOT_FOUND", "DATA_LOSS"):
        return NotReplayedError(f"the endpoint can't go on from where it was ({code}){tail}")
    if code == "INVALID_ARGUMENT":
        return Fatal(f"the endpoint refuses what is asked for ({code}){tail}")
    if code == "RESOURCE_EXHAUSTED":
        return Retryable(
            f"the endpoint allows no more for now ({code}){tail}", retry_after_s=THROTTLED_PAUSE_S
        )
    return Retryable(f"the endpoint ended it ({code}){tail}")
