"""The tables of the passages that lie in the store: SQL only, no transaction of its own, nothing in memory.

- Each transaction that writes to a space has a number there, its `changes`, and its rows carry it: who has a space in memory asks
  for what has a greater one. The space's row is locked until the transaction ends, so numbers come in the order of commits.
- What is removed stays as a row without a digest, so that others learn of it. Old ones go now and then: who has not seen them
  (`pruned`) reads the space anew.
- Ids, texts and metadata are bytes: Postgres has no zero byte in a text, and orders texts by its locale.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from penstock.adapters.postgres.database import Connection
from penstock.adapters.postgres.texts import stored, told
from penstock.core.knowledge.documents import prefix_of
from penstock.core.knowledge.passages import IndexWrite, Passage, Space, Upsert
from penstock.core.knowledge.rows import VECTOR_TYPE, Row, other_length, packed_terms, require_rows
from penstock.core.knowledge.words import ANALYSIS

_LOCK = "SELECT pg_advisory_xact_lock(hashtext('penstock kept passages'))"
_TABLES = (
    """CREATE TABLE IF NOT EXISTS kept_space (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant text COLLATE "C" NOT NULL,
    collection text COLLATE "C" NOT NULL, generation bigint NOT NULL, dims int, changes bigint NOT NULL DEFAULT 0,
    pruned bigint NOT NULL DEFAULT 0, UNIQUE (tenant, collection, generation)
) WITH (fillfactor = 50)""",
    """CREATE TABLE IF NOT EXISTS kept_passage (
    space bigint NOT NULL, id bytea NOT NULL, change bigint NOT NULL, digest text, body bytea NOT NULL,
    metadata bytea NOT NULL, vector bytea, keys bytea NOT NULL, counts bytea NOT NULL, analysis int NOT NULL,
    PRIMARY KEY (space, id)
)""",
    "CREATE INDEX IF NOT EXISTS kept_passage_change ON kept_passage (space, change, id)",
)
_SPACE = (
    "SELECT number, dims, changes, pruned FROM kept_space WHERE tenant = $1 AND collection = $2 AND generation = $3"
)
_COUNT = """
INSERT INTO kept_space (tenant, collection, generation, changes) VALUES ($1, $2, $3, 1)
ON CONFLICT (tenant, collection, generation) DO UPDATE SET changes = kept_space.changes + 1
RETURNING number, dims, changes, pruned
"""
_UPSERT = """
INSERT INTO kept_passage SELECT $1, u.id, $2, u.digest, u.body, u.metadata, u.vector, u.keys, u.counts, $10
FROM unnest($3::bytea[], $4::text[], $5::bytea[], $6::bytea[], $7::bytea[], $8::bytea[], $9::bytea[])
    u (id, digest, body, metadata, vector, keys, counts)
ON CONFLICT (space, id) DO UPDATE SET change = excluded.change, digest = excluded.digest, body = excluded.body,
    metadata = excluded.metadata, vector = excluded.vector, keys = excluded.keys, counts = excluded.counts,
    analysis = excluded.analysis
"""
_REMOVED = "change = $2, digest = NULL, body = '', metadata = '', vector = NULL, keys = '', counts = ''"
_REMOVE = f"UPDATE kept_passage SET {_REMOVED} WHERE space = $1 AND id = ANY($3::bytea[]) AND digest IS NOT NULL"  # noqa: S608 - of our own
_CLEAR = f"""
UPDATE kept_passage SET {_REMOVED} WHERE space = $1 AND id IN (
    SELECT id FROM kept_passage WHERE space = $1 AND digest IS NOT NULL LIMIT $3
) RETURNING id
"""  # noqa: S608 - of our own
_SINCE = """
SELECT id, change, digest IS NULL, keys, counts, vector, metadata, CASE WHEN analysis = $5 THEN NULL ELSE body END
FROM kept_passage WHERE space = $1 AND (change, id) > ($2, $3) ORDER BY change, id LIMIT $4
"""
_PARTS = """
SELECT d.place, p.id, p.digest FROM unnest($2::bytea[], $3::bytea[], $4::bytea[]) WITH ORDINALITY d (root, first, past, place)
JOIN kept_passage p ON p.space = $1 AND p.id = d.root AND p.digest IS NOT NULL
UNION ALL
SELECT d.place, p.id, p.digest FROM unnest($2::bytea[], $3::bytea[], $4::bytea[]) WITH ORDINALITY d (root, first, past, place)
JOIN kept_passage p ON p.space = $1 AND p.id >= d.first AND p.id < d.past AND p.digest IS NOT NULL
"""
_metadata = msgspec.json.Decoder(dict[str, str])


class Sizes(Struct, frozen=True):
    """How many rows are read at once, and after how many changes of a space old removals go."""

    page: int = 2_000
    prune_every: int = 1_024


SIZES = Sizes()


class Known(Struct, frozen=True):
    """A space: its number, the length of its vectors, the last change, and up to where removals are not told any more."""

    number: int
    dims: int | None
    changes: int
    pruned: int


class Prepared(Struct, frozen=True):
    """The writes of one space, analysed: by id the last of them, and the row that it makes."""

    space: Space
    last: Mapping[str, IndexWrite]
    rows: Mapping[str, Row | None]


async def create_tables(connection: Connection) -> None:
    """Make the tables where they are missing, within the caller's transaction."""
    await connection.execute(_LOCK)
    for statement in _TABLES:
        await connection.execute(statement)


async def known(connection: Connection, space: Space) -> Known | None:
    """Return what is known of a space; None when nothing was put into it."""
    row = await connection.fetchrow(_SPACE, *_key(space))
    return None if row is None else Known(*row)


async def require(connection: Connection, writes: Mapping[Space, Mapping[str, IndexWrite]]) -> None:
    """Raise what `write` would raise for what the writes say."""
    for space, last in writes.items():
        found = await known(connection, space)
        require_rows(last, None if found is None else found.dims)


async def write(connection: Connection, prepared: Sequence[Prepared], prune_every: int) -> dict[Space, Known]:
    """Write within the caller's transaction, and return how each space is then; `Refused` for a vector of another length."""
    found: dict[Space, Known] = {}
    for each in sorted(prepared, key=lambda one: _key(one.space)):  # in one order: no two wait for each other
        rows = [row for row in each.rows.values() if row is not None]
        if not rows and await known(connection, each.space) is None:
            continue
        space = Known(*_row(await connection.fetchrow(_COUNT, *_key(each.space))))
        dims = await _dims(connection, space, rows)
        gone = [key.encode() for key, row in each.rows.items() if row is None]
        if gone:
            await connection.execute(_REMOVE, space.number, space.changes, gone)
        if rows:
            await connection.execute(_UPSERT, space.number, space.changes, *_columns(each.last, rows), ANALYSIS)
        if space.changes % prune_every == 0:
            await _prune(connection, space, space.changes - prune_every)
        found[each.space] = msgspec.structs.replace(space, dims=dims)
    return found


async def since(
    connection: Connection, number: int, place: tuple[int, bytes], limit: int
) -> tuple[dict[str, Row | None], int, bytes, int]:
    """Return what changed after a place: rows, none for what was removed; the place of the last one, and how many."""
    found: dict[str, Row | None] = {}
    change, after = place
    rows = await connection.fetch(_SINCE, number, change, after, limit, ANALYSIS)
    for key, at, is_gone, keys, counts, vector, data, text in rows:
        name = bytes(key).decode()
        change, after = int(at), bytes(key)
        if is_gone:
            found[name] = None
            continue
        metadata = _metadata.decode(data)
        packed = (bytes(keys), bytes(counts)) if text is None else packed_terms(bytes(text).decode(), metadata)
        found[name] = Row(name, *packed, None if vector is None else bytes(vector), metadata)
    return found, change, after, len(rows)


async def passages(connection: Connection, space: Space, ids: Sequence[str]) -> dict[str, Passage]:
    """The passages that exist among `ids`."""
    found = await known(connection, space)
    if found is None:
        return {}
    query = (
        "SELECT id, body, metadata FROM kept_passage WHERE space = $1 AND id = ANY($2::bytea[]) AND digest IS NOT NULL"
    )
    rows = await connection.fetch(query, found.number, [_id(each) for each in ids])
    read = [Passage(bytes(key).decode(), bytes(body).decode(), _metadata.decode(data)) for key, body, data in rows]
    return {each.id: each for each in read}


async def digests(connection: Connection, space: Space) -> dict[str, str]:
    """Id -> digest of every passage in the space."""
    query = f"""SELECT id, digest FROM kept_passage WHERE space = (SELECT number FROM ({_SPACE}) s) AND digest IS NOT NULL"""  # noqa: S608 - of our own
    return {bytes(key).decode(): digest for key, digest in await connection.fetch(query, *_key(space))}


async def spaces(connection: Connection, collection: str) -> list[Space]:
    """The spaces of a collection that have passages."""
    query = """SELECT tenant, generation FROM kept_space WHERE collection = $1
        AND EXISTS (SELECT FROM kept_passage WHERE space = number AND digest IS NOT NULL) ORDER BY number"""
    rows = await connection.fetch(query, stored(collection))
    return [Space(collection, told(tenant), generation) for tenant, generation in rows]


async def clear(connection: Connection, space: Space, limit: int) -> int:
    """Remove some passages of a space within the caller's transaction, and return how many."""
    if await known(connection, space) is None:
        return 0
    found = Known(*_row(await connection.fetchrow(_COUNT, *_key(space))))
    gone = await connection.fetch(_CLEAR, found.number, found.changes, limit)
    if len(gone) < limit:  # its vectors may be of another length when it is used again
        await connection.execute("DELETE FROM kept_passage WHERE space = $1", found.number)
        await connection.execute("DELETE FROM kept_space WHERE number = $1", found.number)
    return len(gone)


async def parts(connection: Connection, space: Space, documents: Sequence[str]) -> dict[str, dict[str, str]]:
    """Document -> id of passage -> digest."""
    found: dict[str, dict[str, str]] = {}
    there = await known(connection, space)
    if there is None or not documents:
        return found
    prefixes = [prefix_of(each).encode(errors="surrogatepass") for each in documents]
    # "$" follows "#" in the order of the ids, which is that of their bytes.
    columns = [each[:-1] for each in prefixes], prefixes, [each[:-1] + b"$" for each in prefixes]
    for place, key, digest in await connection.fetch(_PARTS, there.number, *columns):
        found.setdefault(documents[int(place) - 1], {})[bytes(key).decode()] = digest
    return found


async def _dims(connection: Connection, space: Known, rows: Sequence[Row]) -> int | None:
    dims = space.dims
    for length in {len(row.vector) // VECTOR_TYPE.itemsize for row in rows if row.vector is not None}:
        if dims is not None and length != dims:
            raise other_length(length, dims)
        dims = length
    if dims != space.dims:
        await connection.execute("UPDATE kept_space SET dims = $2 WHERE number = $1", space.number, dims)
    return dims


async def _prune(connection: Connection, space: Known, upto: int) -> None:
    """Let go of removals that nearly all have seen by now."""
    query = "DELETE FROM kept_passage WHERE space = $1 AND digest IS NULL AND change <= $2"
    await connection.execute(query, space.number, upto)
    await connection.execute("UPDATE kept_space SET pruned = $2 WHERE number = $1", space.number, upto)


def _columns(last: Mapping[str, IndexWrite], rows: Sequence[Row]) -> list[list[Any]]:
    puts = [each for row in rows if isinstance(each := last[row.id], Upsert)]
    return [
        [row.id.encode() for row in rows],
        [each.passage.digest for each in puts],
        [each.passage.text.encode() for each in puts],
        [msgspec.json.encode(each.passage.metadata) for each in puts],
        [row.vector for row in rows],
        [row.keys for row in rows],
        [row.counts for row in rows],
    ]


def _row(row: Sequence[Any] | None) -> Sequence[Any]:
    assert row is not None, "an upsert returns its row"
    return row


def _key(space: Space) -> tuple[str, str, int]:
    return stored(space.tenant), stored(space.collection), space.generation


def _id(text: str) -> bytes:
    return text.encode(errors="surrogatepass")  # what is no text was never stored
