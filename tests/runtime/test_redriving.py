"""Dead letters that are tried again, from their journal, or dropped: once, in order, whatever crashes (C6)."""

import asyncio
from collections import Counter

import pytest

from penstock import App, Context, Event, Retry, WorkflowContext, tool
from penstock.adapters.sqlite.store import open_sqlite_store
from penstock.errors import Invalid, LimitReached, Missing, RunFailed
from penstock.ports.state import DeadFilter
from penstock.runtime.asking_again import LETTERS_MAX, Signature
from penstock.testing import PACES, PacedClock

ANN = Signature("ann", "the bank is back")


class Order(Event, key="customer"):
    customer: str
    number: int = 0


class Paid(Event, key="customer"):
    customer: str
    number: int


class Trip(Event):
    name: str


def has_succeeded(run):
    return run.change.status == "succeeded"


class Shop:
    """An app whose agent fails as long as it is told to, and what happened outside."""

    def __init__(self, clock):
        self.clock = clock
        self.closed = True
        self.effects = Counter()
        self.handled = []
        self.looked = 0
        self.app = app = App("shop")

        @app.agent(retry=Retry(attempts_max=2, delay_s=0.001))
        async def pay(order: Order, ctx: Context) -> Paid:
            await ctx.read("look", self.look)
            await ctx.step("charge", self.charge, ctx.idempotency_key("charge"))
            if self.closed and order.number < 10:
                raise ValueError(f"the bank is closed ({order.number})")
            self.handled.append((order.number, ctx.attempt))
            await ctx.values.set("last", order.number)
            return Paid(customer=order.customer, number=order.number)

        @app.workflow
        async def travel(trip: Trip, ctx: WorkflowContext) -> str:
            await ctx.step("book", self.charge, ctx.idempotency_key("book"))
            paid = await ctx.call("pay", Order(customer=trip.name, number=1))
            return f"{trip.name} {paid.number}"

    def look(self):
        self.looked += 1

    def charge(self, key):
        self.effects[key] += 1

    def running(self, path="memory:"):
        return self.app.running(store=path if path == "memory:" else f"sqlite:{path}", clock=self.clock)


@pytest.fixture(params=PACES)
def shop(request):
    return Shop(PacedClock(request.param))


async def died(live, *numbers, customer="a"):
    """Send orders, and wait until all have ended."""
    for number in numbers:
        await live.send(Order(customer=customer, number=number), id=f"o{number}")
    assert await live.engine.settled(10)


async def test_c6_a_redriven_run_goes_on_from_its_journal_with_a_fresh_budget(shop):
    async with shop.running() as live:
        await died(live, 1)
        shop.closed = False
        assert await live.redrive("o1:pay", signed=ANN) == ["o1:pay"]
        assert await live.engine.settled(10)
        stored = await live.engine.run("o1:pay")
        assert await live.dead_letters() == []
        events = [each.event.type for each in await live.engine.parts.store.origin("o1")]
    assert shop.handled == [(1, 1)]
    assert (shop.looked, shop.effects) == (1, {"o1:pay/charge#0": 1})
    assert (stored.change.status, [each.step for each in stored.records]) == ("succeeded", ["look#0", "charge#0"])
    assert events == ["Order.v1", "Paid.v1"]


async def test_c6_a_fresh_redrive_executes_its_steps_again_with_the_same_keys(shop):
    async with shop.running() as live:
        await died(live, 1)
        shop.closed = False
        await live.redrive("o1:pay", fresh=True)
        assert await live.engine.settled(10)
    assert (shop.looked, shop.effects) == (2, {"o1:pay/charge#0": 2})


async def test_c6_a_redriven_run_has_new_attempts_at_its_tools_too(shop):
    calls = Counter()

    @tool(retry=Retry(attempts_max=2, delay_s=0.001), unknown="ask")
    def ship(number):
        calls[number] += 1
        if shop.closed:
            raise ValueError("no lorry")
        return number

    @shop.app.agent(retry=Retry(attempts_max=1))
    async def deliver(trip: Trip, ctx: Context) -> int:
        return await ctx.step("ship", ship, 7)

    async with shop.running() as live:
        with pytest.raises(RunFailed):
            await live.call("deliver", Trip(name="t"), id="t1", within_s=5)
        assert calls == {7: 2}
        shop.closed = False
        await live.redrive("t1:deliver")
        assert await live.engine.settled(10)
        assert (await live.engine.run("t1:deliver")).change.status == "succeeded"
    assert calls == {7: 3}


async def test_c6_who_fails_again_is_a_dead_letter_again(shop):
    async with shop.running() as live:
        await died(live, 1)
        (before,) = await live.dead_letters()
        await live.redrive("o1:pay", signed=ANN)
        assert await live.engine.settled(10)
        (letter,) = await live.dead_letters()
        assert (letter.attempts, letter.run_id) == (2, "o1:pay")
        assert letter.event == before.event
        shop.closed = False
        await live.redrive("o1:pay")
        assert await live.engine.settled(10)
        assert await live.dead_letters() == []
    assert shop.effects == {"o1:pay/charge#0": 1}


async def test_c6_asked_for_many_times_a_letter_is_redriven_once(shop):
    async with shop.running() as live:
        await died(live, 1, 2, 3)
        shop.closed = False
        await asyncio.gather(*(live.redrive(DeadFilter(agent="pay")) for _ in range(5)))
        assert await live.engine.settled(10)
        assert await live.dead_letters() == []
    assert sorted(shop.handled) == [(1, 1), (2, 1), (3, 1)]
    assert set(shop.effects.values()) == {1}


async def test_c2_a_redriven_event_comes_after_those_that_wait_for_its_key(shop):
    gate, began = asyncio.Event(), asyncio.Event()
    async with shop.running() as live:
        await died(live, 1)
        shop.closed = False

        async def look():
            began.set()
            await gate.wait()

        shop.look = look
        for number in (11, 12):
            await live.send(Order(customer="a", number=number))
        await began.wait()
        await live.redrive("o1:pay")
        await live.engine.until(live.dead_letters, lambda letters: not letters)
        gate.set()
        assert await live.engine.settled(10)
    assert [number for number, _ in shop.handled] == [11, 12, 1]


async def test_letters_are_redriven_by_filter_and_the_others_stay(shop):
    async with shop.running() as live:
        await died(live, 1, 2)
        await live.send(Order(customer="b", number=3), id="o3", tenant="other")
        assert await live.engine.settled(10)
        shop.closed = False
        assert await live.redrive(DeadFilter(reason="CLOSED (2)")) == ["o2:pay"]
        assert await live.redrive(DeadFilter(tenant="other")) == ["o3:pay"]
        assert await live.engine.settled(10)
        assert [letter.run_id for letter in await live.dead_letters()] == ["o1:pay"]


async def test_an_edited_event_is_a_new_run_in_the_place_of_the_letter(shop):
    async with shop.running() as live:
        await died(live, 1)
        (run,) = await live.redrive("o1:pay", event=Order(customer="a", number=21), signed=ANN)
        assert await live.engine.settled(10)
        stored, parent = await live.engine.run(run), await live.engine.run("o1:pay")
        assert await live.dead_letters() == []
    assert (stored.change.status, run.endswith(":pay"), run != "o1:pay") == ("succeeded", True, True)
    assert parent.change.status == "failed"
    assert parent.change.reason.startswith(f"redriven as {run} by ann: the bank is back (it had failed: ValueError")
    assert shop.handled == [(21, 1)]


async def test_a_dropped_letter_says_by_whom_and_why(shop):
    async with shop.running() as live:
        await died(live, 1, 2)
        assert await live.drop("o1:pay", signed=Signature("ann", "a test order")) == ["o1:pay"]
        assert await live.engine.settled(10)
        stored = await live.engine.run("o1:pay")
        assert [letter.run_id for letter in await live.dead_letters()] == ["o2:pay"]
        with pytest.raises(Missing):
            await live.redrive("o1:pay")
    assert stored.change.status == "failed"
    assert stored.change.reason.startswith(
        "dropped by ann: a test order (it had failed: ValueError: the bank is closed"
    )
    assert [each.step for each in stored.records] == ["look#0", "charge#0"]


async def test_whoever_comes_second_of_a_drop_and_a_redrive_finds_nothing_to_do(shop):
    async with shop.running() as live:
        await died(live, 1)
        shop.closed = False
        await asyncio.gather(live.drop("o1:pay"), live.redrive("o1:pay"))
        assert await live.engine.settled(10)
        assert await live.dead_letters() == []
        status = (await live.engine.run("o1:pay")).change.status
    assert (status, shop.handled) in [("failed", []), ("succeeded", [(1, 1)])]


async def test_what_cannot_be_redriven_is_refused_with_all_findings(shop):
    async with shop.running() as live:
        await died(live, 1)
        with pytest.raises(RunFailed):
            await live.call("travel", Trip(name="t"), id="t1", within_s=5)
        with pytest.raises(Missing, match="o8:pay, o9:pay"):
            await live.redrive("o8:pay", "o9:pay")
        with pytest.raises(Missing):
            await live.redrive("o1:pay", tenant="other")
        with pytest.raises(Invalid, match="t1:travel"):
            await live.redrive("t1:travel", fresh=True)
        assert len(await live.dead_letters()) == 3


async def test_c9_one_call_deals_with_so_many_letters(shop):
    async with shop.running() as live:
        with pytest.raises(Missing):
            await live.redrive(*("x:pay" for _ in range(LETTERS_MAX)))
        with pytest.raises(LimitReached):
            await live.redrive(*("x:pay" for _ in range(LETTERS_MAX + 1)))


async def test_c6_a_failed_workflow_goes_on_from_its_journal_with_what_it_failed_of(shop):
    async with shop.running() as live:
        with pytest.raises(RunFailed):
            await live.call("travel", Trip(name="t"), id="t1", within_s=5)
        shop.closed = False
        assert await live.redrive("t1:travel", signed=ANN) == ["t1:travel"]
        stored = await live.engine.until(lambda: live.engine.run("t1:travel"), has_succeeded)
        assert await live.engine.settled(10)
        assert await live.dead_letters() == []
    assert stored.change.result == b'"t 1"'
    assert set(shop.effects.values()) == {1}, "nothing was charged or booked twice"


async def test_c6_a_workflow_whose_agent_was_redriven_before_it_gets_its_answer(shop):
    async with shop.running() as live:
        with pytest.raises(RunFailed):
            await live.call("travel", Trip(name="t"), id="t1", within_s=5)
        shop.closed = False
        (child,) = [each.run_id for each in await live.dead_letters() if each.agent == "pay"]
        await live.redrive(child)
        assert await live.engine.settled(10)
        await live.redrive("t1:travel")
        await live.engine.until(lambda: live.engine.run("t1:travel"), has_succeeded)


async def test_c6_a_redrive_survives_a_kill_before_it_is_handled(shop, tmp_path):
    path = tmp_path / "shop.db"
    async with shop.running(path) as live:
        await died(live, 1)
    handling = asyncio.Event()

    async def stuck():
        handling.set()
        await asyncio.Event().wait()

    async def life():
        async with shop.running(path) as live:
            shop.look = stuck
            await live.redrive("o1:pay", fresh=True)
            await asyncio.Event().wait()

    process = asyncio.ensure_future(life())
    await handling.wait()
    process.cancel()
    await asyncio.gather(process, return_exceptions=True)
    shop.closed, shop.look = False, lambda: None
    async with open_sqlite_store(path) as store:
        stored = await store.run("o1:pay")
        assert (stored.change.status, stored.change.attempt) == ("retrying", 0)
        assert await store.dead_letters() == []
    async with shop.running(path) as live:
        assert await live.engine.settled(10)
        assert (await live.engine.run("o1:pay")).change.status == "succeeded"
    assert shop.handled == [(1, 1)]


async def test_c6_a_large_value_that_was_recorded_is_there_after_a_redrive(shop, tmp_path):
    shop.look = lambda: "x" * 200_000

    @shop.app.agent(retry=Retry(attempts_max=1))
    async def weigh(trip: Trip, ctx: Context) -> int:
        seen = await ctx.read("look", shop.look)
        if shop.closed:
            raise ValueError("closed")
        return len(seen)

    async with shop.running(tmp_path / "shop.db") as live:
        with pytest.raises(RunFailed):
            await live.call("weigh", Trip(name="t"), id="t1", within_s=5)
        shop.closed, shop.look = False, lambda: ""
        for _ in range(2):
            await live.redrive(*[each.run_id for each in await live.dead_letters() if each.agent == "weigh"])
            assert await live.engine.settled(10)
        assert (await live.engine.run("t1:weigh")).change.result == b"200000"
    async with shop.running(tmp_path / "shop.db") as live:
        assert len(bytes((await live.engine.run("t1:weigh")).records[0].value)) > 200_000
