"""Which partition an event is kept in, that of its key, so that all events of a key are in one order (C2); and who owns which.

`partition_of` is part of the stored form: it may never change.
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from zlib import crc32

PARTITIONS_MAX = 1024


def partition_of(tenant: str, key: str, partitions: int) -> int:
    """Return the partition, 0 to `partitions` - 1, of a tenant's key."""
    if partitions == 1:
        return 0
    return crc32(f"{tenant}/{key}".encode()) % partitions


def shares(workers: Sequence[int], owners: Mapping[int, int]) -> dict[int, frozenset[int]]:
    """Return which partitions each worker should own: as many as the others, give or take one, and moving as few as can be.

    Everybody who sees the same workers and owners comes to the same shares.
    """
    kept = {worker: sorted(part for part, owner in owners.items() if owner == worker) for worker in workers}
    least, more = divmod(len(owners), len(workers)) if workers else (0, 0)
    # Those who have the most may keep one more.
    ranked = sorted(workers, key=lambda worker: (-len(kept[worker]), worker))
    room = {worker: least + (rank < more) for rank, worker in enumerate(ranked)}
    shared = {worker: kept[worker][: room[worker]] for worker in ranked}
    taken = {part for parts in shared.values() for part in parts}
    left = iter(sorted(owners.keys() - taken))
    for worker in ranked:
        shared[worker] += islice(left, room[worker] - len(shared[worker]))
    return {worker: frozenset(parts) for worker, parts in shared.items()}
