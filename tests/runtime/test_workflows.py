"""Workflows wait for agents, signals and time, side by side and over kills, and nothing is done twice."""

import asyncio
from contextlib import asynccontextmanager
from itertools import count

import pytest

from penstock import App, Context, Event, WorkflowContext
from penstock.adapters.memory.store import Disk, MemoryStore
from penstock.adapters.sqlite.store import open_sqlite_store
from penstock.app import Running
from penstock.core.agents.policy import Retry
from penstock.errors import RunFailed, TimedOut
from penstock.ports.state import RunFilter
from penstock.runtime.control import control
from penstock.runtime.engine import Parts, running
from penstock.runtime.models import Models, Prompts
from penstock.runtime.topology import Topology
from penstock.testing.virtual_time import VirtualClock, run_virtually

pytestmark = pytest.mark.usefixtures("any_pace")


class Trip(Event, key="who"):
    who: str
    stops: int = 3


class Leg(Event):
    number: int


class Booked(Event):
    number: int
    price: int


class Itinerary(Event, key="who"):
    who: str
    total: int


@pytest.fixture(params=["memory", "sqlite"])
def disk(request, tmp_path):
    if request.param == "sqlite":
        return lambda: open_sqlite_store(tmp_path / "store.db")
    data = Disk()

    @asynccontextmanager
    async def opened():
        yield MemoryStore(data)

    return opened


lives = count()


@asynccontextmanager
async def live(app, disk, clock=None):
    clock = clock or VirtualClock(name=f"life{next(lives)}")  # no two processes make the same ids
    async with disk() as store:
        agents = {**app.agents, "runs": control()}
        topology = Topology(agents, [Trip, Leg, Booked, Itinerary])
        parts = Parts(app.name, topology, store, clock, Models(None, Prompts(None)))
        async with running(parts, owner="test") as engine:
            yield Running(app, engine)


async def killed(app, disk, work, clock=None):
    """Run, work, and stop as a killed process does."""
    done = asyncio.get_running_loop().create_future()

    async def life():
        async with live(app, disk, clock) as running_app:
            await work(running_app)
            done.set_result(None)
            await asyncio.Event().wait()

    task = asyncio.ensure_future(life())
    await asyncio.wait([task, done], return_when=asyncio.FIRST_COMPLETED)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert done.done(), task.exception()


def booking(executed):
    app = App("trips")

    @app.agent(retry=Retry(attempts_max=2, delay_s=0.001, delay_max_s=0.01))
    async def book(leg: Leg, ctx: Context) -> Booked:
        if leg.number == 13:
            raise ValueError("no such leg")
        await ctx.step("pay", executed.append, leg.number)
        return Booked(number=leg.number, price=leg.number * 10)

    return app


async def test_a_workflow_calls_agents_side_by_side_and_returns_their_answers(disk):
    executed = []
    app = booking(executed)

    @app.workflow
    async def travel(trip: Trip, ctx: WorkflowContext) -> Itinerary:
        legs = await ctx.gather(*(ctx.call("book", Leg(number=n)) for n in range(trip.stops)))
        return Itinerary(who=trip.who, total=sum(leg.price for leg in legs))

    async with live(app, disk) as it:
        answer = await it.ask(Trip(who="ada"), Itinerary, within_s=5)
    assert answer.total == 30
    assert sorted(executed) == [0, 1, 2]


async def test_a_workflow_that_was_killed_goes_on_where_it_was(disk):
    executed = []
    app = booking(executed)
    came_far = asyncio.Event()

    @app.workflow
    async def travel(trip: Trip, ctx: WorkflowContext) -> Itinerary:
        first = await ctx.call("book", Leg(number=1))
        await ctx.step("note", executed.append, "note")
        if not came_far.is_set():
            came_far.set()
            await asyncio.Event().wait()
        second = await ctx.call("book", Leg(number=2))
        return Itinerary(who=trip.who, total=first.price + second.price)

    async def until_far(it):
        await it.send(Trip(who="ada"), id="t1")
        await came_far.wait()
        await it.engine.services.committer.durable()

    await killed(app, disk, until_far)
    async with live(app, disk) as it:
        assert (await it.ask(Trip(who="ada"), Itinerary, id="t1", within_s=5)).total == 30
    assert executed == [1, "note", 2]


async def test_a_call_that_was_under_way_when_the_process_died_is_answered_after_it(disk):
    executed = []
    app = App("trips")
    stuck = asyncio.Event()

    @app.agent
    async def book(leg: Leg) -> Booked:
        if not stuck.is_set():
            stuck.set()
            await asyncio.Event().wait()
        executed.append(leg.number)
        return Booked(number=leg.number, price=5)

    @app.workflow
    async def travel(trip: Trip, ctx: WorkflowContext) -> Itinerary:
        return Itinerary(who=trip.who, total=(await ctx.call("book", Leg(number=1))).price)

    async def until_stuck(it):
        await it.send(Trip(who="ada"), id="t1")
        await stuck.wait()
        await it.engine.services.committer.durable()

    await killed(app, disk, until_stuck)
    async with live(app, disk) as it:
        assert (await it.ask(Trip(who="ada"), Itinerary, id="t1", within_s=5)).total == 5
    assert executed == [1]


async def test_an_agent_that_gives_up_fails_the_call_and_the_workflow_may_go_on(disk):
    app = booking([])

    @app.workflow
    async def travel(trip: Trip, ctx: WorkflowContext) -> Itinerary:
        with pytest.raises(RunFailed, match="no such leg"):
            await ctx.call("book", Leg(number=13))
        return Itinerary(who=trip.who, total=-1)

    async with live(app, disk) as it:
        assert (await it.call("travel", Trip(who="ada"), within_s=5))["total"] == -1


async def test_a_workflow_that_fails_lies_in_the_dead_letters_with_its_reason(disk):
    app = booking([])

    @app.workflow
    async def travel(trip: Trip, ctx: WorkflowContext) -> Itinerary:
        raise ValueError(f"{trip.who} cannot travel")

    async with live(app, disk) as it:
        with pytest.raises(RunFailed, match="ada cannot travel"):
            await it.ask(Trip(who="ada"), Itinerary, id="t1", within_s=5)
        (letter,) = await it.engine.parts.store.dead_letters()
        assert (letter.run_id, letter.attempts) == ("t1:travel", 1)


async def test_map_keeps_the_branches_apart_over_a_kill_whatever_order_they_went_on_in(disk):
    executed = []
    app = App("trips")
    pause = asyncio.Event()
    open_again = asyncio.Event()

    async def priced(number):
        executed.append(("price", number))
        await asyncio.sleep(0.001 * (7 - number))  # later ones are quicker
        return number * 10

    async def taxed(price):
        executed.append(("tax", price))
        if len([each for each in executed if each[0] == "tax"]) == 4 and not open_again.is_set():
            pause.set()
            await open_again.wait()
        return price + 1

    @app.workflow
    async def travel(trip: Trip, ctx: WorkflowContext) -> Itinerary:
        async def leg(number):
            price = await ctx.step("price", priced, number)
            return await ctx.step("tax", taxed, price)

        totals = await ctx.map(leg, range(6), limit=3)
        assert totals == [1, 11, 21, 31, 41, 51]
        return Itinerary(who=trip.who, total=sum(totals))

    async def until_pause(it):
        await it.send(Trip(who="ada"), id="t1")
        await pause.wait()
        await it.engine.services.committer.durable()

    await killed(app, disk, until_pause)
    open_again.set()
    before = list(executed)
    async with live(app, disk) as it:
        assert (await it.ask(Trip(who="ada"), Itinerary, id="t1", within_s=5)).total == 156
    done_before = {step for step in before if before.count(step)}
    repeated = [step for step in executed[len(before) :] if step in done_before]
    assert len(repeated) <= 3, "only what was cut off by the kill is executed again"


async def test_signals_are_taken_in_order_also_those_that_came_too_early(disk):
    app = App("trips")
    ready = asyncio.Event()

    @app.workflow
    async def travel(trip: Trip, ctx: WorkflowContext) -> Itinerary:
        await ctx.wait_for("start")
        ready.set()
        first = await ctx.wait_for("approval", int)
        second = await ctx.wait_for("approval", int)
        return Itinerary(who=trip.who, total=first * 10 + second)

    async def early(it):
        await it.send(Trip(who="ada"), id="t1")
        await it.signal("t1:travel", "approval", 4, id="s1")
        await it.signal("t1:travel", "approval", 4, id="s1")  # the same signal again is one signal

    await killed(app, disk, early)
    async with live(app, disk) as it:
        await it.signal("t1:travel", "start")
        await ready.wait()
        await it.signal("t1:travel", "approval", 2)
        assert (await it.ask(Trip(who="ada"), Itinerary, id="t1", within_s=5)).total == 42


async def test_a_signal_for_no_run_is_in_the_dead_letters_and_not_lost(disk):
    app = booking([])

    @app.workflow
    async def travel(trip: Trip, ctx: WorkflowContext) -> None:
        return None

    async with live(app, disk) as it:
        await it.signal("nobody:travel", "start")
        assert await it.engine.settled(5)
        (letter,) = await it.engine.parts.store.dead_letters()
        assert "nobody:travel" in letter.reason


async def test_a_cancelled_workflow_ends_with_the_workflows_that_it_called(disk):
    app = App("trips")
    waiting = asyncio.Event()

    @app.workflow
    async def wait(leg: Leg, ctx: WorkflowContext) -> None:
        waiting.set()
        await ctx.wait_for("never")

    @app.workflow
    async def travel(trip: Trip, ctx: WorkflowContext) -> None:
        await ctx.call("wait", Leg(number=1))

    async with live(app, disk) as it:
        await it.send(Trip(who="ada"), id="t1")
        await waiting.wait()
        await it.cancel("t1:travel", "ada changed her mind")
        assert await it.engine.settled(5)
        await it.engine.services.committer.durable()
        assert (await it.engine.run("t1:travel")).change.status == "cancelled"
        assert (await it.engine.run("t1:travel")).change.reason == "ada changed her mind"
        statuses = {run.agent: run.status for run in await it.engine.parts.store.runs(RunFilter())}
        assert statuses["wait"] == "cancelled"


async def test_the_first_of_several_wins_and_wins_again_after_a_kill(disk):
    app = App("trips")
    decided = asyncio.Event()
    executed = []

    @app.workflow
    async def travel(trip: Trip, ctx: WorkflowContext) -> Itinerary:
        number, who = await ctx.first(ctx.wait_for("train", str), ctx.wait_for("plane", str))
        await ctx.step("book", executed.append, who)
        if not decided.is_set():
            decided.set()
            await asyncio.Event().wait()
        return Itinerary(who=who, total=number)

    async def decide(it):
        await it.send(Trip(who="ada"), id="t1")
        await it.signal("t1:travel", "plane", "fly")
        await decided.wait()
        await it.engine.services.committer.durable()

    await killed(app, disk, decide)
    async with live(app, disk) as it:
        await it.signal("t1:travel", "train", "rail")
        answer = await it.ask(Trip(who="ada"), Itinerary, id="t1", within_s=5)
    assert (answer.who, answer.total) == ("fly", 1)
    assert executed == ["fly"]


async def test_versions_and_times_stay_what_they_were(disk):
    app = App("trips")
    stop = asyncio.Event()
    newest = 1

    @app.workflow
    async def travel(trip: Trip, ctx: WorkflowContext) -> Itinerary:
        version = ctx.version("fares", newest)
        began = ctx.now_ms()
        if not stop.is_set():
            stop.set()
            await asyncio.Event().wait()
        return Itinerary(who=str(began), total=version)

    seen = []

    async def begin(it):
        seen.append(it.engine.services.clock.now_ms())
        await it.send(Trip(who="ada"), id="t1")
        await stop.wait()
        await it.engine.services.committer.durable()

    await killed(app, disk, begin)
    newest = 2
    clock = VirtualClock(name="later")
    clock.skew_ms = 3_600_000
    async with live(app, disk, clock) as it:
        answer = await it.ask(Trip(who="ada"), Itinerary, id="t1", within_s=5)
        fresh = await it.ask(Trip(who="bob"), Itinerary, within_s=5)
    assert answer.total == 1
    assert int(answer.who) < seen[0] + 60_000
    assert fresh.total == 2


def test_a_sleep_of_days_takes_as_long_as_was_asked_over_kills():
    data = Disk()

    @asynccontextmanager
    async def disk():
        yield MemoryStore(data)

    app = App("trips")
    times = []

    @app.workflow
    async def travel(trip: Trip, ctx: WorkflowContext) -> Itinerary:
        await ctx.sleep(3 * 24 * 3600)
        times.append(asyncio.get_running_loop().time())
        return Itinerary(who=trip.who, total=1)

    async def story():
        async def begin(it):
            await it.send(Trip(who="ada"), id="t1")
            await asyncio.sleep(24 * 3600)

        await killed(app, disk, begin)
        await asyncio.sleep(24 * 3600)  # nobody runs for a day
        async with live(app, disk) as it:
            return await it.ask(Trip(who="ada"), Itinerary, id="t1", within_s=1e9)

    assert run_virtually(story()).total == 1
    assert times == [pytest.approx(3 * 24 * 3600, abs=1)]


def test_a_wait_that_was_in_vain_ends_in_time_over_a_kill():
    data = Disk()

    @asynccontextmanager
    async def disk():
        yield MemoryStore(data)

    app = App("trips")

    @app.workflow
    async def travel(trip: Trip, ctx: WorkflowContext) -> Itinerary:
        try:
            await ctx.wait_for("approval", timeout_s=3600)
        except TimedOut:
            return Itinerary(who="late", total=int(asyncio.get_running_loop().time()))
        raise AssertionError

    async def story():
        async def begin(it):
            await it.send(Trip(who="ada"), id="t1")
            await asyncio.sleep(1800)

        await killed(app, disk, begin)
        async with live(app, disk) as it:
            return await it.ask(Trip(who="ada"), Itinerary, id="t1", within_s=1e9)

    answer = run_virtually(story())
    assert answer.who == "late"
    assert answer.total == pytest.approx(3600, abs=1)


async def test_a_thousand_items_are_mapped(disk):
    executed = []
    app = booking(executed)

    @app.workflow
    async def travel(trip: Trip, ctx: WorkflowContext) -> Itinerary:
        legs = await ctx.map(lambda n: ctx.call("book", Leg(number=n + 100)), range(trip.stops), limit=40)
        return Itinerary(who=trip.who, total=len(legs))

    async with live(app, disk) as it:
        assert (await it.ask(Trip(who="ada", stops=1000), Itinerary, within_s=30)).total == 1000
    assert sorted(executed) == list(range(100, 1100))
