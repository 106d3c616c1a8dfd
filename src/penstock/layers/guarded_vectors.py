"""A layer: vectors that lie outside of the store, asked with a limit, and left alone while they do not answer.

- A read that takes longer than `answer_s` is given up on. From then on every read is refused at once, until the index answers.
- While it does not, one task asks it again, what it did not answer: nobody who searches waits for that.
- A write that was not answered is repeated when the index answers again, for `patience_s`: V1 makes that safe.
- That it went away, and that it came back, is logged once each.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, cast

from penstock.core.knowledge.filters import Filter
from penstock.core.knowledge.passages import Hit, IndexWrite, Passage, Space
from penstock.errors import NotLetIn, PenstockError, Unavailable
from penstock.ports.clock import Clock
from penstock.ports.vectors import VectorIndex

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NAME = "the vector store"
REST_S = 0.2  # before it is asked again; doubles
REST_S_MAX = 5.0
_logger = logging.getLogger("penstock.knowledge")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long is waited for what."""

    answer_s: float = 3.0  # for a read
    write_s: float = 120.0  # for a batch of writes
    patience_s: float = 300.0  # until a write is given back to who asked, to be tried again later


@dataclass(slots=True)
class _Outage:
    since_s: float
    error: Unavailable
    again: Callable[[], Awaitable[object]]
    over: asyncio.Event


@asynccontextmanager
async def open_guarded(
    inner: VectorIndex, clock: Clock, patience: Patience | None = None
) -> AsyncGenerator["GuardedVectors"]:
    """Guard an index; the task that asks it again ends with the block."""
    left: Exception | None = None
    async with asyncio.TaskGroup() as group:
        guarded = GuardedVectors(inner, clock, group, patience or Patience())
        try:
            yield guarded
        except Exception as error:  # noqa: BLE001 - raised below: a group would wrap what its block raises
            left = error
        finally:
            guarded.close()
    if left is not None:
        raise left


class GuardedVectors:
    """A `VectorIndex`."""

    def __init__(self, inner: VectorIndex, clock: Clock, group: asyncio.TaskGroup, patience: Patience) -> None:
        self._inner = inner
        self._clock = clock
        self._group = group
        self._patience = patience
        self._outage: _Outage | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def down(self) -> str:
        """Why it is left alone; empty while it answers."""
        return "" if self._outage is None else str(self._outage.error)

    @property
    def dims_max(self) -> int | None:
        """How long vectors may be, where there is such a bound."""
        return getattr(self._inner, "dims_max", None)

    async def apply(self, writes: Sequence[IndexWrite]) -> None:
        try:
            async with asyncio.timeout(self._patience.patience_s):
                while True:
                    if self._outage is not None:
                        await self._outage.over.wait()
                    try:
                        await self._within(self._patience.write_s, "write", lambda: self._inner.apply(writes))
                    except Unavailable as error:
                        # What failed may be old by the time it is tried again: only a read stands in for it.
                        self._went(error, lambda: self._inner.passages(_space_of(writes), ["-"]))
                    else:
                        return
        except TimeoutError as error:
            raise self._reason("write") from error

    async def nearest(
        self, space: Space, queries: "NDArray[np.float32]", *, limit: int, filter: Filter | None = None
    ) -> Sequence[Sequence[Hit]]:
        return await self._read("search", lambda: self._inner.nearest(space, queries, limit=limit, filter=filter))

    async def cosines(
        self, space: Space, queries: "NDArray[np.float32]", ids: Sequence[Sequence[str]]
    ) -> Sequence[Mapping[str, float]]:
        return await self._read("search", lambda: self._inner.cosines(space, queries, ids))

    async def passages(self, space: Space, ids: Sequence[str]) -> Mapping[str, Passage]:
        return await self._read("read", lambda: self._inner.passages(space, ids))

    async def digests(self, space: Space) -> Mapping[str, str]:
        """Return all digests. As long as it takes: nobody who searches waits for them."""
        return await self._inner.digests(space)

    def close(self) -> None:
        """Ask no more."""
        if self._watch is not None:
            self._watch.cancel()

    async def _read(self, operation: str, call: Callable[[], Awaitable[T]]) -> T:
        if self._outage is not None:
            raise self._reason(operation)
        try:
            return await self._within(self._patience.answer_s, operation, call)
        except Unavailable as error:
            self._went(error, call)
            raise

    async def _within(self, limit_s: float, operation: str, call: Callable[[], Awaitable[T]]) -> T:
        # In a task of its own: what is given up on may take its time to end (a library that tells a silent server so).
        asked = self._group.create_task(_outcome(call))
        try:
            await asyncio.wait((asked,), timeout=limit_s)
        finally:
            if not asked.done():
                asked.cancel()
        if not asked.done():
            raise Unavailable(NAME, operation, f"nothing within {limit_s:g} s")
        answer, error = asked.result()
        if error is not None:
            raise error
        return cast("T", answer)

    def _reason(self, operation: str) -> Unavailable:
        outage = self._outage
        if outage is None:
            return Unavailable(NAME, operation, f"nothing within {self._patience.patience_s:g} s")
        reason = f"not for {self._clock.monotonic_s() - outage.since_s:.1f} s: {outage.error.reason}"
        if isinstance(outage.error, NotLetIn):
            return NotLetIn(outage.error.backend, operation, outage.error.setting, reason)
        return Unavailable(outage.error.backend, operation, reason)

    def _went(self, error: Unavailable, again: Callable[[], Awaitable[object]]) -> None:
        if self._outage is not None:
            return
        self._outage = _Outage(self._clock.monotonic_s(), error, again, asyncio.Event())
        _logger.warning("%s. Searches go on by words, writes wait until it answers", error)
        self._watch = self._group.create_task(self._until_it_answers(self._outage))

    async def _until_it_answers(self, outage: _Outage) -> None:
        rest_s = REST_S
        while True:
            await self._clock.sleep(rest_s * (0.5 + self._clock.random() / 2))
            rest_s = min(rest_s * 2, REST_S_MAX)
            try:
                await self._within(self._patience.answer_s, "search", outage.again)
            except Unavailable as error:
                outage.error = error
                continue
            except PenstockError:
                pass  # no is an answer, too
            except Exception:
                _logger.exception("asking the vector store again")
            self._outage = None
            outage.over.set()
            _logger.info("%s answers again, after %.1f s", NAME, self._clock.monotonic_s() - outage.since_s)
            return


async def _outcome(call: Callable[[], Awaitable[T]]) -> tuple[T | None, Exception | None]:
    """Ask, and return what came, or what was raised: in a group it would end the others."""
    try:
        return await call(), None
    except Exception as error:  # noqa: BLE001 - it is raised again, where it was asked
        return None, error


def _space_of(writes: Sequence[IndexWrite]) -> Space:
    return writes[0].space if writes else Space("-")
