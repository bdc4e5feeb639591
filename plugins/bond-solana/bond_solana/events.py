"""Turn Yellowstone's updates into chain events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bond_core.clock import NS
from bond_core.plugin import Chain

LAMPORTS = 1_000_000_000
"""In one SOL."""

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def base58(data: bytes) -> str:
    """Write bytes as Solana writes addresses and signatures."""
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = _ALPHABET[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def events_of(update: Any, types: frozenset[str], now_ns: int) -> Iterator[Chain]:
    """Give the events of an update that are of the wanted types.

    Args:
        update: A `SubscribeUpdate`.
        types: Of `tx transfer block account metric`.
        now_ns: Its time where it has none of its own.
    """
    at = update.created_at
    ts = at.seconds * NS + at.nanos or now_ns
    match update.WhichOneof("update_oneof"):
        case "transaction":
            yield from _transaction(update.transaction, types, ts)
        case "block_meta":
            meta = update.block_meta
            said = {"ts": ts, "height": meta.slot}
            if "block" in types:
                yield _event("block", id=f"block:{meta.slot}:{meta.blockhash}", **said)
            if "metric" in types:
                number = float(meta.executed_transaction_count)
                id = f"metric:{meta.slot}:{meta.blockhash}"
                yield _event("metric", id=id, amount=number, **said)
        case "account" if "account" in types and not update.account.is_startup:
            info, slot = update.account.account, update.account.slot
            yield _event(
                "account", ts=ts, height=slot, amount=info.lamports / LAMPORTS,
                id=f"{base58(info.pubkey)}:{slot}:{info.write_version}",
            )  # fmt: skip


def _transaction(update: Any, types: frozenset[str], ts: int) -> Iterator[Chain]:
    info, slot = update.transaction, update.slot
    signature = base58(info.signature)
    if "tx" in types:
        yield _event("tx", ts=ts, height=slot, id=signature)
    if "transfer" in types:
        amount = moved(info.meta.pre_balances, info.meta.post_balances)
        if amount:
            yield _event("transfer", ts=ts, height=slot, id=f"{signature}:sol", amount=amount)


def moved(before: Sequence[int], after: Sequence[int]) -> float:
    """Return the SOL that accounts gained by a transaction; fees are gained by none of them."""
    gains = (b - a for a, b in zip(before, after, strict=False))
    return sum(gain for gain in gains if gain > 0) / LAMPORTS


def _event(type_: str, *, ts: int, height: int, id: str, amount: float | None = None) -> Chain:
    return Chain(
        symbol="", ts=ts, chain="sol", type=type_, amount=amount, height=height, id=id,
        venue="solana",
    )  # fmt: skip
