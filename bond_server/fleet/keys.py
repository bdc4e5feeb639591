"""Name what the processes of a fleet share. All of it lies in one slot of a cluster.

    bond:{fleet}:streams         hash: a stream's row, by id
    bond:{fleet}:of:<project>    set: the ids of a project's streams
    bond:{fleet}:changes         Redis stream: the id of each stream whose row or owner changed
    bond:{fleet}:epoch           which life of all this it is: another one after a loss
    bond:{fleet}:reports         hash: how a stream does, as its owner said last, by id
    bond:{fleet}:heard           sorted set: when a stream last had listeners, ms
    bond:{fleet}:workers         sorted set: until when a worker's lease lasts, ms
    bond:{fleet}:leaving         sorted set: the same of those that hand over and go

Times are Redis's own.
"""

from __future__ import annotations

_PREFIX = "bond:{fleet}:"

STREAMS = _PREFIX + "streams"
CHANGES = _PREFIX + "changes"
EPOCH = _PREFIX + "epoch"
REPORTS = _PREFIX + "reports"
HEARD = _PREFIX + "heard"
WORKERS = _PREFIX + "workers"
LEAVING = _PREFIX + "leaving"


def project_key(project: str) -> str:
    """Return where the ids of a project's streams are."""
    return f"{_PREFIX}of:{project}"
