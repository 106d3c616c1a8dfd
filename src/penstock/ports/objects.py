"""Where the files of Maps lie: what they read and write. Its contract, as tests: `penstock.testing.objects_contract`."""

from collections.abc import Sequence
from typing import Final, Protocol

from msgspec import Struct

PART_BYTES: Final = 8 * 1024 * 1024
"""How much of an object is asked for at once."""


class ObjectInfo(Struct, frozen=True):
    """One version of an object. `etag` is another one when its content is."""

    bucket: str
    key: str
    size: int
    etag: str
    modified_ms: int
    storage_class: str = "STANDARD"
    version: str = ""


class Objects(Protocol):
    """Objects in buckets, by key: S3, what is compatible with it, or a folder.

    Every implementation guarantees:

    O1 whole    `put` returns when the object is durable; others see all of it, or what was there before.
    O2 version  `read` gives bytes of the version that its `ObjectInfo` tells of, or raises `Refused`: parts that are read one
                after another are of one content.
    O3 parts    `read` gives the bytes from `start`, at most `length` of them, and fewer only at the object's end.
    O4 listing  `listed` gives the objects whose keys begin with a prefix and follow `after`, in the order of the keys' UTF-8
                bytes, at most `limit` of them.
    O5 absent   `about` gives None for an object that is not there; for a bucket that is not, all raise `Missing`.
    O6 kept in  No key leads out of its bucket, and no bucket out of the store.

    What the store does not let one do is `Refused`; `Unavailable` when it did not answer.
    """

    async def about(self, bucket: str, key: str, version: str | None = None) -> ObjectInfo | None:
        """Return what there is to know of an object, without its content."""
        ...

    async def read(self, of: ObjectInfo, start: int, length: int) -> bytes:
        """Return a part of an object."""
        ...

    async def listed(self, bucket: str, prefix: str, *, after: str = "", limit: int = 1000) -> Sequence[ObjectInfo]:
        """Return the next objects of a bucket."""
        ...

    async def put(self, bucket: str, key: str, body: bytes) -> None:
        """Write an object, in the place of one of that key."""
        ...
