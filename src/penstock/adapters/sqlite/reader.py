"""A store's file as people read it, beside the process that runs on it: it takes no claim and writes nothing."""

import sqlite3
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from penstock.adapters.sqlite import blobs, reading, stream_rows, timers, usage
from penstock.adapters.sqlite import rows as all_rows
from penstock.adapters.sqlite.schema import FORMAT, translated
from penstock.core.agents.pieces import StreamChunk, StreamEnd
from penstock.core.agents.unit import DeadLetter, RunChange, Writes
from penstock.core.agents.usage import Usage
from penstock.core.events.envelope import Recorded
from penstock.core.timing.timers import Timer
from penstock.errors import Finding, Invalid, Missing
from penstock.ports.rows import Kind, Page
from penstock.ports.state import ALL_DEAD, DeadFilter, RunFilter, StoredRun

T = TypeVar("T")


@contextmanager
def open_sqlite_reader(path: Path) -> Generator["SqliteReader"]:
    """Open a store's file to read it; `Missing` when there is none, `Invalid` when it is no file of ours."""
    if not path.is_file():
        raise Missing(f"the store {path}", "run the app once, or give the path of its store")
    try:
        # Not mode=ro: who may not write leaves two empty files behind when nobody else has the store open.
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=5.0)
    except sqlite3.Error as error:
        raise translated(error, f"opening {path.name}") from error
    try:
        connection.execute("PRAGMA query_only = ON")
        reader = SqliteReader(connection, path)
        version = reader.format()
        if version != FORMAT:
            older = 0 < version < FORMAT
            hint = "run the app once: it brings the store up to date" if older else "choose another file"
            raise Invalid(str(path), (Finding("format", f"is {version}, this penstock knows {FORMAT}", hint),))
        yield reader
    finally:
        connection.close()


class SqliteReader:
    """A `RunCatalog`, and the runs with their journals."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    @contextmanager
    def moment(self) -> Generator[None]:
        """See the file as it is now, whatever is committed meanwhile."""
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    def format(self) -> int:
        """Return the number of the file's format; 0: nothing was written yet."""
        return self._ask(lambda: self._connection.execute("PRAGMA user_version").fetchone()[0], "reading the format")

    async def run(self, run_id: str) -> StoredRun | None:
        """Return a run with its journal."""
        return self._ask(lambda: reading.run(self._connection, run_id), "run")

    async def runs(self, which: RunFilter) -> Sequence[RunChange]:
        return self._ask(lambda: reading.runs(self._connection, which), "runs")

    async def dead_letters(self, which: DeadFilter = ALL_DEAD) -> Sequence[DeadLetter]:
        return self._ask(lambda: reading.dead_letters(self._connection, which), "dead letters")

    async def event(self, event_id: str) -> Recorded | None:
        return self._ask(lambda: reading.event_or_waiting(self._connection, event_id), "event")

    async def origin(self, correlation_id: str) -> Sequence[Recorded]:
        return self._ask(lambda: reading.origin(self._connection, correlation_id), "origin")

    async def timers(self, *, tenant: str | None = None, limit: int = 50) -> Sequence[Timer]:
        return self._ask(lambda: timers.soonest(self._connection, tenant, limit), "timers")

    async def pieces(
        self, tenant: str, run_id: str, name: str, *, from_offset: int, limit: int
    ) -> Sequence[StreamChunk]:
        which = (tenant, run_id, name)
        return self._ask(lambda: stream_rows.pieces(self._connection, which, from_offset, limit), "pieces")

    async def streams(self, tenant: str, run_id: str) -> Sequence[StreamEnd]:
        return self._ask(lambda: stream_rows.streams(self._connection, tenant, run_id), "streams")

    async def usage(self) -> Usage:
        """Return what takes space."""
        return self._ask(lambda: usage.usage(self._connection, self._path), "usage")

    async def blobs(self, digests: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """Return digest -> value of those large values that are there."""
        return self._ask(lambda: blobs.blobs(self._connection, digests), "blobs")

    async def values(self, tenant: str, agent: str, key: str) -> Mapping[str, bytes]:
        return self._ask(lambda: reading.values(self._connection, tenant, agent, key), "values")

    async def partitions(self) -> int:
        return self._ask(lambda: all_rows.partitions(self._connection), "partitions")

    async def rows(self, kind: Kind, *, after: bytes, limit: int) -> Page:
        return self._ask(lambda: all_rows.rows(self._connection, kind, after, limit), "rows")

    async def rows_of(self, event_ids: Sequence[str]) -> Writes:
        return self._ask(lambda: all_rows.rows_of(self._connection, event_ids), "rows of events")

    async def known(self, rows: Writes) -> Writes:
        return self._ask(lambda: all_rows.known(self._connection, rows), "known rows")

    def _ask(self, query: Callable[[], T], operation: str) -> T:
        try:
            return query()
        except sqlite3.Error as error:
            raise translated(error, operation) from error
