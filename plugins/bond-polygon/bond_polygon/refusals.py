"""Say what Massive's status messages mean: try again and when, or mend something first.

Sources: the statuses that the `massive` library names, https://massive.com/docs/websocket, and
for their texts the issues of its clients.
"""

from __future__ import annotations

from bond_core.plugin import Fatal, Retryable

FINE = frozenset({"connected", "auth_success", "success"})

_WHERE = "massive.com/dashboard"
_TAKEN_PAUSE_S = 60.0
_SLOW_PAUSE_S = 5.0


def wrong_key(said: str) -> Fatal:
    """Return what a key that is refused means."""
    return Fatal(
        "Polygon does not accept the key in POLYGON_API_KEY, or its plan has no WebSocket; "
        f"{_WHERE} shows both: {said}",
        fix="export POLYGON_API_KEY=…",
    )


def error_of(status: str, said: str) -> Exception | None:
    """Return what to raise for a status that ends the connection; None if it is no such."""
    what = f"Polygon says: {said or status} ({status})"
    match status:
        case "auth_failed":
            return wrong_key(said)
        case "max_connections":
            return Retryable(
                "another program has this key's one connection to Polygon: end it, or let it "
                f"listen to this server. All streams here share one. {what}",
                retry_after_s=_TAKEN_PAUSE_S,
            )
        case "slow_consumer":
            return Retryable(
                "Polygon hung up because its messages were not taken fast enough: ask for fewer "
                f"symbols, or for trades without quotes. {what}",
                retry_after_s=_SLOW_PAUSE_S,
            )
        case "error" if "real-time" in said:
            return Fatal(
                f"this key's plan has no real-time data: take one that has at {_WHERE}, or sign "
                f"its agreements there. {what}",
            )
        case "auth_timeout" | "force_disconnect":
            return Retryable(what)
    return None


def why_refused(said: str, channel: str) -> str:
    """Return why a channel was refused, with what to do."""
    return f"this key's plan has no {channel}; take one with them at {_WHERE}. Polygon says: {said}"
