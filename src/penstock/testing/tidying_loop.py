"""A worker to be killed while it tidies: it works and prunes without end, with large values and an archive.

Given are the address of a store and the folder of the archive. It writes the id of each event to its output once it is durable,
and "tidied" after each round.
"""

import asyncio
import sys
from dataclasses import replace
from itertools import count
from pathlib import Path

from penstock import App, Context, Event, Keep, Retention
from penstock.adapters.clock.system import SystemClock
from penstock.core.exports.copying import digests_of
from penstock.errors import Unavailable
from penstock.ports.rows import RowSource
from penstock.runtime.tidying import Places, Round

NOTHING = Retention(events=Keep(count=2), journals_days=0, runs_days=0, every_s=1e6)
PAUSE_S = 0.02  # between two events: a round is to come to its end
TEXTS = [f"{number} " * 40_000 for number in range(3)]


class Said(Event, key="who"):
    who: str
    text: str


class Heard(Event, key="who"):
    who: str


class Hurried(SystemClock):
    """A clock that shows each look two hours later: what was used at the last one is old at the next."""

    def __init__(self) -> None:
        self._looks = 0

    def now_ms(self) -> int:
        self._looks += 1
        return super().now_ms() + self._looks * 7_200_000


def talking(archive: str = "") -> App:
    """Return the app that works."""
    app = App("talking", retention=replace(NOTHING, archive=archive))

    @app.agent
    async def hear(said: Said, ctx: Context) -> Heard:
        await ctx.step("think", str.upper, said.text)
        await ctx.values.set("last", said.text)
        await ctx.values.set("count", (await ctx.values.get("count", 0, to=int)) + 1)
        return Heard(who=said.who)

    return app


async def work(address: str, folder: Path) -> None:
    """Work and tidy side by side, and tell."""
    async with talking(str(folder)).running(store=address) as live:
        parts = live.engine.parts
        home = parts.household
        assert home is not None
        first = (await parts.store.ends()).get(("said", 0), 0)

        async def tidies() -> None:
            while True:
                await Round(parts.store, Hurried(), home, live.engine).run(Places(), rest=0.0)
                tell("tidied")

        tidying = asyncio.ensure_future(tidies())
        for number in count(first + 1):
            event = Said(who=f"w{number % 3}", text=TEXTS[number % 3])
            tell(await live.send(event, id=f"e{number}"))
            await asyncio.sleep(PAUSE_S)
            if tidying.done():
                tidying.result()


def tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def values_of(store: RowSource) -> set[bytes]:
    """Return the digests of all large values that the rows of a store refer to."""
    found: set[bytes] = set()
    for kind in ("events", "journal", "runs", "sessions", "values", "timers"):
        after = b""
        while True:
            page = await store.rows(kind, after=after, limit=200)
            found.update(digests_of(page.rows))
            after = page.after
            if not after:
                break
    return found


if __name__ == "__main__":
    try:
        asyncio.run(work(sys.argv[1], Path(sys.argv[2])))
    except Unavailable as error:
        tell(f"full: {error}")
