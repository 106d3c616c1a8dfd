"""Workflows wait for events: by their class, a key and values of fields, over kills, in branches, each once."""

import asyncio

import pytest

from penstock import App, Context, Event, WorkflowContext, testing
from penstock.core.agents.control import EventHeard
from penstock.errors import Diverged, Invalid, RunFailed, TimedOut
from penstock.runtime.listeners import OWNER
from penstock.testing import WritePoint
from penstock.testing.apps import Disk, crash_starting
from penstock.testing.crashing import NotReached
from penstock.testing.fixtures import anyio_backend, disk

__all__ = ["anyio_backend", "disk"]


class Order(Event, key="who"):
    who: str
    number: int = 1


class Paid(Event, key="order"):
    order: int
    cents: int
    by: str = "card"


class Sale(Event):
    order: int


class Moved(Event):
    to: str


def rows(disk):
    """Who listens, as the store has it."""
    return {name for key, kept in disk.memory.values.items() if key[1] == OWNER for name in kept}


def waiting(**options):
    app = App("shop", events=[Paid])

    @app.workflow
    async def sell(order: Order, ctx: WorkflowContext) -> int:
        paid = await ctx.wait_for(Paid, match={"order": order.number}, **options)
        return paid.cents

    return app


async def test_an_event_reaches_the_run_that_waits_for_its_values_and_no_other(disk):
    async with testing.app(waiting(), disk=disk) as live:
        first = await live.start("sell", Order(who="ada", number=1))
        second = await live.start("sell", Order(who="bob", number=2))
        await live.settled()
        await live.send(Paid(order=2, cents=20))
        assert await live.result(second) == 20
        assert len(rows(disk)) == 1
        await live.send(Paid(order=3, cents=30))
        await live.send(Paid(order=1, cents=10), tenant="other")
        await live.settled()
        with pytest.raises(TimedOut):
            await live.result(first, within_s=1)
        await live.send(Paid(order=1, cents=10))
        assert await live.result(first) == 10
        assert rows(disk) == set()
        assert len(await live.events(EventHeard)) == 2  # no other event cost anything


async def test_an_event_reaches_all_who_wait_for_it_and_each_takes_one(disk):
    async with testing.app(waiting(), disk=disk) as live:
        runs = [await live.start("sell", Order(who=who, number=7)) for who in ("ada", "bob", "cleo")]
        await live.settled()
        await live.send(Paid(order=7, cents=5))
        await live.send(Paid(order=7, cents=6))
        assert [await live.result(run) for run in runs] == [5, 5, 5]


async def test_what_came_before_the_wait_is_not_taken_but_what_came_since_listening_began_is(disk):
    app = App("shop", events=[Paid, Moved])

    @app.workflow
    async def sell(order: Order, ctx: WorkflowContext) -> list[int]:
        payments = ctx.listen(Paid, key=str(order.number))
        await ctx.wait_for("go")
        taken = [(await payments.next()).cents, (await payments.next()).cents]
        payments.close()
        with pytest.raises(TimedOut, match=r"Paid\(key='1', order=1, by='cash'\)"):
            await ctx.wait_for(Paid, match={"order": 1, "by": "cash"}, timeout_s=5)
        return taken

    async with testing.app(app, disk=disk) as live:
        await live.send(Paid(order=1, cents=1))
        run = await live.start("sell", Order(who="ada"))
        await live.settled()
        await live.send(Paid(order=1, cents=2, by="cash"))
    async with testing.app(app, disk=disk) as live:
        await live.send(Paid(order=1, cents=3))
        await live.signal(run, "go")
        assert await live.result(run) == [2, 3]
        assert rows(disk) == set()


async def test_no_event_is_lost_between_two_that_a_listener_takes(disk):
    app = App("shop", events=[Moved])

    @app.workflow
    async def follow(order: Order, ctx: WorkflowContext) -> list[str]:
        moves, places = ctx.listen(Moved), []
        while len(places) < 20:
            places.append((await moves.next()).to)
            await ctx.sleep(1)
        return places

    async with testing.app(app, disk=disk) as live:
        run = await live.start("follow", Order(who="ada"))
        await live.settled()
        await live.engine.send_many([Moved(to=str(number)) for number in range(10)])
        await asyncio.sleep(3.5)
    async with testing.app(app, disk=disk) as live:
        await live.engine.send_many([Moved(to=str(number)) for number in range(10, 20)])
        assert await live.result(run) == [str(number) for number in range(20)]


async def test_several_waits_are_pending_at_once_in_branches_and_answered_in_any_order_over_a_kill(disk):
    app = App("shop", events=[Paid])

    @app.workflow
    async def sell(order: Order, ctx: WorkflowContext) -> list[int]:
        async def one(number):
            return (await ctx.wait_for(Paid, match={"order": number, "by": "card"})).cents

        both = await ctx.gather(one(1), one(2))
        return [*both, *await ctx.map(one, [3, 4, 5])]

    async with testing.app(app, disk=disk) as live:
        run = await live.start("sell", Order(who="ada"))
        await live.settled()
        await live.send(Paid(order=2, cents=2))
        await live.settled()
    async with testing.app(app, disk=disk) as live:
        await live.send(Paid(order=1, cents=9, by="cash"))
        await live.send(Paid(order=1, cents=1))
        await live.settled()
        await live.send(Paid(order=5, cents=5))
        await live.send(Paid(order=3, cents=3))
    async with testing.app(app, disk=disk) as live:
        await live.send(Paid(order=4, cents=4))
        assert await live.result(run) == [1, 2, 3, 4, 5]


async def test_the_branch_that_loses_listens_no_more(disk):
    app = App("shop", events=[Paid, Moved])

    @app.workflow
    async def sell(order: Order, ctx: WorkflowContext) -> list[str]:
        winner, moved = await ctx.first(ctx.wait_for(Paid, key="1"), ctx.wait_for(Moved))
        await ctx.wait_for("end")
        return [str(winner), moved.to]

    async with testing.app(app, disk=disk) as live:
        run = await live.start("sell", Order(who="ada"))
        await live.settled()
        assert len(rows(disk)) == 2
        await live.send(Moved(to="Rome"))
        await live.settled()
        assert rows(disk) == set()
    async with testing.app(app, disk=disk) as live:
        await live.signal(run, "end")
        assert await live.result(run) == ["1", "Rome"]


async def test_a_wait_ends_in_time_over_a_kill_and_takes_nothing_after_that(disk):
    async with testing.app(waiting(timeout_s=60), disk=disk) as live:
        run = await live.start("sell", Order(who="ada"))
        await asyncio.sleep(40)
    async with testing.app(waiting(timeout_s=60), disk=disk) as live:
        began_s = live.clock.monotonic_s()
        with pytest.raises(RunFailed, match="waiting for Paid"):
            await live.result(run, within_s=100)
        assert live.clock.monotonic_s() - began_s <= 21
        assert rows(disk) == set()
        await live.send(Paid(order=1, cents=1))
        await live.settled()
        assert await live.events(EventHeard) == []


async def test_a_run_that_is_cancelled_listens_no_more(disk):
    async with testing.app(waiting(), disk=disk) as live:
        run = await live.start("sell", Order(who="ada"))
        await live.settled()
        await live.cancel(run)
        with pytest.raises(RunFailed):
            await live.result(run)
        assert rows(disk) == set()
        await live.send(Paid(order=1, cents=1))
        await live.settled()
        assert [each.reason for each in await live.dead_letters()] == []


async def test_a_redriven_run_listens_again(disk):
    app = App("shop", events=[Paid, Moved])
    broken = True

    @app.workflow
    async def sell(order: Order, ctx: WorkflowContext) -> list[str]:
        moves = ctx.listen(Moved)
        paid = await ctx.wait_for(Paid, key="1")
        if broken:
            raise ValueError("not yet")
        return [str(paid.cents), (await moves.next()).to]

    async with testing.app(app, disk=disk) as live:
        run = await live.start("sell", Order(who="ada"))
        await live.settled()
        await live.send(Paid(order=1, cents=1))
        with pytest.raises(RunFailed, match="not yet"):
            await live.result(run)
        assert rows(disk) == set()
        broken = False
        await live.redrive(run)
        await live.settled()
        assert len(rows(disk)) == 1
        await live.send(Moved(to="Rome"))
        assert await live.result(run) == ["1", "Rome"]


async def test_a_kill_at_any_point_loses_no_event_and_takes_none_twice():
    app = App("shop", events=[Paid])

    @app.agent
    async def bill(sale: Sale, ctx: Context) -> list[Paid]:
        return [Paid(order=sale.order, cents=cents) for cents in (1, 2)]

    @app.workflow
    async def sell(order: Order, ctx: WorkflowContext) -> list[int]:
        payments = ctx.listen(Paid, match={"order": order.number})
        await ctx.call("bill", Sale(order=order.number))
        first = await payments.next()
        second = await ctx.first(payments.next(), ctx.sleep(1_000_000))
        return [first.cents, second[1].cents]

    died = 0
    for point in (
        WritePoint.BEFORE_COMMIT,
        WritePoint.AFTER_COMMIT,
        WritePoint.AFTER_HANDLING,
        WritePoint.AFTER_APPEND,
    ):
        nth = 1
        while True:
            disk = Disk()
            try:
                async with testing.app(app, disk=disk) as live, live.crash_at(point, nth):
                    await live.start("sell", Order(who="ada"), id="o1")
            except NotReached:
                break
            died += 1
            async with testing.app(app, disk=disk) as live:
                run = await live.start("sell", Order(who="ada"), id="o1")
                assert await live.result(run) == [1, 2]
                await live.settled()
                assert rows(disk) == set()
                assert await live.dead_letters() == []
            nth += 1
    assert died > 8


async def test_a_resumed_run_that_dies_again_while_it_resumes_still_listens(disk):
    async with testing.app(waiting(), disk=disk) as live:
        run = await live.start("sell", Order(who="ada"))
        await live.settled()
    for nth in range(1, 4):
        try:
            await crash_starting(waiting(), WritePoint.BEFORE_COMMIT, nth, disk=disk)
        except NotReached:
            break
    async with testing.app(waiting(), disk=disk) as live:
        await live.send(Paid(order=1, cents=1))
        assert await live.result(run) == 1


async def test_code_that_waits_for_something_else_halts_and_nothing_is_lost(disk):
    async with testing.app(waiting(), disk=disk) as live:
        run = await live.start("sell", Order(who="ada"))
        await live.settled()
    changed = App("shop", events=[Paid])

    @changed.workflow
    async def sell(order: Order, ctx: WorkflowContext) -> int:
        return (await ctx.wait_for(Paid, match={"order": order.number + 1})).cents

    async with testing.app(changed, disk=disk) as live:
        with pytest.raises(Diverged, match=r"waits for Paid\(key='1', order=1\), and the code now for Paid\(key='2'"):
            await live.result(run, within_s=5)
        await live.send(Paid(order=1, cents=4))
    async with testing.app(waiting(), disk=disk) as live:
        assert await live.result(run) == 4


async def test_an_event_that_older_code_set_a_timer_for_is_compared_and_read_as_the_newest_version(disk):
    class Bill(Event, version=1):
        number: int

    older = Bill
    async with testing.app(App("shop", events=[older]), disk=disk) as live:
        await live.send(older(number=5), after_s=50)
        await live.send(older(number=6), after_s=60)

    class Bill(Event, version=2):
        order: int

    @Bill.upcast(1)
    def named(data):
        return {"order": data["number"]}

    app = App("shop", events=[Bill])

    @app.workflow
    async def sell(order: Order, ctx: WorkflowContext) -> int:
        return (await ctx.wait_for(Bill, match={"order": order.number})).order

    async with testing.app(app, disk=disk) as live:
        run = await live.start("sell", Order(who="ada", number=6))
        assert await live.result(run, within_s=100) == 6
        assert len(await live.events(EventHeard)) == 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"match": {"ordre": 1, "cents": "much"}}, ["match.ordre", "one of order, cents, by", "match.cents"]),
        ({"match": {"order": 1}, "key": "2"}, ["key: is '2', and match.order says 1"]),
        ({"key": 7}, ["key: is 7"]),
    ],
)
async def test_what_cannot_be_waited_for_is_said_with_all_findings(options, told, disk):
    app = App("shop", events=[Paid])
    said = []

    @app.workflow
    async def sell(order: Order, ctx: WorkflowContext) -> int:
        with pytest.raises(Invalid) as caught:
            await ctx.wait_for(Paid, **options)
        said.append(str(caught.value))
        return 1

    async with testing.app(app, disk=disk) as live:
        assert await live.result(await live.start("sell", Order(who="ada"))) == 1
    for each in told:
        assert each in said[0]


async def test_ten_thousand_runs_that_wait_are_not_asked_one_by_one(disk):
    """An event costs one look, whoever waits: the comparison of a field happens once for all."""
    from penstock.core.agents.listening import Listening, ListeningIndex
    from penstock.core.events.envelope import Envelope

    index = ListeningIndex()
    for number in range(10_000):
        index.add(Listening(f"o{number}:sell", "~Paid~1", "t", "", "paid", "Paid", None, {"order": number}, once=True))
    looks = []

    class Seen(dict):
        def __getitem__(self, name):
            looks.append(name)
            return super().__getitem__(name)

    event = Envelope("e", "/", "Paid.v1", "", 0, b"", "t")
    found = index.hearing("paid", event, lambda: Seen(order=77, cents=1))
    assert [each.run_id for each in found] == ["o77:sell"]
    assert len(looks) <= 2
