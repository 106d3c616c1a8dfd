"""The tables in which the log and the state lie, in a schema of their own, and how they are made.

- Names and ids have the collation "C": equality and order are those of their bytes, whatever the database's language is.
- Rows that are listed newest first have a number of their own, since a table of Postgres has no order.
- Keys made of several names are a digest of them (see `texts.digest`); the names stand beside it, for people.
"""

from hashlib import blake2b

from penstock.adapters.postgres import blobs, erasing, permits, stream_rows, timers, workers
from penstock.adapters.postgres.database import ENCODING, Connection
from penstock.errors import Finding, Invalid

FORMAT = 2
TOPICS_MAX = 4095
PARTITIONS_MAX = 1 << 31
OFFSET_MAX = (1 << 63) - 1

_TABLES = """
CREATE TABLE penstock_format (one integer PRIMARY KEY CHECK (one = 1), number integer NOT NULL);
CREATE TABLE owner (
    one integer PRIMARY KEY CHECK (one = 1), owner text NOT NULL, epoch bigint NOT NULL, number bigint NOT NULL
) WITH (fillfactor = 10);
INSERT INTO owner VALUES (1, '', 0, 0);
CREATE TABLE topic (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text COLLATE "C" NOT NULL UNIQUE
);
CREATE TABLE event (
    topic integer NOT NULL, partition integer NOT NULL, "offset" bigint NOT NULL,
    id text COLLATE "C" NOT NULL UNIQUE, body bytea NOT NULL, PRIMARY KEY (topic, partition, "offset")
);
CREATE TABLE run (
    id text COLLATE "C" PRIMARY KEY, agent text COLLATE "C" NOT NULL, tenant text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL, status text COLLATE "C" NOT NULL, attempt integer NOT NULL, at_ms bigint NOT NULL,
    due_ms bigint NOT NULL, reason text NOT NULL, result bytea NOT NULL, duration_ms double precision NOT NULL,
    records bytea NOT NULL, arrival bigint GENERATED ALWAYS AS IDENTITY
);
CREATE INDEX run_newest ON run (arrival);
CREATE INDEX run_open ON run (status, agent) WHERE status <> 'succeeded';
CREATE TABLE journal (
    run_id text COLLATE "C" NOT NULL, number integer NOT NULL, body bytea NOT NULL, PRIMARY KEY (run_id, number)
);
CREATE TABLE session (
    place bytea NOT NULL, number bigint NOT NULL, count integer NOT NULL, expires_ms bigint NOT NULL,
    body bytea NOT NULL, tenant text COLLATE "C" NOT NULL, session text COLLATE "C" NOT NULL,
    PRIMARY KEY (place, number)
);
CREATE TABLE value (
    place bytea NOT NULL, named bytea NOT NULL, tenant text COLLATE "C" NOT NULL, agent text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL, name text COLLATE "C" NOT NULL, body bytea NOT NULL, PRIMARY KEY (place, named)
);
CREATE TABLE progress (
    place bytea PRIMARY KEY, agent text COLLATE "C" NOT NULL, topic text COLLATE "C" NOT NULL,
    partition integer NOT NULL, low bigint NOT NULL, above bytea NOT NULL
) WITH (fillfactor = 50);
CREATE TABLE dead (
    run_id text COLLATE "C" PRIMARY KEY, agent text COLLATE "C" NOT NULL, tenant text COLLATE "C" NOT NULL,
    topic integer NOT NULL, partition integer NOT NULL, "offset" bigint NOT NULL, reason text NOT NULL,
    attempts integer NOT NULL, at_ms bigint NOT NULL, arrival bigint GENERATED ALWAYS AS IDENTITY
);
CREATE INDEX dead_newest ON dead (arrival);
"""

# What format 2 adds to format 1. Each statement can run again on a schema that has some of it.
ADDED_IN_2: tuple[str, ...] = (
    *timers.TABLES,
    *stream_rows.TABLES,
    *workers.TABLES,
    *permits.TABLES,
    *blobs.TABLES,
    "ALTER TABLE value ADD COLUMN IF NOT EXISTS at_ms bigint NOT NULL DEFAULT 0",
    *erasing.TABLES,
)


async def make_tables(connection: Connection, schema: str) -> None:
    """Make the tables where the schema has none, or those of an older format; `Invalid` when it is not ours.

    It runs within the caller's transaction.
    """
    if await connection.fetchval("SHOW server_encoding") != ENCODING:
        hint = f"make it with: createdb --encoding={ENCODING} --template=template0"
        raise Invalid("the database", (Finding("encoding", "cannot hold every text", hint),))
    if await format_of(connection, schema) == FORMAT:
        return
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _lock_of(schema))
    number = await format_of(connection, schema)
    if number == FORMAT:  # made by another one, meanwhile
        return
    if number == 0:
        if not await connection.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname = $1", schema):
            await connection.execute(f"CREATE SCHEMA {schema}")  # the name needs no quotes: see `address`
        await connection.execute(_TABLES)
        await connection.execute("INSERT INTO penstock_format VALUES (1, 1)")
    for statement in ADDED_IN_2:
        await connection.execute(statement)
    await connection.execute("UPDATE penstock_format SET number = $1", FORMAT)


async def format_of(connection: Connection, schema: str) -> int:
    """Return the format of the tables; 0 for an empty schema, `Invalid` for one that is not ours, or of a newer format."""
    query = """
        SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'v', 'm')
    """
    tables = {row[0] for row in await connection.fetch(query, schema)}
    if not tables:
        return 0
    if "penstock_format" not in tables:
        finding = Finding("schema", "has tables of another program", "choose another one: ?schema=NAME")
        raise Invalid(f"the schema {schema}", (finding,))
    number = await connection.fetchval("SELECT number FROM penstock_format")
    if number > FORMAT:
        hint = "open it with the version of penstock that wrote it, or choose another schema: ?schema=NAME"
        raise Invalid(f"the schema {schema}", (Finding("format", f"is {number}, this penstock knows {FORMAT}", hint),))
    return number


def _lock_of(schema: str) -> int:
    return int.from_bytes(blake2b(f"penstock {schema}".encode(), digest_size=8).digest(), signed=True)
