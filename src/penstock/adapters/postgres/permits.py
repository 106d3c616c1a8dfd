"""Permits as rows: how many each worker has of each name, and how many it wants."""

from collections.abc import Sequence

from penstock.adapters.postgres.database import Connection
from penstock.adapters.postgres.texts import stored
from penstock.ports.permits import Holding, Wish

TABLES = (
    """CREATE TABLE IF NOT EXISTS permit (
        name text COLLATE "C" NOT NULL, epoch bigint NOT NULL, held integer NOT NULL, wanted integer NOT NULL,
        PRIMARY KEY (name, epoch)
    )""",
)
_OTHERS = """
SELECT name, sum(held), count(*) FILTER (WHERE wanted > 0), count(*) FILTER (WHERE wanted > held),
    count(*) FILTER (WHERE wanted > 0 AND held = 0)
FROM permit WHERE name = ANY($1::text[]) AND epoch <> $2 GROUP BY name
"""
_SET = """
INSERT INTO permit SELECT each.name, $1, each.held, each.wanted
FROM unnest($2::text[], $3::int[], $4::int[]) AS each (name, held, wanted) WHERE each.held > 0 OR each.wanted > 0
ON CONFLICT (name, epoch) DO UPDATE SET held = excluded.held, wanted = excluded.wanted
"""


async def hold(connection: Connection, epoch: int, wishes: Sequence[Wish]) -> list[Holding]:
    """Set what a worker has of each name, as far as the others leave it, in turn. What ended claims held is free."""
    await connection.execute("SELECT one FROM owner FOR UPDATE")
    await connection.execute("DELETE FROM permit WHERE epoch NOT IN (SELECT epoch FROM worker)")
    names = [stored(wish.name) for wish in wishes]
    others = {row[0]: tuple(row)[1:] for row in await connection.fetch(_OTHERS, names, epoch)}
    found: list[Holding] = []
    for name, wish in zip(names, wishes, strict=True):
        others_held, *wanting = others.get(name, (0, 0, 0, 0))
        mine = max(0, min(wish.held, wish.limit - others_held))
        found.append(Holding(wish.name, mine, *wanting))
    held, wanted = [each.held for each in found], [wish.wanted for wish in wishes]
    await connection.execute(_SET, epoch, names, held, wanted)
    gone = [name for name, each, wish in zip(names, found, wishes, strict=True) if not (each.held or wish.wanted)]
    await connection.execute("DELETE FROM permit WHERE epoch = $1 AND name = ANY($2::text[])", epoch, gone)
    return found
