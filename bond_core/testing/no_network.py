"""See that nothing under test opens a connection of its own: all I/O goes through `ctx`."""

from __future__ import annotations

import socket
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch


class NetworkUsedError(OSError):
    """Somebody under test went to the network by himself."""


@contextmanager
def no_network(reached: Container[tuple[str, int]] = ()) -> Iterator[list[str]]:
    """Refuse every look-up and connection; yield what was tried, for who wants to complain.

    But for connections to `reached`, addresses and ports that were got through `ctx`. The list is
    the proof: what is raised, the code under test may catch.
    """
    tried: list[str] = []

    def unless_reached(plain: Callable[..., Any]) -> Callable[..., Any]:
        refuse = refusing("connect to")

        def connect(sock: socket.socket, address: Any) -> Any:
            if isinstance(address, tuple) and address[:2] in reached:
                return plain(sock, address)
            return refuse(sock, address)

        return connect

    def refusing(what: str) -> Callable[..., Any]:
        def refuse(*args: Any, **_: Any) -> Any:
            told = args[-1] if isinstance(args[0], socket.socket) else args[0]
            tried.append(f"{what} {told!r}")
            raise NetworkUsedError(f"{what} {told!r}: a connector's I/O goes through ctx")

        return refuse

    with (
        patch.object(socket.socket, "connect", unless_reached(socket.socket.connect)),
        patch.object(socket.socket, "connect_ex", unless_reached(socket.socket.connect_ex)),
        patch.object(socket.socket, "sendto", refusing("send to")),
        patch.object(socket.socket, "bind", refusing("listen at")),
        patch.object(socket, "getaddrinfo", refusing("look up")),
        patch.object(socket, "gethostbyname", refusing("look up")),
    ):
        yield tried
