"""A store in Postgres as people read it, beside the process that runs on it: it takes no claim and writes nothing.

Each question has a connection of its own, made and closed within it, so that a reader can be opened outside of any loop.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from penstock.adapters.postgres import blobs, reading, stream_rows, timers, usage
from penstock.adapters.postgres.address import Address, address_of
from penstock.adapters.postgres.database import Connection, Work, connected, load
from penstock.adapters.postgres.schema import FORMAT, format_of
from penstock.core.agents.pieces import StreamChunk, StreamEnd
from penstock.core.agents.unit import DeadLetter, RunChange
from penstock.core.agents.usage import Usage
from penstock.core.events.envelope import Recorded
from penstock.core.timing.timers import Timer
from penstock.errors import Missing
from penstock.ports.state import ALL_DEAD, DeadFilter, RunFilter, StoredRun

T = TypeVar("T")


def open_postgres_reader(dsn: str, *, schema: str | None = None) -> "PostgresReader":
    """Return a reader of the store at `postgresql://...[?schema=NAME]`; `Missing` without the extra.

    Its questions raise `Missing` when there is no store, and `Invalid` when the schema is not ours.
    """
    load()
    return PostgresReader(address_of(dsn, schema))


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
            if await format_of(connection, self._address.schema) != FORMAT:
                hint = "run the app once, or name the schema of its store: ?schema=NAME"
                raise Missing(f"a store in the schema {self._address.schema}", hint)
            return await question(connection)

        async with connected(self._address) as connection:
            return await answered(connection)
