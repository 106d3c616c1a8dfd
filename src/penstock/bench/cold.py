"""W4, cold start: a new process to the first durable result. Prints a line when that is there, and ends.

    python -m penstock.bench.cold .penstock/cold.db

One agent of one step on a new SQLite file: what a small script does that asks its app one thing.
"""

import asyncio
import sys

from penstock import App, Context, Event
from penstock.settings import Settings

app = App("cold")


class Asked(Event, key="id"):
    id: str


@app.agent
async def answer(asked: Asked, ctx: Context) -> str:
    return await ctx.step("greet", greeting, asked.id)


def greeting(name: str) -> str:
    return f"hello {name}"


async def main(file: str) -> None:
    async with app.running(Settings(store=f"sqlite:{file}")) as running:
        sys.stdout.write(f"{await running.call('answer', Asked(id='world'))}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
