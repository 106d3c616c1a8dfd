"""A worker to be killed: it commits without end, and writes the number of each commit to its output once it returned."""

import asyncio
import sys

from penstock.adapters.postgres.store import open_postgres_store
from penstock.core.agents.unit import Writes
from penstock.testing.commits import change, chunk, recorded, value


async def work(url: str, pause: str) -> None:
    async with open_postgres_store(url) as store:
        claim = await store.claim("worker")
        first = (await store.ends()).get(("t", 0), 0)
        number = 0
        while True:
            number += 1
            event = f"e{first + number}"
            writes = Writes(
                events=[recorded(event, offset=first + number)],
                runs=[change(f"{event}:a")],
                journal=[chunk(f"{event}:a", 0, "s#0")],
                values=[value("last", str(first + number).encode())],
            )
            await store.commit(claim, number, writes)
            sys.stdout.write(f"{first + number}\n")
            sys.stdout.flush()
            if pause:
                sys.stdin.readline()  # the parent decides when to go on: it can kill between two commits


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], sys.argv[2]))
