"""What has grown is put into sealed parts beside the file: in threads, while searches and writes go on.

- What is in memory becomes a small part, within a second: so there is never much of it, and little to read from the rows when the
  file is opened next. Merging small parts takes longer, and goes on beside that.
- A part is in use from when its files are whole, and registered after that. A process that dies in between leaves files that
  nobody knows, and which are removed when the store is opened next. What a part was made of is removed once it is registered.
- A seal or a merge that fails (the disk is full, say) changes nothing that is searched. It is tried again when more was written.
"""

import asyncio
import ctypes
import logging
import os
import sqlite3
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from penstock.adapters.sqlite import part_rows
from penstock.adapters.sqlite.pacing import Pace
from penstock.adapters.sqlite.part_files import NotWhole, PartFiles
from penstock.adapters.sqlite.part_rows import NOTHING_WRITTEN, Count, PartRow
from penstock.core.knowledge.layers import Layers, MadePart, merge_sources
from penstock.core.knowledge.merging import Source, merged
from penstock.core.knowledge.sealed import Sealed
from penstock.core.knowledge.sealed_form import Columns
from penstock.core.knowledge.sealing import arrays_of
from penstock.core.knowledge.segment import Segment
from penstock.errors import PenstockError

AGAIN_AFTER_S = 30.0

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
        self.upto, self.noting, self.since = count
        self.stale = False  # whether another process has written too: the space must be opened again, and not be sealed
        self.sealing: asyncio.Task[None] | None = None
        self.merging: asyncio.Task[None] | None = None
        self.registering = asyncio.Lock()
        self.following = asyncio.Lock()  # who has it reads what other processes wrote
        self.sealed_upto = 0  # the number of the last transaction that is in the parts
        self.registered = list(names)
        self.left: set[str] = set()  # parts that are not needed once those that took their place are registered
        self._seal_again_at_s = 0.0
        self._merge_again_at_s = 0.0
        self._begun: tuple[Segment, int] | None = None  # what a failed seal had frozen

    @property
    def is_busy(self) -> bool:
        return self.sealing is not None or self.merging is not None

    def is_next(self, number: int) -> bool:
        """Whether a transaction is the first that is not in the layers: another process may have written in between."""
        return number == self.upto + 1

    def follow(self, number: int) -> None:
        """Take note of the transaction whose changes were just made."""
        if number > self.upto:  # else it was read already
            self.stale = self.stale or number > self.upto + 1
            self.upto = number

    def seal_is_due(self, now_s: float) -> bool:
        """Whether a seal should be begun, or one that failed be tried again."""
        if self.sealing is not None or self.stale:
            return False
        return self.layers.must_seal if self._begun is None else now_s >= self._seal_again_at_s

    def to_merge(self, now_s: float) -> slice | None:
        """Which parts should be merged now."""
        if self.merging is not None or self.stale or now_s < self._merge_again_at_s:
            return None
        return self.layers.to_merge()

    def begin(self) -> tuple[Segment, int]:
        """Freeze what is on top; the same again after a failure. Return the segment, and what it holds."""
        if self._begun is None:
            self._begun = (self.layers.freeze(), self.upto)
        return self._begun

    def seal_failed(self, now_s: float) -> None:
        self._seal_again_at_s = now_s + AGAIN_AFTER_S

    def merge_failed(self, now_s: float) -> None:
        self._merge_again_at_s = now_s + AGAIN_AFTER_S

    def seal(self, found: Sequence[Source], name: str, made: MadePart, size: int) -> None:
        """Use a part instead of what was frozen."""
        assert self._begun is not None
        self.layers.seal(found, made, size)
        self.names += [name] if size else []
        self.sealed_upto = self._begun[1]
        self._begun = None

    def merge(self, place: slice, found: Sequence[Source], name: str, made: MadePart, size: int) -> None:
        """Use a part instead of those that it was made of."""
        self.left.update(self.names[place])
        self.layers.merge(place, found, made, size)
        self.names[place] = [name] if size else []

    def to_register(self) -> list[PartRow]:
        return [PartRow(name, part.dead.copy()) for name, part in zip(self.names, self.layers.parts, strict=True)]


class Sealer:
    """Seals and merges the spaces of one file: one space at a time each."""

    def __init__(self, folder: Path, transact: Transact) -> None:
        self._files = PartFiles(folder)
        self._transact = transact
        self._sealing = ThreadPoolExecutor(1, "penstock-sealing")
        self._merging = ThreadPoolExecutor(1, "penstock-merging")
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False
        self._waited_for = 0

    @property
    def _in_a_hurry(self) -> bool:
        """Whether somebody waits for what is done in the background."""
        return self._closing or self._waited_for > 0

    async def close(self, spaces: Iterable[OpenSpace]) -> None:
        """Wait for what is being sealed; seal what is on top, so that it need not be read when the file is opened next.

        What is being merged is given up, and begun again next time.
        """
        self._closing = True
        await self.settled()
        for space in spaces:
            if space.layers.should_seal and not space.stale:
                await self.seal(space)
        self._sealing.shutdown()
        self._merging.shutdown()

    async def settled(self) -> None:
        """Wait for what is being sealed and merged, and for what is begun after that."""
        self._waited_for += 1
        try:
            while self._tasks:
                await asyncio.wait(self._tasks)
        finally:
            self._waited_for -= 1

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

    async def discard(self, names: Iterable[str]) -> None:
        """Remove the files of parts that nobody needs any more."""
        if gone := sorted(names):
            await asyncio.get_running_loop().run_in_executor(self._sealing, self._files.remove, gone)

    def consider(self, space: OpenSpace) -> None:
        """Begin to seal or to merge if it is time."""
        now_s = asyncio.get_running_loop().time()
        if not self._closing and space.seal_is_due(now_s):
            space.sealing = self._task(self._seal_in_background(space))
        if not self._closing and (place := space.to_merge(now_s)) is not None:
            space.merging = self._task(self._merge_in_background(space, place))

    async def room(self, space: OpenSpace) -> None:
        """Wait for what is being sealed if there is so much of it that it should not become more."""
        if space.layers.must_wait and space.sealing is not None:
            await asyncio.wait([space.sealing])

    async def seal(self, space: OpenSpace) -> None:
        """Put what is on top of a space into a part, if that is possible."""
        if not await self._done(space, self._seal(space), "sealed"):
            space.seal_failed(asyncio.get_running_loop().time())

    async def _done(self, space: OpenSpace, work: Awaitable[None], what: str) -> bool:
        try:
            await work
        except (NotWhole, FileNotFoundError):
            space.stale = True
        except _Closing:
            pass
        except (OSError, PenstockError) as error:
            _log.warning("passages could not be %s, which is tried again later: %s", what, error)
            return False
        return True

    async def _seal(self, space: OpenSpace) -> None:
        if not space.noting:
            assert space.number is not None, "a space without rows"
            number = space.number
            # Commits and what is seen of them take turns with this: all that this process wrote before is in the layers.
            if await self._transact(lambda connection: part_rows.begin(connection, number)) != space.upto:
                raise NotWhole("another process has written to the space")
            space.noting = True
        segment, _ = space.begin()
        name, dead = _name(space), segment.dead.copy()

        def write() -> _Written:
            pause = Pace(lambda: self._in_a_hurry or space.layers.must_hurry)
            return self._write(name, [(arrays_of(segment, pause), dead)], pause)

        found, made, size = await asyncio.get_running_loop().run_in_executor(self._sealing, write)
        space.seal(found, name, made, size)
        await self._register(space)
        # Tens of thousands of objects, let go of at once, would hold everybody up for as long as that takes.
        pause = Pace(lambda: self._in_a_hurry)
        await asyncio.get_running_loop().run_in_executor(self._sealing, segment.let_go, pause)

    async def _merge(self, space: OpenSpace, place: slice) -> None:
        name = _name(space)
        columns = [self._files.columns(each) for each in space.names[place]]
        dead = [part.dead.copy() for part in space.layers.parts[place]]

        def write() -> _Written:
            rest = Pace(lambda: self._in_a_hurry)

            def pause() -> None:
                if self._closing:
                    raise _Closing
                rest()

            return self._write(name, list(zip(columns, dead, strict=True)), pause)

        found, made, size = await asyncio.get_running_loop().run_in_executor(self._merging, write)
        space.merge(place, found, name, made, size)
        await self._register(space)

    def _write(
        self, name: str, parts: Sequence[tuple[Columns, NDArray[np.bool_]]], pause: Callable[[], None]
    ) -> "_Written":
        found, size = merge_sources(parts)
        if not size:
            return _Written(found, _no_part, size)
        self._files.write(name, merged(found), pause)
        part = self._files.opened(name, None)

        def made(dead: NDArray[np.bool_]) -> Sealed:
            part.bury(np.flatnonzero(dead).astype(np.int32))
            return part

        return _Written(found, made, size)

    async def _register(self, space: OpenSpace) -> None:
        async with space.registering:
            number, before, rows = space.number, space.registered, space.to_register()
            upto = space.sealed_upto
            assert number is not None

            def register(connection: sqlite3.Connection) -> bool:
                registered = [part.name for part in part_rows.parts(connection, number)]
                if registered != before or not part_rows.count(connection, number).noting:
                    return False
                part_rows.register(connection, number, rows)
                return True

            if not await self._transact(register):
                await self.discard({row.name for row in rows} - set(before))
                raise NotWhole("another process has sealed the same space")
            space.registered = [row.name for row in rows]
            gone, space.left = space.left, set()
        await self.discard(gone)
        await self._unnote(number, [row.name for row in rows], upto)

    async def _unnote(self, number: int, names: Sequence[str], upto: int) -> None:
        """Remove notes of what these parts of a space hold, a few by each transaction."""

        def unnote(connection: sqlite3.Connection, after: str | None) -> str | None:
            if part_rows.registered(connection, number) != names:
                return None  # who registered others sees to it; or the space is gone, and its number another's
            return part_rows.unnote(connection, number, upto=upto, after=after)

        after = await self._transact(partial(unnote, after=None))
        while after is not None:
            after = await self._transact(partial(unnote, after=after))

    async def _give_back(self) -> None:
        """Have the C library give back to the system what was let go of: up to a hundred megabytes."""
        await asyncio.get_running_loop().run_in_executor(self._sealing, _trimmed)

    def _task(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _seal_in_background(self, space: OpenSpace) -> None:
        try:
            await self.seal(space)
            await self._give_back()
        finally:
            space.sealing = None
        self.consider(space)

    async def _merge_in_background(self, space: OpenSpace, place: slice) -> None:
        try:
            if not await self._done(space, self._merge(space, place), "merged"):
                space.merge_failed(asyncio.get_running_loop().time())
            await self._give_back()
        finally:
            space.merging = None
        self.consider(space)


def _trimmed() -> None:
    with suppress(OSError, AttributeError):  # where it is not glibc
        ctypes.CDLL(None).malloc_trim(0)


class _Written(NamedTuple):
    """What a part was made of, the part, and how many rows it has: without any there is none."""

    sources: list[Source]
    made: MadePart
    size: int


class _Closing(Exception):
    """What is being done is given up: the store is closed."""


def _name(space: OpenSpace) -> str:
    # By chance, so that processes that share a file do not write to one folder.
    return f"{space.number}-{os.urandom(8).hex()}"


def _no_part(dead: NDArray[np.bool_]) -> Sealed:
    raise AssertionError(f"a part of {len(dead)} rows was not made")
