"""A state machine's run that dies at any write point goes on: what was durable of its history stays, and each effect counts once."""

import asyncio
from contextlib import suppress

import pytest

from penstock import App, Context, TaskFailed, TaskInput, testing
from penstock.core.agents.policy import Retry
from penstock.errors import Missing
from penstock.runtime.executions import history
from penstock.runtime.machine_tasks import TaskCall
from penstock.runtime.write_points import OF_ENGINES
from penstock.testing import WritePoint

STARTING = (WritePoint.BEFORE_CLAIM, WritePoint.AFTER_CLAIM, WritePoint.WHILE_RESUMING)
DYING = [each for each in OF_ENGINES if each not in STARTING]
TIMES_MAX = 60
PAY = {"Type": "Task", "Resource": "agent:pay"}
BACKOFF = [{"ErrorEquals": ["Pay.Busy"], "IntervalSeconds": 30, "BackoffRate": 2, "MaxAttempts": 5}]
ORDERS = {
    "StartAt": "Each",
    "States": {
        "Each": {
            "Type": "Map",
            "ItemsPath": "$.orders",
            "MaxConcurrency": 2,
            "ItemProcessor": {
                "StartAt": "Pay",
                "States": {
                    "Pay": {**PAY, "Retry": BACKOFF, "ResultPath": "$.paid", "Next": "Rest"},
                    "Rest": {"Type": "Wait", "SecondsPath": "$.rest", "End": True},
                },
            },
            "ResultPath": "$.paid",
            "Next": "Side by side",
        },
        "Side by side": {
            "Type": "Parallel",
            "Branches": [
                {"StartAt": "Long", "States": {"Long": {"Type": "Task", "Resource": "agent:long", "End": True}}},
                {"StartAt": "Out", "States": {"Out": {**PAY, "Parameters": {"id": "no"}, "End": True}}},
            ],
            "Catch": [{"ErrorEquals": ["Pay.Refused"], "ResultPath": "$.refused", "Next": "Post"}],
            "End": True,
        },
        "Post": {
            "Type": "Task",
            "Resource": "arn:aws:states:::post:send",
            "Parameters": {"to.$": "$.to"},
            "ResultPath": "$.post",
            "TimeoutSeconds": 3600,
            "Next": "Done",
        },
        "Done": {"Type": "Succeed", "OutputPath": "$.post"},
    },
}
INPUT = {"to": "ada", "orders": [{"id": "a", "rest": 5}, {"id": "busy", "rest": 1}, {"id": "c", "rest": 90}]}
EFFECTS = 6  # a, c, busy three times, and the post


class Shop:
    """What outlives the processes: what was done, by idempotency key, and how often."""

    def __init__(self):
        self.done = {}
        self.app = app = App("shop")
        once = Retry(attempts_max=1)

        @app.agent(retry=once)
        async def pay(given: TaskInput, ctx: Context) -> object:
            order = given.input["id"]
            if order == "no":
                raise TaskFailed("Pay.Refused", "no money")
            await ctx.step("take", self.do, order, ctx.idempotency_key("take"))
            if order == "busy" and sum(name == "busy" for name, _ in self.done) < 3:
                raise TaskFailed("Pay.Busy", "later")
            return {"order": order}

        @app.agent(retry=once)
        async def long(given: TaskInput, ctx: Context) -> object:
            await ctx.read("sleep", asyncio.sleep, 10_000)
            return given.input

        app.service("post:send", self.post)
        app.workflow("orders", definition=ORDERS)

    def do(self, name, key):
        self.done[name, key] = self.done.get((name, key), 0) + 1

    async def post(self, call: TaskCall):
        self.do("post", call.idempotency_key)
        return {"sent": call.arguments["to"]}


def types(events):
    return sorted(each["type"] for each in events)


@pytest.fixture
def shop():
    return Shop()


async def undisturbed():
    shop = Shop()
    async with testing.app(shop.app) as live:
        found = await live.machine("orders").start_sync(INPUT, name="one", within_s=1e6)
        return found, await live.machine("orders").history(found.run_id)


async def durable_history(disk):
    """What the store says of the run, as the dead process left it."""
    from penstock.adapters.memory.store import MemoryStore

    with suppress(Missing):
        return await history(MemoryStore(disk.memory), "orders~one:orders", "default")
    return []


async def test_undisturbed_it_does_each_thing_once_and_takes_its_time(shop):
    async with testing.app(shop.app) as live:
        found = await live.machine("orders").start_sync(INPUT, within_s=1e6)
        assert found.output == {"sent": "ada"}
        assert set(shop.done.values()) == {1}
        assert len(shop.done) == EFFECTS
        assert (
            95_000 <= found.ended_ms - found.started_ms <= 96_000
        )  # busy waits 30 s and 60 s, c 90 s from the fifth on
        assert [each.status for each in await live.runs("long")] == ["cancelled"]


@pytest.mark.parametrize("point", DYING)
async def test_a_run_that_dies_goes_on_with_the_history_that_was_durable(point):
    expected, events = await undisturbed()
    for nth in range(1, TIMES_MAX):
        shop, disk = Shop(), testing.Disk()
        try:
            async with testing.app(shop.app, disk=disk) as live, live.crash_at(point, nth):
                await live.machine("orders").start_sync(INPUT, name="one", within_s=1e6)
        except testing.NotReached:
            break
        before = await durable_history(disk)
        async with testing.app(shop.app, disk=disk) as live:
            door = live.machine("orders")
            found = await door.start_sync(INPUT, name="one", within_s=1e6)
            told = await door.history(found.run_id)
            await live.settled()
            assert [each.status for each in await live.runs("long")] == ["cancelled"]
        assert (found.status, found.output) == (expected.status, expected.output)
        assert told[: len(before)] == before
        assert types(told) == types(events)
        assert len(shop.done) == EFFECTS
        assert max(shop.done.values()) <= 2, "what was cut off between effect and record is done again, once"
        if point in (WritePoint.AFTER_COMMIT, WritePoint.AFTER_RELEASE):
            assert max(shop.done.values()) == 1
    assert nth > 1, "it died"


async def test_it_may_die_again_and_again_while_it_goes_on(disk, shop):
    expected, events = await undisturbed()
    async with testing.app(shop.app, disk=disk) as live, live.crash_at(WritePoint.AFTER_COMMIT, 3):
        await live.machine("orders").start_sync(INPUT, name="one", within_s=1e6)
    for _ in range(20):
        before = await durable_history(disk)
        try:
            await testing.crash_starting(shop.app, WritePoint.AFTER_COMMIT, 4, disk=disk)
        except testing.NotReached:
            break
        assert (await durable_history(disk))[: len(before)] == before
    async with testing.app(shop.app, disk=disk) as live:
        door = live.machine("orders")
        found = await door.start_sync(INPUT, name="one", within_s=1e6)
        assert (found.status, found.output) == (expected.status, expected.output)
        assert types(await door.history(found.run_id)) == types(events)
    assert len(shop.done) == EFFECTS
