"""The socket that a server listens on; what is set here, every accepted connection inherits.

TCP_USER_TIMEOUT     ends a connection of any kind whose peer acknowledges nothing
TCP_NOTSENT_LOWAT    bounds how much the kernel takes for a peer that reads slowly, or not
"""

from __future__ import annotations

import socket
import sys

from bond_core.errors import SetupError

_UNACKNOWLEDGED_MS = 30_000
_NOT_SENT_BYTES = 16 * 1024
_TCP_NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", 25 if sys.platform == "linux" else None)


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a socket bound to an address, with dead peers bounded; port 0 takes a free one.

    Raises:
        SetupError: The address is taken, not this machine's, or not allowed.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise SetupError(f"{host} is no address to serve on: {error.strerror}") from error
    try:
        if sys.platform != "win32":  # where it means that a second server may take the port too
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED_MS)
        if _TCP_NOTSENT_LOWAT is not None:
            bound.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, _NOT_SENT_BYTES)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise SetupError(
            f"{host} port {port} can't be served on: {error.strerror}",
            fix=f"bond serve --port {port + 1 if 0 < port < 65_535 else 8000}",
        ) from error
    return bound
