"""A folder that stands for an object store: each folder in it is a bucket, each file in that an object, its path the key.

What is written goes to a file beside the buckets first, and takes its place by a rename: others see all of it or nothing.
"""

import os
import secrets
from asyncio import to_thread
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from penstock.errors import Missing, Refused, Unavailable
from penstock.ports.objects import ObjectInfo

INCOMING: Final = ".incoming"
"""Where files lie that are not whole yet. No bucket has such a name."""
_HIDDEN: Final = "."


class FolderObjects:
    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    async def about(self, bucket: str, key: str, version: str | None = None) -> ObjectInfo | None:
        found = await to_thread(self._about, bucket, key)
        return found if not version or (found is not None and found.etag == version) else None

    async def read(self, of: ObjectInfo, start: int, length: int) -> bytes:
        return await to_thread(self._read, of, start, length)

    async def listed(self, bucket: str, prefix: str, *, after: str = "", limit: int = 1000) -> Sequence[ObjectInfo]:
        return await to_thread(self._listed, bucket, prefix, after, limit)

    async def put(self, bucket: str, key: str, body: bytes) -> None:
        await to_thread(self._put, bucket, key, body)

    def _about(self, bucket: str, key: str) -> ObjectInfo | None:
        path = self._file(bucket, key)
        try:
            return None if path is None or not path.is_file() else _info(bucket, key, path.stat())
        except OSError as error:
            raise Unavailable(str(self._folder), f"look at {bucket}/{key}", str(error)) from error

    def _read(self, of: ObjectInfo, start: int, length: int) -> bytes:
        path = self._file(of.bucket, of.key)
        assert path is not None, "what `about` gave has a file"
        try:
            with path.open("rb") as file:
                if _info(of.bucket, of.key, os.fstat(file.fileno())) != of:
                    raise Refused(f"{of.bucket}/{of.key} has changed since its reading began", "begin again")
                file.seek(start)
                return file.read(length)
        except FileNotFoundError as error:
            raise Refused(f"{of.bucket}/{of.key} has gone since its reading began", "begin again") from error
        except OSError as error:
            raise Unavailable(str(self._folder), f"read {of.bucket}/{of.key}", str(error)) from error

    def _listed(self, bucket: str, prefix: str, after: str, limit: int) -> Sequence[ObjectInfo]:
        root = self._bucket(bucket)
        try:
            found = islice(_keys(root, "", prefix, after), limit)
            return [_info(bucket, key, (root / key).stat()) for key in found]
        except OSError as error:
            raise Unavailable(str(self._folder), f"list {bucket}", str(error)) from error

    def _put(self, bucket: str, key: str, body: bytes) -> None:
        self._require_name(bucket)
        (self._folder / bucket).mkdir(parents=True, exist_ok=True)
        path = self._file(bucket, key)
        if path is None:
            raise Refused(f"{key!r} cannot be the name of a file", "a key of parts that are neither empty, nor . or ..")
        incoming = self._folder / INCOMING / secrets.token_hex(8)
        try:
            incoming.parent.mkdir(exist_ok=True)
            with incoming.open("wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            path.parent.mkdir(parents=True, exist_ok=True)
            incoming.replace(path)
            _sync(path.parent)
        except (IsADirectoryError, NotADirectoryError, FileExistsError) as error:
            incoming.unlink(missing_ok=True)
            hint = "a folder cannot hold both a and a/b: choose another key"
            raise Refused(f"{bucket}/{key} cannot be a file: another key needs a folder there", hint) from error
        except OSError as error:
            incoming.unlink(missing_ok=True)
            raise Unavailable(str(self._folder), f"write {bucket}/{key}", str(error)) from error

    def _bucket(self, bucket: str) -> Path:
        self._require_name(bucket)
        path = self._folder / bucket
        if not path.is_dir():
            raise Missing(f"the bucket {bucket!r}", f"make the folder {path}")
        return path

    def _require_name(self, bucket: str) -> None:
        if not bucket or bucket.startswith(_HIDDEN) or set(bucket) & {"/", "\\", "\0"}:
            raise Refused(f"{bucket!r} is no name of a bucket", "take the name of a folder")

    def _file(self, bucket: str, key: str) -> Path | None:
        """Return the file of a key, which lies in its bucket; None for a key that can be none."""
        root = self._bucket(bucket)
        if "\0" in key or any(part in ("", ".", "..") for part in key.split("/")):
            return None
        path = root / key
        return path if path.resolve().is_relative_to(root.resolve()) else None


def _keys(folder: Path, before: str, prefix: str, after: str) -> Iterator[str]:
    """Yield the keys below a folder in their order, and go into no folder that holds none of those that are asked for."""
    entries = [(each.name + "/" if each.is_dir() else each.name) for each in os.scandir(folder)]
    for name in sorted(entries, key=os.fsencode):
        key = before + name
        if name.endswith("/"):
            leads_there = key.startswith(prefix) or prefix.startswith(key)
            if leads_there and (key > after or after.startswith(key)):
                yield from _keys(folder / name, key, prefix, after)
        elif key.startswith(prefix) and key.encode() > after.encode():
            yield key


def _info(bucket: str, key: str, stat: os.stat_result) -> ObjectInfo:
    etag = f'"{stat.st_mtime_ns:x}-{stat.st_ino:x}-{stat.st_size:x}"'
    return ObjectInfo(bucket, key, stat.st_size, etag, stat.st_mtime_ns // 1_000_000)


def _sync(folder: Path) -> None:
    """Have the rename survive a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
