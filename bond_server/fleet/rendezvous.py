"""Spread streams over workers so that few of them move when a worker comes or goes.

Each worker has a weight for each stream, made of both names; the highest has the stream. A
worker that goes leaves only its own streams to others, one that comes takes only those for
which its weight is the highest (rendezvous hashing; Thaler and Ravishankar, 1996).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def ranked(stream_id: str, workers: Iterable[str]) -> list[str]:
    """Return the workers in the order in which the stream is theirs, the first one's first."""
    return sorted(workers, key=lambda worker: _weight(stream_id, worker), reverse=True)


def owner_of(stream_id: str, workers: Iterable[str]) -> str | None:
    """Return whose stream it is; None where there are no workers."""
    return max(workers, key=lambda worker: _weight(stream_id, worker), default=None)


def _weight(stream_id: str, worker: str) -> bytes:
    return hashlib.blake2b(f"{worker}\n{stream_id}".encode(), digest_size=8).digest()
