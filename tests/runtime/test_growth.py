"""Storage grows with what happens, not with what happened before (langgraph #8531), and what is pruned leaves the rest able to
go on (deer-flow #4148). In bytes, not in time: it holds on any machine."""

import asyncio
import sqlite3
from contextlib import closing
from itertools import pairwise

from penstock import App, Context, Event, Keep, Retention
from penstock.runtime.janitor import Janitor
from penstock.testing.virtual_time import VirtualClock

TURNS = 1000
PART = TURNS // 5
SLOPE_MAX = 8 * 1024  # bytes a turn; a message has 200, a step's result 1,000
DAY_MS = 86_400_000


class Said(Event, key="session_id"):
    session_id: str
    text: str


class Heard(Event, key="session_id"):
    session_id: str
    text: str


app = App("growth", retention=Retention(events=Keep(days=1), runs_days=1, journals_days=1))


@app.agent
async def reply(said: Said, ctx: Context) -> Heard:
    history = await ctx.session.history()
    text = await ctx.step("think", lambda: f"{len(history)} {said.text} ".ljust(1000, "."))
    await ctx.session.add("user", said.text)
    await ctx.session.add("assistant", text[:200])
    await ctx.values.set("count", (await ctx.values.get("count", 0)) + 1)
    return Heard(session_id=said.session_id, text=text[:200])


def bytes_used(path):
    with closing(sqlite3.connect(path)) as connection:
        pages, free, size = (
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
    return (pages - free) * size


class Tomorrow(VirtualClock):
    """The wall clock of two days later, without any waiting."""

    def now_ms(self):
        import time

        return int(time.time() * 1000) + 2 * DAY_MS  # noqa: TID251 - what the app's own clock shows, and two days

    async def sleep(self, delay_s):
        await asyncio.sleep(0)


async def test_a_long_session_takes_space_in_proportion_and_can_be_pruned_and_goes_on(tmp_path):
    path = tmp_path / "app.db"
    sizes = []
    async with app.running(store=f"sqlite:{path}") as live:
        for _ in range(5):
            texts = [Said(session_id="one", text="word " * 40) for _ in range(PART)]
            await live.engine.send_many(texts)
            assert await live.engine.settled(60)
            sizes.append(bytes_used(path))
        grown = [after - before for before, after in pairwise(sizes)]
        assert max(grown) < 1.2 * min(grown), grown
        assert max(grown) / PART < SLOPE_MAX, grown
        janitor = Janitor(live.engine.parts.store, Tomorrow(), live.engine.parts.household, live.engine)
        tidied = await janitor.tidy()
        assert tidied.events >= 2 * TURNS - 4
        assert bytes_used(path) < sizes[0]
    async with app.running(store=f"sqlite:{path}") as live:
        heard = await live.ask(Said(session_id="one", text="and on"), Heard)
        assert heard.text.startswith("20 and on")  # the history is whole
        assert await live.engine.parts.store.values("default", "reply", "one") == {"count": b"\xcd\x03\xe9"}
