"""Which partition an event is kept in: that of its key, so that all events of a key are in one order (C2).

The function is part of the stored form: it may never change.
"""

from zlib import crc32

PARTITIONS_MAX = 1024


def partition_of(tenant: str, key: str, partitions: int) -> int:
    """Return the partition, 0 to `partitions` - 1, of a tenant's key."""
    if partitions == 1:
        return 0
    return crc32(f"{tenant}/{key}".encode()) % partitions
