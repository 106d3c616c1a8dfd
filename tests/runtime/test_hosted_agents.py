"""Agents whose handlers run in workers of a host, in memory: they come to the same as in the engine's own process."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import hosted_app
import pytest
from hosted_app import Slow
from hosted_outcomes import story

from penstock import App, Context, Event, KnowledgeEvent, Pane, Resources, Retry, Tumbling
from penstock.adapters.clock.system import SystemClock
from penstock.adapters.memory.host import MemoryHost
from penstock.app import Running
from penstock.errors import RunFailed
from penstock.runtime.engine import running
from penstock.runtime.hosting import Making, hosting
from penstock.runtime.models import Models, Prompts
from penstock.runtime.remote_worker import Served, working
from penstock.settings import Settings
from penstock.wiring import model_opener, opened

CHOSEN = Settings(store="memory:")


@asynccontextmanager
async def hosted(app, chosen=CHOSEN):
    """Run an app whose handlers run in workers; yield it with its host."""
    clock = SystemClock()
    agents = app.declared.agents
    served = Served(dict(agents), Models(model_opener({}, "offline:extractive"), Prompts(None)), clock)
    async with asyncio.TaskGroup() as group:
        host = MemoryHost(lambda _: working(served), group)
        made = Making("memory", b"", app.declared.events, clock)
        async with (
            hosting(host, agents, made) as agents,
            opened(replace(app.declared, agents=agents), chosen, clock=clock) as parts,
            running(parts, owner=app.name) as engine,
        ):
            yield Running(app, engine), host


async def comes(holds):
    """Look again and again: what is looked at is outside of the engine, and tells nobody."""
    while not holds():  # noqa: ASYNC110
        await asyncio.sleep(0.005)


def lines(path):
    return path.read_text().splitlines() if path.exists() else []


async def test_an_app_comes_to_the_same_on_a_host(tmp_path: Path):
    async with hosted_app.app.running(store="memory:") as live:
        here = await story(live, str(tmp_path / "here"))
    async with hosted(hosted_app.app) as (live, host):
        there = await story(live, str(tmp_path / "there"))
    for name, value in here.items():
        assert there[name] == value, name
    assert lines(tmp_path / "there") == lines(tmp_path / "here") != []
    assert host.alive == []


async def test_the_death_of_a_worker_is_a_step_that_is_done_again(tmp_path: Path):
    log = tmp_path / "log"
    async with hosted(hosted_app.app) as (live, host), asyncio.timeout(20):
        run = await live.start("wait", Slow(customer="cy", wait_s=0.3, log=str(log)))
        await live.engine.until(
            lambda: live.engine.parts.store.run(run), lambda found: found and len(found.records) == 1
        )
        await comes(lambda: "sleeping" in log.read_text())
        for each in host.alive:
            each.kill()
        await comes(lambda: log.read_text().count("sleeping") == 2)
        assert lines(log).count("charged 1") == 1  # recorded before: it is not done again
        await live.result(run)
        assert lines(log).count("charged 3") == 1
        found = await live.engine.parts.store.run(run)
        assert (found.change.status, found.change.attempt) == ("succeeded", 1)  # a death is no attempt


async def test_a_handler_with_which_workers_die_is_given_up():
    class Fatal(Event):
        number: int = 0

    app = App("fatal")
    begun = []

    @app.agent(retry=Retry(attempts_max=1))
    async def die(fatal: Fatal, ctx: Context) -> None:
        begun.append(fatal.number)
        for each in host.alive:
            each.kill()
        await asyncio.sleep(60)

    async with hosted(app) as (live, host), asyncio.timeout(20):
        with pytest.raises(RunFailed, match="its worker died 3 times"):
            await live.call("die", Fatal())
        assert begun == [0, 0, 0]
        assert len(await live.dead_letters()) == 1


async def test_a_pool_grows_with_what_waits_and_shrinks_when_nothing_does():
    class Job(Event):
        number: int

    app, go, under_way, most = App("pool"), asyncio.Event(), set(), [0]

    @app.agent(resources=Resources(workers_max=3, handlings_max=2, idle_s=0.05))
    async def work(job: Job, ctx: Context) -> int:
        under_way.add(job.number)
        most[0] = max(most[0], len(under_way))
        await go.wait()
        under_way.discard(job.number)
        return job.number

    async with hosted(app) as (live, host), asyncio.timeout(20):
        assert host.alive == []
        runs = [await live.start("work", Job(number=number)) for number in range(10)]
        await comes(lambda: len(under_way) == 6)
        assert len(host.alive) == 3
        go.set()
        assert [await live.result(run) for run in runs] == list(range(10))
        assert most[0] == 6
        await comes(lambda: not host.alive)
        assert await live.call("work", Job(number=77)) == 77  # and begins again
        assert len(host.workers) == 4


async def test_a_worker_whose_handler_does_not_end_when_it_is_cancelled_is_ended():
    class Stubborn(Event):
        number: int = 0

    app, cancelled = App("stubborn"), []

    @app.agent(retry=Retry(attempts_max=1), timeout_s=0.5)  # it begins before, on a busy machine too
    async def cling(stubborn: Stubborn, ctx: Context) -> None:
        while len(cancelled) < 2:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(1)

    async with hosted(app) as (live, host), asyncio.timeout(20):
        with pytest.raises(RunFailed, match="timeout_s"):
            await live.call("cling", Stubborn())
        assert host.alive == []


class Heard(Event, key="who"):
    who: str
    text: str
    at_ms: int


class Summed(Event, key="who"):
    who: str
    start_ms: int
    count: int


def summed(pane: Pane[int]) -> Summed:
    return Summed(who=pane.key, start_ms=pane.start_ms, count=pane.value)


async def test_streams_embed_index_and_keep_windows_on_a_host_too():
    app = App("streamed")
    books = app.knowledge("books")
    heard = app.stream(Heard, name="hearing").event_time("at_ms", ahead_s_max=None)
    heard.embed(books, "text").index(books, id=lambda each: f"{each.value.who}{each.value.at_ms}", text="value.text")
    heard.window(Tumbling(10)).count().map(summed).to(Summed)
    async with hosted(app) as (live, host):
        for second in (1, 2, 11, 25):
            await live.send(Heard(who="ann", text=f"water in the mill {second}", at_ms=second * 1000))
        assert await live.engine.settled(60)
        await live.engine.caught_up("indexer")
        assert host.workers
        store = live.engine.parts.store
        panes = [Summed.decoded(each.event.data) for each in await store.read(Summed.topic_, 0, after=0, limit=9)]
        assert [(each.start_ms, each.count) for each in panes] == [(0, 2), (10_000, 1)]
        changes = [each.event for each in await store.read("knowledge-events", 0, after=0, limit=9)]
        assert [len(KnowledgeEvent.decoded(each.data).embedding or ()) for each in changes] == [256] * 4
        assert len(await live.knowledge("books").search("mill", limit=9)) == 4
