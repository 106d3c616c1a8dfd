"""Who works on the schema, who owns which partition, and what waits for an owner: as SQL.

- A worker is a row as long as its claim lasts; ending a claim is removing the row. A commit updates the row, so one that is
  under way is seen to its end before the claim is.
- The row in `owner` counts the epochs, and keeps out processes of format 1, which look nowhere else. Who comes or goes locks
  it first, so that these take turns.
- Time is the server's.
"""

from collections.abc import Collection, Sequence
from typing import Any

from penstock.adapters.postgres.database import Connection
from penstock.adapters.postgres.texts import stored, told
from penstock.core.agents.unit import Sent
from penstock.core.events.codec import decode, encode
from penstock.errors import Fenced, Refused
from penstock.ports.inbox import Waiting
from penstock.ports.state import Claim
from penstock.ports.workers import Membership

TABLES = (
    """CREATE TABLE IF NOT EXISTS worker (
        epoch bigint PRIMARY KEY, owner text NOT NULL, alone boolean NOT NULL, number bigint NOT NULL,
        seen timestamptz NOT NULL
    ) WITH (fillfactor = 10)""",
    "CREATE TABLE IF NOT EXISTS part (partition integer PRIMARY KEY, epoch bigint NOT NULL)",
    "INSERT INTO part VALUES (0, 0) ON CONFLICT DO NOTHING",
    """CREATE TABLE IF NOT EXISTS inbox (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, partition integer NOT NULL,
        topic text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL UNIQUE, body bytea NOT NULL
    )""",
    "CREATE INDEX IF NOT EXISTS inbox_part ON inbox (partition, number)",
)
_EPOCH = "UPDATE owner SET owner = $1, epoch = epoch + 1, number = 0 RETURNING epoch"
_JOIN = "INSERT INTO worker VALUES ($1, $2, $3, 0, clock_timestamp())"
_BEAT = "UPDATE worker SET seen = clock_timestamp() WHERE epoch = $1 AND owner = $2 RETURNING epoch"
# Who was seen in the future was seen before the clock was set back: he is given another while from now.
_SILENT = """
WITH ahead AS (
    UPDATE worker SET seen = clock_timestamp() WHERE seen > clock_timestamp() + $2 * interval '1 millisecond'
)
DELETE FROM worker WHERE NOT alone AND epoch <> $1 AND seen + $2 * interval '1 millisecond' <= clock_timestamp()
RETURNING epoch
"""
_FREE = "UPDATE part SET epoch = 0 WHERE epoch = ANY($1::bigint[])"
SEND = """
INSERT INTO inbox (partition, topic, id, body) SELECT u.* FROM {rows} u (partition, topic, id, body)
WHERE NOT EXISTS (SELECT FROM event WHERE event.id = u.id) ON CONFLICT (id) DO NOTHING
"""
SEND_TYPES = ("int", "text", "text", "bytea")
_SUBMITTED = """
SELECT number, topic, partition, body, EXISTS (SELECT FROM event WHERE event.id = inbox.id)
FROM inbox WHERE partition = ANY($1::int[]) AND topic <> ALL($3::text[]) ORDER BY number LIMIT $2
"""


async def claim(connection: Connection, owner: str) -> int:
    """End all claims, own everything, and return the epoch."""
    epoch = await connection.fetchval(_EPOCH, stored(owner))
    await connection.execute("DELETE FROM worker")
    await connection.execute(_JOIN, epoch, stored(owner), True)
    await connection.execute("UPDATE part SET epoch = $1", epoch)
    return epoch


async def join(connection: Connection, owner: str) -> int:
    """Work beside others; who was alone no longer works."""
    epoch = await connection.fetchval(_EPOCH, stored(owner))
    gone = await connection.fetch("DELETE FROM worker WHERE alone RETURNING epoch")
    await connection.execute(_FREE, [row[0] for row in gone])
    await connection.execute(_JOIN, epoch, stored(owner), False)
    return epoch


async def renew(connection: Connection, claim: Claim, ttl_ms: int) -> Membership:
    # Two who take each other for dead must not wait for each other. Nobody waits for the disk: that one is alive need not
    # survive the server, and what is written after it takes it along.
    await connection.fetchval("SELECT set_config('synchronous_commit', 'off', true) FROM owner FOR UPDATE")
    await _require(await connection.fetchval(_BEAT, claim.epoch, stored(claim.owner)), claim)
    gone = await connection.fetch(_SILENT, claim.epoch, ttl_ms)
    if gone:
        await connection.execute(_FREE, [row[0] for row in gone])
    workers = await connection.fetch("SELECT epoch FROM worker ORDER BY epoch")
    owners = await connection.fetch("SELECT partition, epoch FROM part")
    return Membership(tuple(row[0] for row in workers), {row[0]: row[1] for row in owners})


async def take(connection: Connection, claim: Claim, partitions: Collection[int]) -> frozenset[int]:
    await require(connection, claim)
    wanted = list(partitions)
    await connection.execute(
        "UPDATE part SET epoch = $1 WHERE partition = ANY($2::int[]) AND epoch = 0", claim.epoch, wanted
    )
    owned = await connection.fetch(
        "SELECT partition FROM part WHERE partition = ANY($2::int[]) AND epoch = $1", claim.epoch, wanted
    )
    return frozenset(row[0] for row in owned)


async def give(connection: Connection, claim: Claim, partitions: Collection[int]) -> None:
    await require(connection, claim)
    await connection.execute(
        "UPDATE part SET epoch = 0 WHERE partition = ANY($2::int[]) AND epoch = $1", claim.epoch, list(partitions)
    )


async def leave(connection: Connection, claim: Claim) -> None:
    await connection.execute("DELETE FROM worker WHERE epoch = $1", claim.epoch)
    await connection.execute(_FREE, [claim.epoch])


async def divide(connection: Connection, claim: Claim, partitions: int) -> None:
    await require(connection, claim)
    if not await connection.fetchval("SELECT alone FROM worker WHERE epoch = $1", claim.epoch):
        raise Refused("several workers share the store", "stop them first: a lone worker changes the partitions")
    have = await connection.fetchval("SELECT count(*) FROM part")
    if partitions < have:
        raise Refused(f"the store has {have} partitions already", "ask for as many, or for more")
    await connection.execute(
        "INSERT INTO part SELECT each, $3 FROM generate_series($1::int, $2::int) each",
        *(have, partitions - 1, claim.epoch),
    )


async def require(connection: Connection, claim: Claim) -> None:
    """Raise `Fenced` when the claim has ended; otherwise it lasts until the transaction has."""
    query = "SELECT epoch FROM worker WHERE epoch = $1 AND owner = $2 FOR SHARE"
    await _require(await connection.fetchval(query, claim.epoch, stored(claim.owner)), claim)


async def submit(connection: Connection, events: Sequence[Sent]) -> None:
    """Have events wait that are not known yet."""
    arrays = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(SEND_TYPES, 1))
    columns = [list(column) for column in zip(*sent_rows(events), strict=True)]
    await connection.execute(SEND.format(rows=f"unnest({arrays})"), *columns)


def sent_rows(events: Sequence[Sent]) -> list[tuple[Any, ...]]:
    """Return the events as rows of the inbox, each id once."""
    first: dict[str, Sent] = {}
    for each in events:
        first.setdefault(each.event.id, each)
    return [(each.partition, stored(each.topic), stored(each.event.id), encode(each.event)) for each in first.values()]


async def submitted(
    connection: Connection, partitions: Collection[int], limit: int, without: Collection[str]
) -> list[Waiting]:
    rows = await connection.fetch(_SUBMITTED, list(partitions), limit, [stored(each) for each in without])
    return [
        Waiting(number, Sent(told(topic), partition, decode(body)), known)
        for number, topic, partition, body, known in rows
    ]


async def _require(epoch: int | None, claim: Claim) -> None:
    if epoch is None:
        raise Fenced(claim.owner, claim.epoch)
