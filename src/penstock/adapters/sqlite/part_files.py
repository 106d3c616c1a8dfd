"""Sealed parts as folders of files, beside the file of the rows: one file for each array, and a list of them.

- A folder is written under another name, synced, and then renamed: what has its name is whole.
- Nothing here is the truth. A part that is missing, or of another form or analysis, is made again from the rows.
- Files are mapped, so opening a part reads next to nothing. The vectors in full are the exception: only a few rows are read
  for a search, and a mapping would bring the pages around them into memory too.
"""

import os
import shutil
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from penstock.core.knowledge.sealed import Sealed
from penstock.core.knowledge.sealed_form import FORM, Chunks, Columns
from penstock.core.knowledge.words import ANALYSIS

READ_BY_ROW = "exact"

_LIST = "arrays.json"
_UNFINISHED = ".new"
# A commit that comes while more is on its way to the disk waits for all of it.
_SYNCED_BYTES = 4_000_000


class _Array(msgspec.Struct, frozen=True):
    kind: str
    shape: tuple[int, ...]


class _Content(msgspec.Struct, frozen=True):
    form: int
    analysis: int
    arrays: dict[str, _Array]


class NotWhole(Exception):
    """A part cannot be used: it is missing, damaged, or of another form."""


class PartFiles:
    """The parts of all spaces, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, chunks: Chunks, pause: Callable[[], None]) -> None:
        """Write a part; `pause` is called after each piece. What is there under that name is replaced."""
        target, unfinished = self.folder / name, self.folder / f"{name}{_UNFINISHED}"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        try:
            arrays = _written(unfinished, chunks, pause)
            with (unfinished / _LIST).open("wb") as file:
                file.write(msgspec.json.encode(_Content(FORM, ANALYSIS, arrays)))
                _sync(file)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        shutil.rmtree(target, ignore_errors=True)
        unfinished.rename(target)
        _sync_folder(self.folder)

    def opened(self, name: str, dead: NDArray[np.bool_] | None) -> Sealed:
        """Map a part. Raises `NotWhole`."""
        folder = self.folder / name
        arrays = {
            array: _mapped(folder / array, shape) for array, shape in _content(folder).items() if array != READ_BY_ROW
        }
        return Sealed(arrays, self._gather(folder), dead)

    def columns(self, name: str) -> Columns:
        """A part to be read from beginning to end, in pieces that do not stay in memory."""
        folder = self.folder / name
        return {array: _OnDisk(folder / array, shape) for array, shape in _content(folder).items()}

    def remove(self, names: Sequence[str]) -> None:
        """Delete parts. What is mapped of them stays readable until it is let go of."""
        for name in names:
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def others(self, known: set[str]) -> list[str]:
        """The names of what is in the folder and not `known`."""
        with suppress(OSError):
            return [each.name for each in self.folder.iterdir() if each.name not in known]
        return []

    def _gather(self, folder: Path) -> Callable[[NDArray[np.int32]], NDArray[np.int16]]:
        shape = _content(folder).get(READ_BY_ROW)
        if shape is None:
            return _no_vectors
        return _RowReader(folder / READ_BY_ROW, shape).read


class _RowReader:
    """Reads rows of a file that is kept open."""

    def __init__(self, path: Path, shape: _Array) -> None:
        self._number = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._number)
        self._kind, self._width = np.dtype(shape.kind), shape.shape[1]

    def read(self, rows: NDArray[np.int32]) -> NDArray[np.int16]:
        size = self._kind.itemsize * self._width
        data = b"".join([os.pread(self._number, size, row * size) for row in rows.tolist()])
        return np.frombuffer(data, self._kind).reshape(len(rows), self._width)


class _OnDisk:
    """An array that is read in pieces."""

    def __init__(self, path: Path, shape: _Array) -> None:
        self._path = path
        self._kind, self._shape = np.dtype(shape.kind), shape.shape

    def __len__(self) -> int:
        return self._shape[0]

    def __getitem__(self, piece: slice, /) -> NDArray[Any]:
        start, stop, _ = piece.indices(len(self))
        width = int(np.prod(self._shape[1:], dtype=np.int64))
        count = max(0, stop - start) * width
        data = np.fromfile(self._path, self._kind, count, offset=start * width * self._kind.itemsize)
        return data.reshape(-1, *self._shape[1:])


def _content(folder: Path) -> dict[str, _Array]:
    try:
        content = msgspec.json.decode((folder / _LIST).read_bytes(), type=_Content)
    except (OSError, msgspec.DecodeError) as error:
        raise NotWhole(str(error)) from error
    if (content.form, content.analysis) != (FORM, ANALYSIS):
        raise NotWhole(f"form {content.form}, analysis {content.analysis}")
    for name, array in content.arrays.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != _size(array):
            raise NotWhole(f"{name} is not as long as it was")
    return content.arrays


def _size(array: _Array) -> int:
    return int(np.prod(array.shape, dtype=np.int64)) * np.dtype(array.kind).itemsize


def _mapped(path: Path, array: _Array) -> NDArray[Any]:
    if not _size(array):
        return np.zeros(array.shape, array.kind)
    # As a plain array: each look at a memmap would make an object of that class.
    return np.asarray(np.memmap(path, np.dtype(array.kind), "r", shape=array.shape))


def _no_vectors(rows: NDArray[np.int32]) -> NDArray[np.int16]:
    return np.zeros((len(rows), 0), np.int16)


def _written(folder: Path, chunks: Chunks, pause: Callable[[], None]) -> dict[str, _Array]:
    files: dict[str, IO[bytes]] = {}
    arrays: dict[str, _Array] = {}
    waiting: dict[str, int] = {}
    try:
        for name, chunk in chunks:
            if name not in files:
                files[name] = (folder / name).open("wb", buffering=0)
                arrays[name] = _Array(chunk.dtype.str, (0, *chunk.shape[1:]))
            known = arrays[name]
            if not len(chunk):
                continue
            waiting[name] = waiting.get(name, 0) + chunk.nbytes
            files[name].write(np.ascontiguousarray(chunk, np.dtype(known.kind)).data)
            arrays[name] = _Array(known.kind, (known.shape[0] + len(chunk), *known.shape[1:]))
            if waiting[name] > _SYNCED_BYTES:
                _sync(files[name])
                waiting[name] = 0
            pause()
        for file in files.values():
            _sync(file)
            pause()
    finally:
        for file in files.values():
            file.close()
    return arrays


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fdatasync(file.fileno())


def _sync_folder(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
