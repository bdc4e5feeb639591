"""Say to Yellowstone what is wanted, and open the call that brings it.

Source: github.com/rpcpool/yellowstone-grpc (README and yellowstone-grpc-proto).
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from bond_core.plugin import Fatal
from bond_solana.config import SolanaConfig

METHOD = "/geyser.Geyser/Subscribe"
COMMITMENTS = {"processed": 0, "confirmed": 1, "finalized": 2}
DEAD = 6
"""The status of a slot that came to nothing."""

_ADDRESS = re.compile(r"[1-9A-HJ-NP-Za-km-z]{32,44}")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_MAX_MESSAGE = 16 << 20


def request_of(config: SolanaConfig, *, from_slot: int | None) -> Any:
    """Return the `SubscribeRequest` for a source's settings.

    Args:
        config: The settings.
        from_slot: Where to go on; None for from now on.

    Raises:
        Fatal: They ask for what can't be had: an account that is none, or all accounts.
    """
    from bond_solana import geyser_pb2 as pb  # noqa: PLC0415 -- protobuf, where it is used

    accounts, owners = _addresses(config)
    types = set(config.event_types)
    request = pb.SubscribeRequest(commitment=COMMITMENTS[config.commitment])
    request.slots["slots"].filter_by_commitment = config.commitment != "processed"
    if types & {"tx", "transfer"}:
        wanted = request.transactions["transactions"]
        wanted.vote = wanted.failed = False
        wanted.account_include.extend((*accounts, *owners))
    if types & {"block", "metric"}:
        request.blocks_meta["blocks"].SetInParent()
    if "account" in types:
        if not config.accounts:
            raise Fatal(
                "event type account needs accounts: all accounts of Solana are too many",
                fix='"accounts": ["…", "program:…"]',
            )
        request.accounts["accounts"].account.extend(accounts)
        request.accounts["accounts"].owner.extend(owners)
        request.accounts_data_slice.add(offset=0, length=0)  # what is in them isn't read
    if from_slot is not None:
        request.from_slot = from_slot
    return request


def pong() -> Any:
    """Return the answer to a server's ping; what was subscribed to stays."""
    from bond_solana import geyser_pb2 as pb  # noqa: PLC0415 -- as above

    return pb.SubscribeRequest(ping=pb.Ping(id=1))


def open_channel(grpc: Any, aio: Any, endpoint: str, *, has_token: bool) -> Any:
    """Return a channel to an endpoint; nothing is dialled yet.

    Raises:
        Fatal: The address is none, or would show the token to everybody on the way.
    """
    url = urlsplit(endpoint if "://" in endpoint else f"https://{endpoint}")
    if url.scheme not in ("http", "https") or not url.hostname:
        raise Fatal("GRPC_ENDPOINT is no address", fix="export GRPC_ENDPOINT=https://host:443")
    options = [("grpc.max_receive_message_length", _MAX_MESSAGE)]
    target = f"{url.hostname}:{url.port or (443 if url.scheme == 'https' else 80)}"
    if url.scheme == "https":
        return aio.secure_channel(target, grpc.ssl_channel_credentials(), options=options)
    if has_token and url.hostname not in _LOOPBACK:
        raise Fatal(
            "GRPC_ENDPOINT is without TLS: everybody on the way would see the x-token",
            fix="export GRPC_ENDPOINT=https://…",
        )
    return aio.insecure_channel(target, options=options)


def open_call(channel: Any, *, token: str | None) -> Any:
    """Return a call that takes `SubscribeRequest`s and gives `SubscribeUpdate`s."""
    from bond_solana import geyser_pb2 as pb  # noqa: PLC0415 -- as above

    subscribe = channel.stream_stream(
        METHOD,
        request_serializer=pb.SubscribeRequest.SerializeToString,
        response_deserializer=pb.SubscribeUpdate.FromString,
    )
    return subscribe(metadata=() if token is None else (("x-token", token),))


def _addresses(config: SolanaConfig) -> tuple[list[str], list[str]]:
    """Return the accounts, and the programs whose accounts are meant."""
    accounts: list[str] = []
    owners: list[str] = []
    for given in config.accounts:
        address = given.removeprefix("program:")
        if not _ADDRESS.fullmatch(address):
            raise Fatal(f"{given!r} is no address on Solana: 32 to 44 letters and digits, base58")
        (accounts if address == given else owners).append(address)
    return accounts, owners
