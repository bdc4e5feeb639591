"""Where TWS or IB Gateway is, and who we are to it."""

from __future__ import annotations

from urllib.parse import urlsplit

import attrs

from bond_core.plugin import Fatal, setting

PORTS = "7497,7496,4002,4001"
"""TWS for paper trading, TWS, IB Gateway for paper trading, IB Gateway."""


@attrs.frozen
class IbkrConfig:
    """Settings of `ibkr`: all of them the server's, none a request's."""

    host: str = setting(
        default="127.0.0.1", env="IB_STREAM_HOST", doc="Where TWS or IB Gateway runs"
    )
    ports: str = setting(
        default=PORTS, env="IB_STREAM_PORTS", doc="Ports to try, in order, with commas between"
    )
    client_id: str = setting(
        default="2", env="IB_STREAM_CLIENT_ID",
        doc="Client id to go by; if it is taken, the next free one of the seven after it",
    )  # fmt: skip


@attrs.frozen
class Address:
    """A host, the ports to try on it in order, and the first client id to try."""

    host: str
    ports: tuple[int, ...]
    client_id: int


def address_of(config: IbkrConfig, simulated_at: str | None) -> Address:
    """Return where to connect to.

    Raises:
        Fatal: A setting is no number where it should be.
    """
    client_id = _number(config.client_id, "IB_STREAM_CLIENT_ID", "2", highest=2**31 - 9)
    if simulated_at is not None:
        there = urlsplit(simulated_at)
        return Address(there.hostname or "127.0.0.1", (there.port or 0,), client_id)
    texts = [text.strip() for text in config.ports.split(",") if text.strip()]
    ports = tuple(_number(text, "IB_STREAM_PORTS", PORTS, highest=65535) for text in texts)
    if not ports:
        raise Fatal("IB_STREAM_PORTS names no port", fix=f"export IB_STREAM_PORTS={PORTS}")
    return Address(config.host, tuple(dict.fromkeys(ports)), client_id)


def _number(text: str, variable: str, example: str, *, highest: int) -> int:
    if text.isascii() and text.isdecimal() and int(text) <= highest:
        return int(text)
    raise Fatal(
        f"{variable} should be made of whole numbers up to {highest}, but has {text!r}",
        fix=f"export {variable}={example}",
    )
