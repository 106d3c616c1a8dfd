"""`testing.app`: a whole app in one test, in no time, dying where the test says."""

import asyncio
from collections import Counter

import pytest

from penstock import App, Context, Event, Retry, WorkflowContext, testing
from penstock.errors import Fenced, RunFailed, Unavailable
from penstock.runtime.write_points import OF_ENGINES
from penstock.testing import WritePoint
from penstock.testing.fixtures import anyio_backend, disk

__all__ = ["anyio_backend", "disk"]


class Order(Event, key="customer"):
    customer: str
    number: int


class Receipt(Event, key="customer"):
    customer: str
    number: int
    total: int


class Trip(Event):
    number: int


class Arrived(Event):
    number: int
    total: int


class Shop:
    """An app with an outside of its own."""

    def __init__(self):
        self.charged = Counter()  # idempotency key -> calls
        self.app = App("shop")
        self.app.agent(retry=Retry(attempts_max=3, delay_s=20))(self.serve)
        self.app.workflow(self.travel)

    async def serve(self, order: Order, ctx: Context) -> Receipt:
        total = await ctx.values.get("total", 0) + 1
        await ctx.values.set("total", total)
        await ctx.step("charge", self.charge, ctx.idempotency_key("charge"))
        return Receipt(customer=order.customer, number=order.number, total=total)

    async def travel(self, trip: Trip, ctx: WorkflowContext) -> Arrived:
        await ctx.sleep(3600)
        receipt = await ctx.call("serve", Order(customer="t", number=trip.number))
        await ctx.step("charge", self.charge, ctx.idempotency_key("charge"))
        return Arrived(number=trip.number, total=receipt.total)

    async def charge(self, key):
        self.charged[key] += 1
        return True


@pytest.fixture
def shop():
    return Shop()


async def test_an_app_answers_in_memory(shop):
    async with testing.app(shop.app) as live:
        assert (await live.ask(Order(customer="a", number=1), Receipt)).total == 1
        assert [each.number for each in await live.events(Receipt)] == [1]
        assert [each.status for each in await live.runs("serve")] == ["succeeded"]
        assert await live.dead_letters() == []


async def test_waiting_takes_no_time(shop):
    before = asyncio.get_running_loop().time()
    async with testing.app(shop.app) as live:
        assert (await live.ask(Trip(number=1), Arrived, within_s=10_000)).total == 1
    assert asyncio.get_running_loop().time() - before >= 3600


# Those that come in the handling of one order by one process that had started before.
WITHIN = [point for point in OF_ENGINES if point not in ("before claim", "after claim", "while resuming")]


@pytest.mark.parametrize("point", WITHIN)
async def test_an_order_is_served_once_wherever_the_process_dies(shop, disk, point):
    order = Order(customer="a", number=1)
    async with testing.app(shop.app, disk=disk) as live, live.crash_at(point):
        await live.ask(order, Receipt, id="order-1")
    async with testing.app(shop.app, disk=disk) as live:
        assert (await live.ask(order, Receipt, id="order-1")).total == 1
        assert len(await live.events(Receipt)) == 1
    calls = shop.charged["order-1:serve/charge#0"]
    unknown = point in (WritePoint.AFTER_EFFECT, WritePoint.AFTER_RECORD, WritePoint.AFTER_HANDLING)
    assert calls == 2 if unknown else calls in (1, 2)
    assert list(shop.charged) == ["order-1:serve/charge#0"]


@pytest.mark.parametrize("point", WITHIN)
@pytest.mark.parametrize("nth", [1, 2])
async def test_a_workflow_ends_once_wherever_the_process_dies(shop, disk, point, nth):
    trip = Trip(number=1)
    async with testing.app(shop.app, disk=disk) as live:
        try:
            async with live.crash_at(point, nth):
                await live.ask(trip, Arrived, id="trip-1", within_s=10_000)
        except testing.NotReached:
            assert nth == 2
    async with testing.app(shop.app, disk=disk) as live:
        assert (await live.ask(trip, Arrived, id="trip-1", within_s=10_000)).total == 1
        assert len(await live.events(Arrived)) == len(await live.events(Order)) == 1
    assert len(shop.charged) == 2


async def test_a_process_dies_while_it_resumes_and_the_one_after_it_goes_on(shop, disk):
    async with testing.app(shop.app, disk=disk) as live, live.crash_at("after effect"):
        await live.send(Order(customer="a", number=1), id="order-1")
    await testing.crash_starting(shop.app, "while resuming", disk=disk)
    async with testing.app(shop.app, disk=disk) as live:
        await live.settled()
        assert len(await live.events(Receipt)) == 1


@pytest.mark.parametrize("point", OF_ENGINES)
async def test_a_process_dies_anywhere_on_its_way_up(shop, disk, point):
    async with testing.app(shop.app, disk=disk) as live, live.crash_at("after release"):
        await live.send(Order(customer="a", number=1), id="order-1")
    if point is WritePoint.AFTER_APPEND:
        with pytest.raises(testing.NotReached, match="reached were: before claim 1x, after claim 1x"):
            await testing.crash_starting(shop.app, point, disk=disk)
        return
    await testing.crash_starting(shop.app, point, disk=disk)
    async with testing.app(shop.app, disk=disk) as live:
        await live.settled()
        assert len(await live.events(Receipt)) == 1


async def test_nothing_is_written_after_the_death(shop, disk):
    async with testing.app(shop.app, disk=disk) as live:
        async with live.crash_at(WritePoint.AFTER_RECORD):
            await live.ask(Order(customer="a", number=1), Receipt, id="order-1")
        with pytest.raises(Unavailable):
            await live.send(Order(customer="a", number=2), id="order-2")
    assert set(disk.memory.ids) == {"order-1"}
    assert disk.memory.chunks == {}


async def test_a_place_that_is_not_reached_is_a_failure_of_the_test(shop):
    async with testing.app(shop.app) as live:
        with pytest.raises(testing.NotReached, match=r"'after effect'.* 2x; reached were: .*after effect 1x"):
            async with live.crash_at(WritePoint.AFTER_EFFECT, nth=2):
                await live.ask(Order(customer="a", number=1), Receipt)
        assert (await live.ask(Order(customer="a", number=2), Receipt)).total == 2  # it lives on


async def test_an_error_of_the_test_itself_is_not_hidden_by_a_crash(shop):
    async def failing():
        async with testing.app(shop.app) as live, live.crash_at("after effect"):
            await live.send(Order(customer="a", number=1))
            raise AssertionError("mine")

    with pytest.raises(AssertionError, match="mine"):
        await failing()


async def test_models_of_the_app_are_replaced_by_name_and_none_goes_over_the_network():
    app = App("asking")
    app.model("answerer", "openai:gpt-4.1-mini")

    @app.agent
    async def answer(order: Order, ctx: Context) -> Receipt:
        text = (await ctx.model("answerer").ask("How much?")).text
        return Receipt(customer=order.customer, number=order.number, total=int(text))

    async with testing.app(app, models={"answerer": testing.ScriptedModel(["42"])}) as live:
        assert (await live.ask(Order(customer="a", number=1), Receipt)).total == 42
    async with testing.app(app) as live:
        with pytest.raises(RunFailed, match="without the network"):
            await live.ask(Order(customer="a", number=1), Receipt)


async def test_retries_survive_a_crash_and_are_counted(disk):
    app, attempts = App("failing"), []

    @app.agent(retry=Retry(attempts_max=3, delay_s=20))
    async def fail(order: Order, ctx: Context) -> None:
        attempts.append(ctx.attempt)
        raise RuntimeError("no")

    async with testing.app(app, disk=disk) as live, live.crash_at("after commit", nth=2):
        await live.send(Order(customer="a", number=1))
    async with testing.app(app, disk=disk) as live:
        await live.settled()
        assert [each.attempts for each in await live.dead_letters()] == [3]
    assert attempts == [1, 2, 3]


async def test_what_stops_the_app_is_raised_at_the_end(shop, disk):
    async def rivals():
        async with testing.app(shop.app, disk=disk) as first, testing.app(shop.app, disk=disk):
            with pytest.raises(Fenced):
                await first.ask(Order(customer="a", number=1), Receipt)

    with pytest.raises(Fenced):
        await rivals()


def test_a_name_that_is_not_there_is_said():
    with pytest.raises(AttributeError, match="no attribute 'apps_'"):
        testing.apps_  # noqa: B018
    assert "crash_at" not in dir(testing)
    assert all(getattr(testing, name) for name in testing.__all__)


async def test_an_unknown_point_is_refused(shop):
    async with testing.app(shop.app) as live:
        with pytest.raises(ValueError, match="is not a valid WritePoint"):
            async with live.crash_at("after lunch"):
                pass
