"""Looking at a store in Redis beside the app that may be running on it, without a claim: a connection for each question."""

import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from penstock.adapters.redis_store import reading, stream_rows, timers, usage
from penstock.adapters.redis_store import rows as all_rows
from penstock.adapters.redis_store.address import Address, address_of
from penstock.adapters.redis_store.lookups import found_by_id
from penstock.adapters.redis_store.names import Keys, named
from penstock.adapters.redis_store.server import Server, open_server
from penstock.core.agents.pieces import StreamChunk, StreamEnd
from penstock.core.agents.unit import DeadLetter, RunChange, Writes
from penstock.core.agents.usage import Usage
from penstock.core.events.envelope import Recorded
from penstock.core.timing.timers import Timer
from penstock.ports.rows import Kind, Page
from penstock.ports.state import ALL_DEAD, DeadFilter, RunFilter, StoredRun

COPYING_S = 600
T = TypeVar("T")


def open_redis_reader(url: str, *, prefix: str | None = None) -> "RedisReader":
    """Return a reader of the store at an address; its questions raise `Missing` when there is no store."""
    return RedisReader(address_of(url, prefix))


@asynccontextmanager
async def open_redis_moment(url: str, *, prefix: str | None = None) -> AsyncGenerator["RedisMoment"]:
    """See a store as it is now, whatever is committed meanwhile; `Missing` when there is none.

    Redis cannot show what was: the store is copied within Redis, which does nothing else meanwhile and needs room for it. The
    copy goes with the block, or by itself after ten minutes.
    """
    address = address_of(url, prefix)
    async with open_server(address, Keys(address.prefix), quiet=True) as server:
        await server.require_made()
        copy = Server(address, Keys(address.prefix, copy=secrets.token_hex(8)))
        try:
            await server.work("copy", server.keys.all + b"*", copy.keys.all, COPYING_S)
            yield RedisMoment(copy)
        finally:
            await server.forget(copy.keys.all)
            await copy.close()


async def _event(server: Server, event_id: str) -> Recorded | None:
    return (await found_by_id(server, [named(event_id)])).get(named(event_id))


class RedisMoment:
    """The rows of a store at one moment."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def usage(self) -> Usage:
        return await usage.usage(self._server)

    async def partitions(self) -> int:
        return await all_rows.partitions(self._server)

    async def rows(self, kind: Kind, *, after: bytes, limit: int) -> Page:
        return await all_rows.rows(self._server, kind, after, limit)

    async def rows_of(self, event_ids: Sequence[str]) -> Writes:
        return await all_rows.rows_of(self._server, event_ids)

    async def known(self, rows: Writes) -> Writes:
        return await all_rows.known(self._server, rows)

    async def blobs(self, digests: Sequence[bytes]) -> Mapping[bytes, bytes]:
        return await reading.blobs(self._server, digests)


class RedisReader:
    """A `RunCatalog`, and the runs with their journals."""

    def __init__(self, address: Address) -> None:
        self._address = address

    async def run(self, run_id: str) -> StoredRun | None:
        """Return a run with its journal."""
        return await self._ask(lambda each: reading.run(each, run_id))

    async def runs(self, which: RunFilter) -> Sequence[RunChange]:
        return await self._ask(lambda each: reading.runs(each, which))

    async def dead_letters(self, which: DeadFilter = ALL_DEAD) -> Sequence[DeadLetter]:
        return await self._ask(lambda each: reading.dead_letters(each, which))

    async def event(self, event_id: str) -> Recorded | None:
        return await self._ask(lambda each: _event(each, event_id))

    async def origin(self, correlation_id: str) -> Sequence[Recorded]:
        return await self._ask(lambda each: reading.origin(each, correlation_id))

    async def timers(self, *, tenant: str | None = None, limit: int = 50) -> Sequence[Timer]:
        return await self._ask(lambda each: timers.soonest(each, tenant, limit))

    async def pieces(
        self, tenant: str, run_id: str, name: str, *, from_offset: int, limit: int
    ) -> Sequence[StreamChunk]:
        return await self._ask(lambda each: stream_rows.pieces(each, (tenant, run_id, name), from_offset, limit))

    async def streams(self, tenant: str, run_id: str) -> Sequence[StreamEnd]:
        return await self._ask(lambda each: stream_rows.streams(each, tenant, run_id))

    async def usage(self) -> Usage:
        """Return what takes space."""
        return await self._ask(usage.usage)

    async def blobs(self, digests: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """Return digest -> value of those large values that are there."""
        return await self._ask(lambda each: reading.blobs(each, digests))

    async def values(self, tenant: str, agent: str, key: str) -> Mapping[str, bytes]:
        return await self._ask(lambda each: reading.values(each, tenant, agent, key))

    async def _ask(self, question: Callable[[Server], Awaitable[T]]) -> T:
        async with open_server(self._address, Keys(self._address.prefix), quiet=True) as server:
            await server.require_made()
            return await question(server)
