"""`/metrics`, for Prometheus: from this machine, or with a key that may."""

from __future__ import annotations

import ipaddress
from typing import Any

from litestar import Request, Response, get
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest

from bond_core.errors import RequestError
from bond_server.auth.access import Access
from bond_server.auth.presented import bearer
from bond_server.auth.project import OPEN, needs
from bond_server.routes.given import Given
from bond_server.routes.operations import problem_answers
from bond_server.settings import is_loopback

_PASSED_ON = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


class MetricsRefusedError(RequestError):
    """Metrics are asked for by somebody who may not read them."""

    default_code = "metrics_refused"


@get(
    "/metrics",
    media_type="text/plain",
    summary="Metrics for Prometheus",
    opt=needs(OPEN),
    responses=problem_answers(403, 429),
)
async def metrics(
    request: Request[Any, Any, Any], registry: Given[CollectorRegistry], access: Given[Access]
) -> Response[bytes]:
    """Return all metrics in Prometheus's text format; `docs/metrics.md` says what they mean."""
    if not (may_read_metrics(request) or _has_a_key(request, access)):
        raise MetricsRefusedError(
            "Metrics are for this machine, or for a key of scope metrics:read",
            fix="curl http://127.0.0.1:8000/metrics",
        )
    # One step of the event loop: what it reads must not change meanwhile.
    return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})


def may_read_metrics(request: Request[Any, Any, Any]) -> bool:
    """Return whether whoever asks is on this machine.

    From where a request came is not enough: what a proxy here passes on comes from here too,
    as does a page of somewhere else whose name was made to mean this machine. So the request
    must name this machine, and must not have been passed on.
    """
    client = request.client
    if client is None or any(name in request.headers for name in _PASSED_ON):
        return False
    try:
        is_here = ipaddress.ip_address(client.host).is_loopback
    except ValueError:
        return False
    return is_here and is_loopback(_host_of(request.headers.get("host", "")))


def _has_a_key(request: Request[Any, Any, Any], access: Access) -> bool:
    text = bearer(request)
    key = access.keys.find(text) if text else None
    return key is not None and key.may("metrics:read")


def _host_of(host: str) -> str:
    """Return a Host header without its port."""
    return host.partition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
