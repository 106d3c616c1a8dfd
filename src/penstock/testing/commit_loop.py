"""A worker to be killed: it commits without end, and writes the number of each commit to its output once it returned.

Given are the address of a store, and, if it is to wait for a line of input after each commit, any other text: then its parent
can kill it between two commits.
"""

import asyncio
import sys

from penstock.core.agents.unit import Writes
from penstock.testing.commits import change, chunk, recorded, value
from penstock.testing.stores import durable_store


async def work(address: str, *, pause: bool) -> None:
    """Commit, and tell."""
    async with durable_store(address) as store:
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
                sys.stdin.readline()


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], pause=len(sys.argv) > 2))
