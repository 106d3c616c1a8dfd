"""Two workers, one key, inputs from both sides: strictly one after the other, and no update lost."""

import asyncio
from random import Random

import pytest

from penstock import App, Context, Event, testing
from penstock.errors import PenstockError
from penstock.testing import run_virtually

INPUTS = 12

pytestmark = pytest.mark.timeout(200)


class Add(Event, key="account"):
    account: str
    number: int


class Sum(Event, key="account"):
    account: str
    number: int
    total: int


class Bank:
    """An app whose handlers notice when they are not alone with their key."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.app = App("bank")
        self.app.agent(self.add)

    async def add(self, add: Add, ctx: Context) -> Sum:
        total = await ctx.values.get("total", 0)
        await asyncio.sleep(self.random.random() * 0.1)  # in which another one could read the same total
        await ctx.values.set("total", total + 1)
        return Sum(account=add.account, number=add.number, total=total + 1)


@pytest.mark.parametrize("seeds", [range(at, at + 50) for at in range(0, 200, 50)], ids=str)
def test_two_workers_with_inputs_for_one_key_lose_no_update(seeds):
    """langgraph-redis PR #79: two workers took inputs of one thread at once, and one overwrote the other's checkpoint."""

    async def worker(bank, disk, told):
        try:
            async with testing.app(bank.app, disk=disk) as live:
                for number in bank.random.sample(range(INPUTS), INPUTS):
                    added = Add(account="a", number=number)
                    answer = await live.ask(added, Sum, id=f"add-{number}")
                    assert told.setdefault(number, answer.total) == answer.total
                    await asyncio.sleep(bank.random.random() * 0.1)
        except PenstockError:
            pass  # the other one has taken over

    async def one(seed: int) -> None:
        disk, told = testing.Disk(), {}
        bank = Bank(Random(seed))
        while len(told) < INPUTS:  # whoever lost the claim comes back
            async with asyncio.TaskGroup() as workers:
                workers.create_task(worker(bank, disk, told))
                await asyncio.sleep(bank.random.random())
                workers.create_task(worker(bank, disk, told))
        assert sorted(told.values()) == list(range(1, INPUTS + 1)), f"seed {seed}: {told}"
        async with testing.app(bank.app, disk=disk) as live:
            await live.settled()
            totals = [each.total for each in await live.events(Sum)]
            assert totals == list(range(1, INPUTS + 1)), f"seed {seed}: {totals}"

    for seed in seeds:
        run_virtually(one(seed))
