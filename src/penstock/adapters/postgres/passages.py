"""Passages and their vectors in Postgres, with pgvector. Searches are exact, and filters part of them.

- Vectors are stored at length 1 in the precision of the embedded index, so that equal ones tie in the same way.
- Ids and texts are bytes: Postgres has no zero byte in a text, and orders them by its locale.
- Words are found elsewhere: this is a `VectorIndex` with `Spaces`.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from penstock.adapters.postgres.address import address_of
from penstock.adapters.postgres.database import Connection, Database, open_database
from penstock.adapters.postgres.filters import Argument, Conditions, digits
from penstock.core.knowledge.filters import Filter, number
from penstock.core.knowledge.passages import Hit, IndexWrite, Passage, Space, Upsert
from penstock.core.knowledge.rows import VECTOR_TYPE, checked, last_writes, other_length, units
from penstock.core.knowledge.sealed_form import rounded, widened
from penstock.errors import LimitReached, Missing

HITS_MAX = 10_000

_TABLES = (
    """CREATE TABLE IF NOT EXISTS passage_space (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant text NOT NULL, collection text NOT NULL,
    generation bigint NOT NULL, dims int, UNIQUE (tenant, collection, generation)
)""",
    """CREATE TABLE IF NOT EXISTS passage (
    space bigint NOT NULL, id bytea NOT NULL, digest text NOT NULL, body bytea NOT NULL, metadata jsonb NOT NULL,
    numbers jsonb NOT NULL, vector vector, PRIMARY KEY (space, id)
)""",
)
_SPACE = "SELECT number, dims FROM passage_space WHERE tenant = $1 AND collection = $2 AND generation = $3"
_NEW_SPACE = """
INSERT INTO passage_space (tenant, collection, generation) VALUES ($1, $2, $3) ON CONFLICT (tenant, collection, generation)
DO UPDATE SET tenant = excluded.tenant RETURNING number, dims
"""
_UPSERT = """
INSERT INTO passage VALUES ($1, $2, $3, $4, $5::text::jsonb, $6::text::jsonb, $7::text::vector)
ON CONFLICT (space, id) DO UPDATE SET
    digest = excluded.digest, body = excluded.body, metadata = excluded.metadata, numbers = excluded.numbers,
    vector = excluded.vector
"""
SETTING = "the user or the password in `vectors`, or grant it the rights,"
_metadata = msgspec.json.Decoder(dict[str, str])


@asynccontextmanager
async def open_postgres_passages(url: str) -> AsyncGenerator["PostgresPassages"]:
    """Open the passages in a schema of a database, whose tables are made where they are missing.

    Raises `Missing` where the database has no pgvector.
    """
    address = address_of(url)
    async with open_database(address, SETTING) as database:

        async def make(connection: Connection) -> None:
            known = await connection.fetchval("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'")
            if known is None:
                raise Missing("pgvector in this Postgres", "install the extension 'vector' on the server")
            await connection.execute("SELECT pg_advisory_xact_lock(hashtext('penstock passages'))")
            await connection.execute("CREATE EXTENSION IF NOT EXISTS vector SCHEMA public")
            await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {address.schema}")
            await connection.execute(f"SET LOCAL search_path TO {address.schema}, public")
            for statement in _TABLES:
                await connection.execute(statement)

        await database.transact("making tables", make)
        yield PostgresPassages(database, address.schema)


class PostgresPassages:
    """A `VectorIndex`, with `Spaces`."""

    def __init__(self, database: Database, schema: str) -> None:
        self._database = database
        self._path = f"SET LOCAL search_path TO {schema}, public"

    async def apply(self, writes: Sequence[IndexWrite]) -> None:
        """Make the writes in one transaction."""
        last = last_writes(writes)
        vectors = {
            (space, key): checked(write.passage, write.vector)
            for space, of_space in last.items()
            for key, write in of_space.items()
            if isinstance(write, Upsert)
        }

        async def write(connection: Connection) -> None:
            for space, of_space in sorted(last.items(), key=lambda item: msgspec.structs.astuple(item[0])):
                puts = [each for each in of_space.values() if isinstance(each, Upsert)]
                mine = {each.passage.id: vectors[space, each.passage.id] for each in puts}
                found = await connection.fetchrow(_NEW_SPACE if puts else _SPACE, *_key(space))
                if found is None:
                    continue
                space_number, dims = found
                await _require_length(connection, space_number, dims, [each for each in mine.values() if each])
                gone = [key.encode() for key, each in of_space.items() if not isinstance(each, Upsert)]
                await connection.execute(
                    "DELETE FROM passage WHERE space = $1 AND id = ANY($2::bytea[])", space_number, gone
                )
                for each in sorted(puts, key=lambda put: put.passage.id):
                    await connection.execute(_UPSERT, space_number, *_values(each.passage, mine[each.passage.id]))

        await self._transact("writing passages", write)

    async def nearest(
        self, space: Space, queries: NDArray[np.float32], *, limit: int, filter: Filter | None = None
    ) -> Sequence[Sequence[Hit]]:
        """Return the nearest passages. Raises `Refused` for queries of another length, `LimitReached` for a limit too high."""
        if limit > HITS_MAX:
            raise LimitReached("limit", limit, HITS_MAX)

        async def search(connection: Connection) -> list[list[Hit]]:
            found = await connection.fetchrow(_SPACE, *_key(space))
            if found is None or found[1] is None or limit < 1:
                return [[] for _ in queries]
            _require_query(queries, found[1])
            return [await self._nearest(connection, found[0], query, limit, filter) for query in units(queries)]

        return await self._transact("searching passages", search)

    async def cosines(
        self, space: Space, queries: NDArray[np.float32], ids: Sequence[Sequence[str]]
    ) -> Sequence[Mapping[str, float]]:
        async def look(connection: Connection) -> list[dict[str, float]]:
            found = await connection.fetchrow(_SPACE, *_key(space))
            if found is None or found[1] is None:
                return [{} for _ in queries]
            _require_query(queries, found[1])
            statement = """SELECT id, 1 - (vector <=> $1::text::vector) FROM passage
                WHERE space = $2 AND id = ANY($3::bytea[]) AND vector IS NOT NULL"""
            scored: list[dict[str, float]] = []
            for query, wanted in zip(units(queries), ids, strict=True):
                keys = [_id(each) for each in wanted] if query.any() else []
                rows = await connection.fetch(statement, _text_of(query), found[0], keys) if keys else []
                scored.append({bytes(key).decode(): _cosine(score) for key, score in rows})
            return scored

        return await self._transact("scoring passages", look)

    async def passages(self, space: Space, ids: Sequence[str]) -> Mapping[str, Passage]:
        statement = """SELECT id, body, metadata::text FROM passage JOIN passage_space ON number = space
            WHERE tenant = $1 AND collection = $2 AND generation = $3 AND id = ANY($4::bytea[])"""
        rows = await self._fetch("reading passages", statement, *_key(space), [_id(each) for each in ids])
        read = [Passage(bytes(key).decode(), bytes(body).decode(), _metadata.decode(data)) for key, body, data in rows]
        return {each.id: each for each in read}

    async def digests(self, space: Space) -> Mapping[str, str]:
        statement = """SELECT id, digest FROM passage JOIN passage_space ON number = space
            WHERE tenant = $1 AND collection = $2 AND generation = $3"""
        rows = await self._fetch("reading digests", statement, *_key(space))
        return {bytes(key).decode(): digest for key, digest in rows}

    async def spaces(self, collection: str) -> Sequence[Space]:
        statement = """SELECT tenant, generation FROM passage_space WHERE collection = $1
            AND EXISTS (SELECT 1 FROM passage WHERE space = number) ORDER BY number"""
        rows = await self._fetch("reading spaces", statement, collection)
        return [Space(collection, tenant, generation) for tenant, generation in rows]

    async def clear(self, space: Space, *, limit: int) -> int:
        async def remove(connection: Connection) -> int:
            found = await connection.fetchrow(f"{_SPACE} FOR UPDATE", *_key(space))
            if found is None:
                return 0
            some = "SELECT id FROM passage WHERE space = $1 LIMIT $2"
            gone = await connection.fetch(
                f"DELETE FROM passage WHERE space = $1 AND id IN ({some}) RETURNING 1",  # noqa: S608 - nothing of a caller's
                found[0],
                limit,
            )
            if len(gone) < limit:  # its vectors may be of another length when it is used again
                await connection.execute("DELETE FROM passage_space WHERE number = $1", found[0])
            return len(gone)

        return await self._transact("clearing a space", remove)

    async def _nearest(
        self, connection: Connection, number_: int, query: NDArray[np.float32], limit: int, filter: Filter | None
    ) -> list[Hit]:
        if not query.any():
            return []
        arguments: list[Any] = [_text_of(query), number_, limit]

        def add(argument: Argument) -> str:
            arguments.append(argument)
            return f"${len(arguments)}"

        condition = "true" if filter is None else Conditions(add).of(filter)
        rows = await connection.fetch(
            f"""SELECT id, 1 - (vector <=> $1::text::vector) FROM passage WHERE space = $2 AND vector IS NOT NULL
            AND {condition} ORDER BY vector <=> $1::text::vector, id LIMIT $3""",  # noqa: S608 - what callers give are arguments
            *arguments,
        )
        return [Hit(bytes(key).decode(), _cosine(score)) for key, score in rows]

    async def _fetch(self, operation: str, statement: str, *arguments: Any) -> Sequence[Sequence[Any]]:
        async def fetch(connection: Connection) -> Sequence[Sequence[Any]]:
            return await connection.fetch(statement, *arguments)

        return await self._transact(operation, fetch)

    async def _transact(self, operation: str, work: Any) -> Any:
        async def within(connection: Connection) -> Any:
            await connection.execute(self._path)
            return await work(connection)

        return await self._database.transact(operation, within)


async def _require_length(connection: Connection, space: int, dims: int | None, vectors: Sequence[bytes]) -> None:
    for each in {len(vector) // VECTOR_TYPE.itemsize for vector in vectors}:
        if dims is None:
            await connection.execute("UPDATE passage_space SET dims = $2 WHERE number = $1", space, each)
            dims = each
        elif dims != each:
            raise other_length(each, dims)


def _require_query(queries: NDArray[np.float32], dims: int) -> None:
    if len(queries) and queries.shape[1] != dims:
        raise other_length(queries.shape[1], dims)


def _key(space: Space) -> tuple[str, str, int]:
    return space.tenant, space.collection, space.generation


def _id(text: str) -> bytes:
    return text.encode(errors="surrogatepass")  # what is no text was never stored


def _values(passage: Passage, vector: bytes | None) -> tuple[Any, ...]:
    read = {field: number(value) for field, value in passage.metadata.items()}
    numbers = {field: digits(value) for field, value in read.items() if value is not None}
    stored = None if vector is None else _text_of(widened(rounded(np.frombuffer(vector, VECTOR_TYPE))))
    encoded = [msgspec.json.encode(each).decode() for each in (passage.metadata, numbers)]
    return _id(passage.id), passage.digest, passage.text.encode(), *encoded, stored


def _text_of(vector: NDArray[np.float32]) -> str:
    numbers: list[float] = vector.tolist()
    return f"[{','.join(map(repr, numbers))}]"


def _cosine(score: float) -> float:
    return min(1.0, max(-1.0, score))
