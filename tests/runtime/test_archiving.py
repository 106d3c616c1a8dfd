"""What goes is kept in the archive first; a dry round foresees a real one; runs and values are bounded by number and age (C9)."""

import asyncio
from dataclasses import replace

import pytest

from penstock import App, Context, Event, Keep, Retention, WorkflowContext
from penstock.adapters.memory.store import Disk, MemoryStore
from penstock.core.agents.unit import Writes
from penstock.core.exports.copying import digests_of
from penstock.core.exports.keys import fresh
from penstock.errors import Invalid, Unavailable
from penstock.layers.retrying_store import RetryingStore
from penstock.runtime.tidying import Places, Round
from penstock.testing.archives import MemoryArchive
from penstock.testing.virtual_time import VirtualClock, run_virtually

DAY_S = 86_400
NOTHING = Retention(events=Keep(days=0), journals_days=0, runs_days=0)
LARGE = "large " * 20_000


class Asked(Event, key="who"):
    who: str
    text: str = ""


class Told(Event, key="who"):
    who: str


class Trip(Event):
    to: str


def shop(kept, **of_agent):
    app = App("shop", retention=kept)

    @app.agent(**of_agent)
    async def answer(asked: Asked, ctx: Context) -> Told:
        await ctx.values.set("last", asked.text[:10])
        await ctx.step("think", str.upper, asked.text)
        ctx.stream().write("thinking")
        return Told(who=asked.who)

    @app.agent
    async def hear(told: Told) -> None:
        pass

    @app.workflow
    async def travel(trip: Trip, ctx: WorkflowContext) -> str:
        return await ctx.wait_for("go", str)

    return app


def round_of(live, archive=None, *, dry=False, store=None):
    household = replace(live.engine.parts.household, archive=archive)
    return Round(store or live.engine.parts.store, live.engine.parts.clock, household, live.engine, dry=dry)


async def talked(live, count, text="hello"):
    for number in range(count):
        await live.call("answer", Asked(who=str(number % 3), text=text), id=f"ask{number}")
    await live.send(Trip(to="Rome"), id="trip")
    assert await live.engine.settled(10)
    await asyncio.sleep(1)


async def everything(store):
    """Return all rows of a store that can be pruned."""
    found = Writes()
    for kind in ("events", "runs", "journal", "streams"):
        page = await store.rows(kind, after=b"", limit=10_000)
        getattr(found, kind).extend(getattr(page.rows, kind))
    return found


def test_all_that_goes_is_in_the_archive_and_the_rest_is_not():
    async def main():
        async with shop(NOTHING).running(store="memory:", clock=VirtualClock()) as live:
            await talked(live, 30, LARGE)
            archive, store = MemoryArchive(), live.engine.parts.store
            before = await everything(store)
            done = await round_of(live, archive).run(Places())
            left = await everything(store)
            kept = archive.rows()
            assert done.events == len(before.events) - len(left.events) == 58  # the last ones of two topics stay
            for kind in ("events", "journal", "streams"):
                gone = [each for each in getattr(before, kind) if each not in getattr(left, kind)]
                assert sorted(map(repr, gone)) == sorted(map(repr, getattr(kept, kind)))
            gone = {run.run_id for run in before.runs} - {run.run_id for run in left.runs}
            assert gone <= {run.run_id for run in kept.runs}
            assert "trip:travel" not in gone
            assert {blob.digest for blob in kept.blobs} == set(digests_of(kept))

    run_virtually(main())


def test_the_archive_can_be_imported():
    async def main():
        async with shop(NOTHING).running(store="memory:", clock=VirtualClock()) as live:
            await talked(live, 5)
            archive, before = MemoryArchive(), await everything(live.engine.parts.store)
            await round_of(live, archive).run(Places())
        other = MemoryStore(Disk(gaps=True))
        claim = await other.claim("w")
        for number in (1, 2):  # once more changes nothing
            rows, others = fresh(archive.rows(), await other.known(archive.rows()))
            assert others == []
            await other.commit(claim, number, rows)
        steps = [each.step for each in (await other.run("ask0:answer")).records]
        assert steps == ["think#0"]
        assert await other.event("ask0") == next(each for each in before.events if each.event.id == "ask0")

    run_virtually(main())


class Dying(RetryingStore):
    """A store that does not answer the n-th removal: whoever asked dies there."""

    def __init__(self, inner, clock, nth):
        super().__init__(inner, clock)
        self.left = nth

    async def prune_events(self, old, *, after, limit, how):
        self._count(how)
        return await self._inner.prune_events(old, after=after, limit=limit, how=how)

    async def prune_runs(self, rules, *, after, limit, how):
        self._count(how)
        return await self._inner.prune_runs(rules, after=after, limit=limit, how=how)

    def _count(self, how):
        if not how.dry:
            self.left -= 1
            if self.left == 0:
                raise Unavailable("the store", "pruning")


def test_a_death_at_any_removal_loses_nothing_and_what_is_kept_twice_is_the_same():
    async def main():
        nth, died = 0, True
        while died:
            nth += 1
            async with shop(NOTHING).running(store="memory:", clock=VirtualClock()) as live:
                await talked(live, 12)
                store, archive = live.engine.parts.store, MemoryArchive()
                before = await everything(store)
                try:
                    await round_of(live, archive, store=Dying(store, live.engine.parts.clock, nth)).run(Places())
                    died = False
                except Unavailable:
                    pass
                await round_of(live, archive).run(Places())
                left, kept = await everything(store), archive.rows()
                for kind in ("events", "journal", "streams"):
                    gone = {repr(each) for each in getattr(before, kind)} - {repr(each) for each in getattr(left, kind)}
                    assert gone == {repr(each) for each in getattr(kept, kind)}
                assert fresh(kept, Writes())[1] == []
        assert nth > 3

    run_virtually(main())


def test_nothing_goes_while_the_archive_is_full():
    async def main():
        async with shop(NOTHING).running(store="memory:", clock=VirtualClock()) as live:
            await talked(live, 12)
            archive = MemoryArchive()
            archive.is_full = True
            before = await everything(live.engine.parts.store)
            with pytest.raises(Unavailable, match="full"):
                await round_of(live, archive).run(Places())
            assert await everything(live.engine.parts.store) == before
            archive.is_full = False
            assert (await round_of(live, archive).run(Places())).events == 22

    run_virtually(main())


@pytest.mark.parametrize(
    "retention",
    [
        NOTHING,
        Retention(events=Keep(count=4), runs_days=0, journals_days=30),
        Retention(events=Keep(days=0), journals_days=0, topics={"told": Keep(days=None, count=5)}, runs_count=3),
        Retention(events=Keep(days=None), journals_count=2, values_days=0),
    ],
    ids=["all", "by number", "topics", "journals and values"],
)
def test_a_dry_round_says_what_a_real_one_then_does(retention):
    async def main():
        async with shop(retention).running(store="memory:", clock=VirtualClock()) as live:
            await talked(live, 30)
            before = await everything(live.engine.parts.store)
            foreseen = await live.engine.janitor.foresee()
            assert await everything(live.engine.parts.store) == before
            done = await live.engine.janitor.tidy()
            events = {which: gone.rows for which, gone in foreseen.parts.items() if which[0] in ("events", "values")}
            assert events == {
                which: gone.rows for which, gone in done.parts.items() if which[0] in ("events", "values")
            }
            assert bool(foreseen.journals) >= bool(done.journals)
            assert events or done.journals

    run_virtually(main())


def test_an_agent_keeps_the_newest_of_its_runs():
    mine = Retention(journals_count=4, runs_count=6)
    # Their answers must not hold them: what followed keeps an event, and runs of 30 days would keep that.
    retention = Retention(events=Keep(days=0), runs_days=0)

    async def main():
        async with shop(retention, retention=mine).running(store="memory:", clock=VirtualClock()) as live:
            for number in range(20):
                await live.call("answer", Asked(who="a"), id=f"ask{number:02}")
                await asyncio.sleep(1)
            await live.engine.janitor.tidy()
            store = live.engine.parts.store
            runs = [await store.run(f"ask{number:02}:answer") for number in range(20)]
            assert [number for number, run in enumerate(runs) if run is not None] == list(range(14, 20))
            assert [number for number, run in enumerate(runs) if run is not None and run.records] == list(range(16, 20))

    run_virtually(main())


def test_values_that_were_not_written_for_long_go():
    mine = Retention(values_days=10)

    async def main():
        async with shop(Retention(), retention=mine).running(store="memory:", clock=VirtualClock()) as live:
            await live.call("answer", Asked(who="old", text="old"))
            await live.call("answer", Asked(who="young", text="young"))
            await asyncio.sleep(6 * DAY_S)
            await live.call("answer", Asked(who="young", text="again"))
            await asyncio.sleep(6 * DAY_S)
            await live.engine.janitor.tidy()
            store = live.engine.parts.store
            assert await store.values("default", "answer", "old") == {}
            assert list(await store.values("default", "answer", "young")) == ["last"]

    run_virtually(main())


def test_an_app_that_has_an_archive_fills_it_by_itself(tmp_path):
    async def main():
        retention = replace(NOTHING, archive=str(tmp_path / "kept"), every_s=0.2)
        async with shop(retention).running(store=f"sqlite:{tmp_path / 'app.db'}") as live:
            await talked(live, 3)
            assert (await live.engine.janitor.tidy()).events == 4
        assert len(list((tmp_path / "kept").glob("*/*.jsonl.gz"))) >= 2

    asyncio.run(main())


def test_wrong_numbers_are_said():
    with pytest.raises(Invalid) as caught:
        App("shop", retention=Retention(runs_count=0, journals_count=-1, values_days=-1))
    assert [each.path for each in caught.value.findings] == [
        "retention.values_days",
        "retention.journals_count",
        "retention.runs_count",
    ]
