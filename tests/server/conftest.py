"""The two ways in which records reach clients; what holds for one holds for the other."""

from __future__ import annotations

import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from bond_server.delivery import transport


def plain_http(*args, unfinished, **kwargs):
    """Return the protocol of a server that knows nothing of Bond."""
    return HttpToolsProtocol(*args, **kwargs)


@pytest.fixture(params=["direct", "fallback"])
def delivery(request, monkeypatch):
    """Serve with Bond's own protocols, then with a server that hands over no transport."""
    if request.param == "fallback":
        monkeypatch.setattr(transport, "WebSocketProtocol", WebSocketsSansIOProtocol)
        monkeypatch.setattr(transport, "HttpProtocol", plain_http)
    return request.param
