"""Objects in plain Python, for tests and machines that are tried: `Objects`."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from penstock.errors import Missing, Refused
from penstock.ports.objects import ObjectInfo


class MemoryObjects:
    """Buckets are there from the beginning, or come with the first object that is put when `makes_buckets`."""

    def __init__(
        self,
        given: Mapping[tuple[str, str], bytes] | None = None,
        *,
        buckets: Iterable[str] = (),
        makes_buckets: bool = True,
        now_ms: int = 0,
    ) -> None:
        self.bodies = dict(given or {})
        self._buckets = {*buckets, *(bucket for bucket, _ in self.bodies)}
        self._makes_buckets = makes_buckets
        self._now_ms = now_ms

    async def about(self, bucket: str, key: str, version: str | None = None) -> ObjectInfo | None:
        self._require(bucket)
        info = self._info(bucket, key)
        return info if version in (None, "", info and info.version) else None

    async def read(self, of: ObjectInfo, start: int, length: int) -> bytes:
        self._require(of.bucket)
        if self._info(of.bucket, of.key) != of:
            raise Refused(f"{of.bucket}/{of.key} has changed since its reading began", "begin again")
        return self.bodies[of.bucket, of.key][start : start + length]

    async def listed(self, bucket: str, prefix: str, *, after: str = "", limit: int = 1000) -> Sequence[ObjectInfo]:
        self._require(bucket)
        keys = (key for each, key in self.bodies if each == bucket and key.startswith(prefix))
        found = sorted((key for key in keys if key.encode() > after.encode()), key=str.encode)[:limit]
        return [info for key in found if (info := self._info(bucket, key)) is not None]

    async def put(self, bucket: str, key: str, body: bytes) -> None:
        if self._makes_buckets:
            self._buckets.add(bucket)
        self._require(bucket)
        self.bodies[bucket, key] = bytes(body)

    def _require(self, bucket: str) -> None:
        if bucket not in self._buckets:
            raise Missing(f"the bucket {bucket!r}", "make it first")

    def _info(self, bucket: str, key: str) -> ObjectInfo | None:
        body = self.bodies.get((bucket, key))
        if body is None:
            return None
        etag = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
        return ObjectInfo(bucket, key, len(body), etag, self._now_ms)
