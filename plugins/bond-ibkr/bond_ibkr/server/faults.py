"""Say why a contract can't be streamed: as HTTP before the first byte, as an event after it."""

from __future__ import annotations

from bond_core.plugin import AnsweredError
from bond_ibkr.refusals import code_in
from bond_ibkr.server.messages import Fault

RETRY_AFTER_S = 5.0

_UNKNOWN = frozenset({200})
_TOO_MANY = frozenset({101, 322, 10190})
_NOBODY_SAID = "TWS describes no contract"
_SUBSCRIPTIONS = "See to the account's market data subscriptions, or ask for another tick type"


def not_there(contract_id: int) -> Fault:
    """Return what is said of a contract that TWS doesn't know."""
    return Fault(
        "CONTRACT_NOT_FOUND",
        f"Could not find contract with ID {contract_id}",
        "Verify contract ID using the contract lookup API",
    )


def fault_of(contract_id: int, reason: str, *, is_connected: bool) -> Fault:
    """Return what is wrong, by the connector's reason for it."""
    code = code_in(reason)
    if not is_connected:
        return tws_away(reason)
    if code in _UNKNOWN or reason.startswith(_NOBODY_SAID):
        return not_there(contract_id)
    if code in _TOO_MANY:
        return Fault("TWS_LIMIT", "TWS gives no more market data at once", reason)
    if code is None:
        return tws_away(reason)
    return Fault("MARKET_DATA_UNAVAILABLE", reason, _SUBSCRIPTIONS)


def tws_away(reason: str) -> Fault:
    """Return what is said where no TWS answers."""
    return Fault("TWS_UNAVAILABLE", "TWS connection unavailable", reason)


def tws_lost(reason: str) -> Fault:
    """Return what is said when TWS goes away; it is tried again."""
    return Fault("TWS_DISCONNECTED", "Lost connection to TWS; connecting again", reason)


def as_answer(fault: Fault) -> AnsweredError:
    """Return a fault as the answer to a request."""
    more, detail = {"error": fault.as_json()}, f"{fault.message}: {fault.details}"
    if fault.code == "CONTRACT_NOT_FOUND":
        return AnsweredError(detail, status=404, code="contract_not_found", more=more)
    if fault.code == "TWS_LIMIT":
        return AnsweredError(
            detail, status=429, code="tws_limit", more=more, retry_after_s=RETRY_AFTER_S
        )
    if fault.code == "MARKET_DATA_UNAVAILABLE":
        return AnsweredError(
            detail, status=503, code="market_data_unavailable", more=more,
            retry_after_s=RETRY_AFTER_S,
        )  # fmt: skip
    return AnsweredError(
        detail, status=503, code="tws_unavailable", more=more, retry_after_s=RETRY_AFTER_S
    )


def too_many(most: int) -> AnsweredError:
    """Return the answer where all streams are in use that there may be."""
    message = f"{most} streams run already, and {most} are allowed"
    details = "DELETE /stream/{contract_id} ends one; IB_STREAM_MAX_STREAMS says how many may be"
    error = Fault("TOO_MANY_STREAMS", message, details).as_json()
    return AnsweredError(
        f"{message}: {details}", status=429, code="too_many_streams",
        more={"error": error, "limit": most, "used": most}, retry_after_s=RETRY_AFTER_S,
    )  # fmt: skip


def not_streamed(what: str) -> AnsweredError:
    """Return the answer where what should be stopped does not run."""
    message, details = f"Nothing is streamed of {what}", "GET /stream/active lists what is"
    error = Fault("STREAM_NOT_FOUND", message, details).as_json()
    return AnsweredError(
        f"{message}: {details}", status=404, code="stream_not_found", more={"error": error}
    )
