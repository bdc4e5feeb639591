"""Name a stream's keys so that all of them, and its channel, lie in one slot of a cluster.

    bond:{<tag>}:log:<stream>    the entries, a Redis stream
    bond:{<tag>}:meta:<stream>   epoch, top, fence, bytes, retention
    bond:{<tag>}:ends:<stream>   the windows kept, and how large each is
    bond:{<tag>}:bus:<stream>    the channel that tells of appends
    bond:{<tag>}:sinks:<stream>  how far the stream's sinks have come

Streams are spread over 64 partitions. A partition's tag is the smallest number whose slot lies
in that sixty-fourth of the slots, so that partitions spread evenly over a cluster's nodes, which
the numbers 0 to 63 themselves would not. The slot of a tag: CRC16 of it, modulo 16384 (the Redis
Cluster specification, "Key distribution model").
"""

from __future__ import annotations

import binascii
from functools import cache, lru_cache

import attrs

from bond_server.redis_log.resp import bulk

PARTITIONS = 64
_SLOTS = 16384


@attrs.frozen
class StreamKeys:
    """Where one stream lives.

    Attributes:
        partition: The same for streams that share a slot.
        to_append: The names that the script for appending is given, in its order.
        packed: The same, as they are sent.
    """

    partition: int
    log: str
    meta: str
    ends: str
    bus: str
    sinks: str
    to_append: tuple[str, ...] = attrs.field(init=False)
    packed: bytes = attrs.field(init=False)

    @to_append.default
    def _to_append(self) -> tuple[str, ...]:
        return self.log, self.meta, self.ends, self.bus

    @packed.default
    def _packed(self) -> bytes:
        return b"".join(map(bulk, self.to_append))


@cache
def tags() -> tuple[str, ...]:
    """Return each partition's hash tag."""
    found: dict[int, str] = {}
    number = 0
    while len(found) < PARTITIONS:
        slot = binascii.crc_hqx(str(number).encode(), 0) % _SLOTS
        found.setdefault(slot * PARTITIONS // _SLOTS, str(number))
        number += 1
    return tuple(found[partition] for partition in range(PARTITIONS))


@lru_cache(maxsize=10_000)
def keys_of(stream_id: str) -> StreamKeys:
    """Return a stream's keys."""
    partition = binascii.crc32(stream_id.encode()) % PARTITIONS
    prefix = f"bond:{{{tags()[partition]}}}"
    return StreamKeys(
        partition,
        *(f"{prefix}:{kind}:{stream_id}" for kind in ("log", "meta", "ends", "bus", "sinks")),
    )
