"""What has grown is put into sealed parts beside the file: in a thread, while searches and writes go on.

- A part is in use from when its files are whole, and registered after that. A process that dies in between leaves files that
  nobody knows, and which are removed when the store is opened next.
- A seal that fails (the disk is full, say) changes nothing that is searched. It is tried again when more was written.
"""

import asyncio
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from penstock.adapters.sqlite import part_rows
from penstock.adapters.sqlite.part_files import NotWhole, PartFiles
from penstock.adapters.sqlite.part_rows import NOTHING_WRITTEN, Count, PartRow
from penstock.core.knowledge.layers import Layers, merge_sources
from penstock.core.knowledge.merging import Source, merged
from penstock.core.knowledge.sealed import Sealed
from penstock.core.knowledge.sealed_form import Columns
from penstock.core.knowledge.sealing import arrays_of
from penstock.core.knowledge.segment import Segment
from penstock.errors import PenstockError

AGAIN_AFTER_S = 30.0

# Between the pieces of its work the thread lets others run: it must not be felt by who searches.
_PAUSE_S = 0.0005
_NICENESS = 10
R = TypeVar("R")
_log = logging.getLogger("penstock")


class Transact(Protocol):
    """Runs a function within one transaction, and returns its result once that is durable."""

    def __call__(self, work: Callable[[sqlite3.Connection], R], /) -> Awaitable[R]: ...


class OpenSpace:
    """A space that is in use: its layers, and how far they have come.

    `count`: the number of the last transaction that is in them, and whether what is touched is noted. `names`: those of its
    parts.
    """

    def __init__(
        self, number: int | None, layers: Layers, names: Sequence[str] = (), count: Count = NOTHING_WRITTEN
    ) -> None:
        self.number = number
        self.layers = layers
        self.names = list(names)
        self.upto, self.noting = count
        self.stale = False  # whether another process has written too: the space must be opened again, and not be sealed
        self.sealing: asyncio.Task[None] | None = None
        self._registered = list(names)
        self._again_at_s = 0.0
        self._begun: tuple[int, Segment, int] | None = None  # what a failed seal had frozen

    def follow(self, number: int) -> None:
        """Take note of the transaction whose changes were just made."""
        if number > self.upto:  # else it was read already
            self.stale = self.stale or number > self.upto + 1
            self.upto = number

    def due(self, now_s: float) -> bool:
        """Whether a seal should be begun, or one that failed be tried again."""
        if self.sealing is not None or self.stale:
            return False
        return self.layers.must_seal if self._begun is None else now_s >= self._again_at_s

    def begin(self) -> tuple[int, Segment, int]:
        """Freeze what is on top; the same again after a failure. Return what stays, the segment, and what it holds."""
        if self._begun is None:
            self._begun = (*self.layers.freeze(), self.upto)
        return self._begun

    def failed(self, now_s: float) -> None:
        self._again_at_s = now_s + AGAIN_AFTER_S

    def replace(
        self, merged_from: Sequence[Source], name: str, made: Callable[[NDArray[np.bool_]], Sealed], size: int
    ) -> None:
        """Use a part instead of what it was made from."""
        assert self._begun is not None
        stay = self._begun[0]
        self.layers.replace(stay, merged_from, made, size)
        self.names[stay:] = [name] if size else []
        self._begun = None

    def to_register(self) -> tuple[list[str], list[PartRow]]:
        """The names that are registered, as far as we know, and the parts that are to be instead."""
        return self._registered, [
            PartRow(name, part.dead.copy()) for name, part in zip(self.names, self.layers.parts, strict=True)
        ]

    def registered(self) -> None:
        self._registered = list(self.names)


class Sealer:
    """Seals the spaces of one file, one at a time."""

    def __init__(self, folder: Path, transact: Transact) -> None:
        self._files = PartFiles(folder)
        self._transact = transact
        self._thread = ThreadPoolExecutor(1, "penstock-sealing", initializer=_politely)
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    async def close(self, spaces: Iterable[OpenSpace]) -> None:
        """Wait for what is being sealed; seal what came meanwhile, so that it need not be read when the file is opened next."""
        self._closing = True
        while self._tasks:
            await asyncio.wait(self._tasks)
        for space in spaces:
            if space.layers.must_seal and not space.stale:
                await self.seal(space)
        self._thread.shutdown()

    def opened(self, connection: sqlite3.Connection, number: int) -> tuple[list[str], list[Sealed]]:
        """Map the parts of a space. Raises `NotWhole` when one cannot be used."""
        rows = part_rows.parts(connection, number)
        parts = [self._files.opened(row.name, row.dead) for row in rows]
        if any(part.size != len(row.dead) for part, row in zip(parts, rows, strict=True)):
            raise NotWhole("a part has other rows than were registered")
        return [row.name for row in rows], parts

    def tidy(self, connection: sqlite3.Connection) -> None:
        """Remove what no process has registered. Only who is alone with the file may do so."""
        self._files.remove(self._files.others(part_rows.names(connection)))

    async def discard(self, names: Sequence[str]) -> None:
        """Remove the files of parts that nobody needs any more."""
        if names:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._files.remove, names)

    def consider(self, space: OpenSpace) -> None:
        """Begin to seal a space if it is time."""
        if self._closing or not space.due(asyncio.get_running_loop().time()):
            return
        space.sealing = task = asyncio.ensure_future(self._in_background(space))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def seal(self, space: OpenSpace) -> None:
        """Put what is on top of a space into a part, if that is possible."""
        try:
            await self._seal(space)
        except (NotWhole, FileNotFoundError):
            space.stale = True
        except (OSError, PenstockError) as error:
            _log.warning("passages could not be sealed, which is tried again later: %s", error)
            space.failed(asyncio.get_running_loop().time())

    async def _seal(self, space: OpenSpace) -> None:
        if not space.noting:
            assert space.number is not None, "a space without rows"
            number = space.number
            # Commits and what is seen of them take turns with this: all that this process wrote before is in the layers.
            if await self._transact(lambda connection: part_rows.begin(connection, number)) != space.upto:
                raise NotWhole("another process has written to the space")
            space.noting = True
        stay, segment, upto = space.begin()
        name = _name(space)
        columns = [self._files.columns(each) for each in space.names[stay:]]
        dead = [part.dead.copy() for part in space.layers.parts[stay:]]
        frozen_dead = segment.dead.copy()
        found, size = await asyncio.get_running_loop().run_in_executor(
            self._thread, lambda: self._write(name, (columns, dead), segment, frozen_dead)
        )
        space.replace(found, name, lambda mine: self._files.opened(name, mine), size)
        await self._register(space, upto)

    def _write(
        self, name: str, parts: tuple[list[Columns], list[NDArray[np.bool_]]], segment: Segment, dead: NDArray[np.bool_]
    ) -> tuple[list[Source], int]:
        def pause() -> None:
            time.sleep(_PAUSE_S)

        found, size = merge_sources([*zip(*parts, strict=True), (arrays_of(segment, pause), dead)])
        if size:
            self._files.write(name, merged(found), pause)
        return found, size

    async def _register(self, space: OpenSpace, upto: int) -> None:
        number, (before, rows) = space.number, space.to_register()
        assert number is not None

        def register(connection: sqlite3.Connection) -> bool:
            registered = [part.name for part in part_rows.parts(connection, number)]
            if registered != before or not part_rows.count(connection, number).noting:
                return False
            part_rows.register(connection, number, rows, upto=upto)
            return True

        if not await self._transact(register):
            await self.discard(sorted({row.name for row in rows} - set(before)))
            raise NotWhole("another process has sealed the same space")
        space.registered()
        gone = sorted(set(before) - {row.name for row in rows})
        await self.discard(gone)

    async def _in_background(self, space: OpenSpace) -> None:
        try:
            await self.seal(space)
        finally:
            space.sealing = None
        self.consider(space)


def _name(space: OpenSpace) -> str:
    # By chance, so that processes that share a file do not write to one folder.
    return f"{space.number}-{os.urandom(8).hex()}"


def _politely() -> None:
    """Let this thread come after others that want to run."""
    with suppress(OSError, AttributeError):  # where a thread has no priority of its own
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
