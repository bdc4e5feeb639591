"""Make up a chain: which slots have a block, what is in it, and which came to nothing.

A function of seed and slot, so that what is sent again is the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from random import Random

import attrs

SLOT_NS = 400_000_000
"""How long a slot takes."""

FEE = 5_000
_LAMPORTS = 1_000_000_000


@attrs.frozen
class Paid:
    """A transaction: who paid whom how much, in lamports; nothing was paid where it is 0."""

    signature: bytes
    payer: bytes
    payee: bytes
    amount: int


@attrs.frozen
class Block:
    """What became of a slot.

    Attributes:
        parent: The slot of the block before.
        is_dead: Whether it came to nothing: seen as processed, and never confirmed.
    """

    slot: int
    parent: int
    hash: str
    paid: tuple[Paid, ...]
    is_dead: bool


@attrs.frozen
class Ledger:
    """The chain.

    Attributes:
        skipped: The share of slots without a block.
        dead: The share of slots whose block came to nothing.
        per_slot: Transactions in a block, on average.
    """

    seed: int
    skipped: float
    dead: float
    per_slot: float

    def blocks(self, first: int, last: int) -> Iterator[Block]:
        """Give the blocks of the slots from first to last, dead ones among them."""
        parent = next(s for s in range(first - 1, first - 200, -1) if self._is_good(s))
        for slot in range(first, last + 1):
            chance = Random(f"{self.seed} {slot}")
            if not self._has_block(slot):
                continue
            paid = tuple(self._paid(slot, chance))
            digest = hashlib.sha256(f"{self.seed} {slot}".encode()).hexdigest()[:44]
            is_dead = not self._is_good(slot)
            yield Block(slot, parent, digest, paid, is_dead)
            if not is_dead:
                parent = slot

    def _has_block(self, slot: int) -> bool:
        return Random(f"{self.seed} {slot} block").random() >= self.skipped

    def _is_good(self, slot: int) -> bool:
        alive = Random(f"{self.seed} {slot} alive").random() >= self.dead
        return self._has_block(slot) and alive

    def _paid(self, slot: int, chance: Random) -> Iterator[Paid]:
        for n in range(int(2 * self.per_slot * chance.random() + chance.random())):
            amount = int(chance.paretovariate(1.1) * _LAMPORTS / 10) if chance.random() < 0.7 else 0
            yield Paid(
                hashlib.sha512(f"{self.seed} {slot} {n}".encode()).digest(),
                account(chance.randrange(20)), account(20 + chance.randrange(20)), amount,
            )  # fmt: skip


def account(n: int) -> bytes:
    """Return the address of the n-th account."""
    return hashlib.sha256(f"account {n}".encode()).digest()
