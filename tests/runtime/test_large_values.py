"""What is large lies apart, once, and what is too large is refused before anything is written (C9; dapr #7321)."""

import asyncio
import sqlite3
from contextlib import closing

import pytest

from penstock import App, Context, Event, Stretch
from penstock.core.agents.journal import STEP_BYTES_MAX
from penstock.core.agents.policy import NO_RETRY
from penstock.errors import LimitReached, RunFailed
from penstock.ports.state import RunFilter
from penstock.runtime.appending import EVENT_BYTES_MAX
from penstock.wiring import opened_desk

MIB = 1024 * 1024
ENVELOPE = len('{"text":""}')


class Paper(Event):
    text: str


class Asked(Event, key="name"):
    name: str
    size: int


class Told(Event):
    text: str


app = App("large", events=[Told])


@app.agent(retry=NO_RETRY)
async def weigh(paper: Paper) -> int:
    return len(paper.text)


@app.agent(retry=NO_RETRY)
async def fetch(asked: Asked, ctx: Context) -> Told:
    page = await ctx.step("page", lambda: "p" * asked.size)
    await ctx.values.set("page", page)
    return Told(text=page[: MIB // 2])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "app.db"


def rows(path, query):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


async def test_an_event_of_the_largest_size_is_handled_and_one_byte_more_is_refused(path):
    largest = EVENT_BYTES_MAX - ENVELOPE
    async with app.running(store=f"sqlite:{path}") as live:
        assert await live.call("weigh", Paper(text="x" * largest)) == largest
        before = rows(
            path, "SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM blob), (SELECT max(number) FROM owner)"
        )
        with pytest.raises(LimitReached, match=r"the data of Paper.v1, in bytes, is 1.67772e\+07"):
            await live.call("weigh", Paper(text="x" * (largest + 1)))
        assert before == rows(
            path, "SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM blob), (SELECT max(number) FROM owner)"
        )


async def test_100_mb_are_refused_with_a_typed_error_before_anything_is_written(path):
    async with app.running(store=f"sqlite:{path}") as live:
        with pytest.raises(LimitReached):
            await live.send(Paper(text="x" * 100_000_000))
        assert rows(path, "SELECT count(*) FROM event") == [(0,)]
        with pytest.raises(RunFailed, match="the result of step page#0, in bytes,"):
            await live.call("fetch", Asked(name="a", size=100_000_000))
        assert rows(path, "SELECT count(*) FROM journal") == rows(path, "SELECT count(*) FROM blob") == [(0,)]


async def test_a_step_of_the_largest_size_survives_a_restart(path):
    size = STEP_BYTES_MAX - 5  # MessagePack's head of a long text
    async with app.running(store=f"sqlite:{path}") as live:
        with pytest.raises(RunFailed, match=r"the result of step page#0, in bytes, is 6.71089e\+07"):
            await live.call("fetch", Asked(name="a", size=size + 1))
        event_id = await live.send(Asked(name="b", size=size))
        assert await live.engine.settled(30)
    async with app.running(store=f"sqlite:{path}") as live:
        run = await live.engine.run(f"{event_id}:fetch")
        assert (run.change.status, [len(bytes(each.value)) for each in run.records]) == ("succeeded", [STEP_BYTES_MAX])
        assert rows(path, "SELECT count(*), max(length(body)) FROM blob ORDER BY 2 DESC") == [(2, STEP_BYTES_MAX)]


async def test_the_same_content_is_stored_once_and_read_back_everywhere(path):
    async with app.running(store=f"sqlite:{path}") as live:
        await live.engine.send_many([Asked(name=str(number), size=MIB) for number in range(20)])
        assert await live.engine.settled(30)
    # Twenty steps and twenty values of one text, twenty events and results of another.
    assert rows(path, "SELECT count(*) FROM blob") == [(2,)]
    assert path.stat().st_size < 3 * MIB
    async with app.running(store=f"sqlite:{path}") as live:
        values = await live.engine.parts.store.values("default", "fetch", "7")
        assert len(values["page"]) == MIB + 5
        [run] = await live.engine.parts.store.runs(RunFilter(limit=1))
        assert len(run.result) > MIB // 2


async def test_a_lost_blob_fails_its_run_by_name_and_no_other(path):
    writer = App("large", events=[Paper])
    async with writer.running(store=f"sqlite:{path}") as live:
        lost = await live.send(Paper(text="x" * MIB))
        kept = await live.send(Paper(text="y" * (MIB // 8)))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM blob WHERE length(body) = ?", (MIB + ENVELOPE,))
        connection.commit()
    async with app.running(store=f"sqlite:{path}") as live:
        assert await live.engine.settled(30)
        [letter] = await live.engine.parts.store.dead_letters()
        assert letter.run_id == f"{lost}:weigh"
        assert "blob" in letter.reason
        assert "is missing or damaged" in letter.reason
        assert (await live.engine.run(f"{kept}:weigh")).change.result == b"131072"


async def test_large_events_that_wait_take_bounded_memory(path):
    """Their weight counts, not their number: what does not fit waits in the log, and is handled all the same."""
    entered, go = 0, asyncio.Event()
    slow = App("slow")

    @slow.agent
    async def hold(paper: Paper) -> None:
        nonlocal entered
        entered += 1
        await go.wait()

    async with slow.running(store=f"sqlite:{path}") as live:
        for _ in range(80):
            await live.send(Paper(text="x" * (8 * MIB - ENVELOPE)))
        assert entered < 80
        go.set()
        assert await live.engine.settled(30)
    assert entered == 80


async def test_who_looks_from_beside_and_a_replay_get_whole_values(path):
    url = f"sqlite:{path}"
    async with app.running(store=url) as live:
        await live.call("weigh", Paper(text="p" * MIB))
    async with opened_desk(url) as desk:
        (page,) = await desk.read("paper", 0, after=0, limit=10)
        assert len(page.event.data) == MIB + ENVELOPE
        assert [each.outcome async for each in app.replay(desk, Stretch("paper", fresh_reads=True))] == ["same"]
