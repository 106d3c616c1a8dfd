"""A store in Postgres as people read it, beside the process that runs on it: it takes no claim and writes nothing.

Each question has a connection of its own, made and closed within it, so that a reader can be opened outside of any loop.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from penstock.adapters.postgres import blobs, reading, stream_rows, timers, usage
from penstock.adapters.postgres import rows as all_rows
from penstock.adapters.postgres.address import Address, address_of
from penstock.adapters.postgres.database import Connection, Work, connected, load
from penstock.adapters.postgres.schema import FORMAT, format_of
from penstock.core.agents.pieces import StreamChunk, StreamEnd
from penstock.core.agents.unit import DeadLetter, RunChange, Writes
from penstock.core.agents.usage import Usage
from penstock.core.events.envelope import Recorded
from penstock.core.timing.timers import Timer
from penstock.errors import Missing
from penstock.ports.rows import Kind, Page
from penstock.ports.state import ALL_DEAD, DeadFilter, RunFilter, StoredRun

COPYING_S = 600
T = TypeVar("T")


def open_postgres_reader(dsn: str, *, schema: str | None = None) -> "PostgresReader":
    """Return a reader of the store at `postgresql://...[?schema=NAME]`; `Missing` without the extra.

    Its questions raise `Missing` when there is no store, and `Invalid` when the schema is not ours.
    """
    load()
    return PostgresReader(address_of(dsn, schema))


@asynccontextmanager
async def open_postgres_moment(dsn: str, *, schema: str | None = None) -> AsyncGenerator["PostgresMoment"]:
    """See a store as it is now, whatever is committed meanwhile; `Missing` when there is none."""
    load()
    address = address_of(dsn, schema)
    async with connected(address) as connection, connection.transaction():
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        # Whoever copies writes files in between.
        await connection.execute(f"SET LOCAL idle_in_transaction_session_timeout = '{COPYING_S}s'")
        await require_format(connection, address)
        yield PostgresMoment(connection)


async def require_format(connection: Connection, address: Address) -> None:
    """Raise `Missing` when the schema has no store."""
    if await format_of(connection, address.schema) != FORMAT:
        hint = "run the app once, or name the schema of its store: ?schema=NAME"
        raise Missing(f"a store in the schema {address.schema}", hint)


class PostgresMoment:
    """The rows of a store at one moment."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def usage(self) -> Usage:
        return await usage.usage(self._connection)

    async def partitions(self) -> int:
        return await all_rows.partitions(self._connection)

    async def rows(self, kind: Kind, *, after: bytes, limit: int) -> Page:
        return await all_rows.rows(self._connection, kind, after, limit)

    async def rows_of(self, event_ids: Sequence[str]) -> Writes:
        return await all_rows.rows_of(self._connection, event_ids)

    async def known(self, rows: Writes) -> Writes:
        return await all_rows.known(self._connection, rows)

    async def blobs(self, digests: Sequence[bytes]) -> Mapping[bytes, bytes]:
        return await blobs.blobs(self._connection, digests)


class PostgresReader:
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
        return await self._ask(lambda each: reading.event_by_id(each, event_id))

    async def origin(self, correlation_id: str) -> Sequence[Recorded]:
        return await self._ask(lambda each: reading.origin(each, correlation_id))

    async def timers(self, *, tenant: str | None = None, limit: int = 50) -> Sequence[Timer]:
        return await self._ask(lambda each: timers.soonest(each, tenant, limit))

    async def pieces(
        self, tenant: str, run_id: str, name: str, *, from_offset: int, limit: int
    ) -> Sequence[StreamChunk]:
        which = (tenant, run_id, name)
        return await self._ask(lambda each: stream_rows.pieces(each, which, from_offset, limit))

    async def streams(self, tenant: str, run_id: str) -> Sequence[StreamEnd]:
        return await self._ask(lambda each: stream_rows.streams(each, tenant, run_id))

    async def usage(self) -> Usage:
        """Return what takes space."""
        return await self._ask(usage.usage)

    async def blobs(self, digests: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """Return digest -> value of those large values that are there."""
        return await self._ask(lambda each: blobs.blobs(each, digests))

    async def values(self, tenant: str, agent: str, key: str) -> Mapping[str, bytes]:
        return await self._ask(lambda each: reading.values(each, tenant, agent, key))

    async def _ask(self, question: Work[T]) -> T:
        async def answered(connection: Connection) -> T:
            await require_format(connection, self._address)
            return await question(connection)

        async with connected(self._address) as connection:
            return await answered(connection)
