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
class IbServerConfig:
    """Settings of `/stream` and `bond ib`."""

    max_streams: str = setting(
        default="50", env="IB_STREAM_MAX_STREAMS",
        doc="Most streams at once; all clients of one contract and tick type have one together",
    )  # fmt: skip
    timeout_s: str = setting(
        default="300", env="IB_STREAM_STREAM_TIMEOUT",
        doc="Seconds after which a client's stream ends that names no timeout",
    )  # fmt: skip
    reconnect_attempts: str = setting(
        default="3", env="IB_STREAM_RECONNECT_ATTEMPTS",
        doc="After how many failed attempts to reach TWS anew its streams end",
    )  # fmt: skip
    buffer_size: str = setting(
        default="100", env="IB_STREAM_BUFFER_SIZE",
        doc="Ticks kept for a client that doesn't keep up; older ones are dropped, and told",
    )  # fmt: skip


@attrs.frozen(kw_only=True)
class ServerLimits:
    """The same as numbers.

    Attributes:
        max_streams: Contracts and tick types that may be streamed at once.
        timeout_s: For how long, where a client doesn't say.
        reconnect_attempts: How often TWS may fail to answer before streams end.
        buffer_size: How many ticks are kept for a client.
    """

    max_streams: int = 50
    timeout_s: int = 300
    reconnect_attempts: int = 3
    buffer_size: int = 100


LONGEST_S = 86_400
"""The longest that a stream may be asked for, in seconds."""


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


def limits_of(config: IbServerConfig) -> ServerLimits:
    """Return the settings as numbers.

    Raises:
        Fatal: One is no number, or out of bounds.
    """
    return ServerLimits(
        max_streams=_number(
            config.max_streams, "IB_STREAM_MAX_STREAMS", "50", lowest=1, highest=10_000
        ),
        timeout_s=_number(
            config.timeout_s, "IB_STREAM_STREAM_TIMEOUT", "300", lowest=1, highest=LONGEST_S
        ),
        reconnect_attempts=_number(
            config.reconnect_attempts, "IB_STREAM_RECONNECT_ATTEMPTS", "3", highest=1_000
        ),
        buffer_size=_number(
            config.buffer_size, "IB_STREAM_BUFFER_SIZE", "100", lowest=1, highest=100_000
        ),
    )


def _number(text: str, variable: str, example: str, *, highest: int, lowest: int = 0) -> int:
    if text.isascii() and text.isdecimal() and len(text) < 20 and lowest <= int(text) <= highest:
        return int(text)
    raise Fatal(
        f"{variable} should be made of whole numbers up to {highest}, but has {text!r}"
        if not lowest
        else f"{variable} should be a whole number from {lowest} to {highest}, but is {text!r}",
        fix=f"export {variable}={example}",
    )
