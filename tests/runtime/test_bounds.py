"""What is kept in memory is bounded, and nobody's failure or waiting is another one's (C2, C9, C10)."""

import asyncio
from contextlib import nullcontext
from contextvars import ContextVar

import numpy as np
import pytest

from penstock.adapters.memory.passages import MemoryPassages
from penstock.adapters.memory.store import MemoryStore
from penstock.core.agents.declaration import Options, declare
from penstock.core.agents.policy import Retry
from penstock.core.knowledge.generations import begin
from penstock.ports.state import RunFilter
from penstock.runtime.collection import Collection, Index, Search
from penstock.runtime.context import Context
from penstock.runtime.deadlines import Deadlines
from penstock.runtime.engine import Parts, running
from penstock.runtime.generations import Generations
from penstock.runtime.models import Models, Prompts
from penstock.runtime.subscriptions import PAGE, WAITING_MAX
from penstock.runtime.tasks import Tasks
from penstock.runtime.topology import Topology
from penstock.testing.engine_trial import Order, Receipt, engine_of
from penstock.testing.virtual_time import VirtualClock, run_virtually

user: ContextVar[str] = ContextVar("user", default="nobody")


async def test_c9_a_flood_of_keys_waits_in_the_log():
    release = asyncio.Event()

    async def serve(order: Order) -> None:
        await release.wait()

    async with engine_of(lambda: nullcontext(MemoryStore()), serve) as (engine, _):
        for start in range(0, 20_000, 5000):
            await engine.send_many([Order(customer=str(start + number)) for number in range(5000)])
        (subscription,) = (each for each in engine.delivering.of("serve") if each.topic == "order")
        assert subscription.read_to <= WAITING_MAX + PAGE
        release.set()
        assert await engine.settled(30)
        assert subscription.progress.low == 20_000


async def test_c9_handlings_that_are_over_are_not_kept_for_one_that_takes_long():
    deadlines = Deadlines(60.0)

    async def handling() -> None:
        deadlines.watch().over = True

    first = deadlines.watch()
    for _ in range(1000):
        await asyncio.ensure_future(handling())
    assert len(deadlines) < 200
    assert not first.over


def test_c2_what_waits_for_another_attempt_since_an_earlier_life_takes_nobody_s_place():
    retry = Retry(attempts_max=3, delay_s=1000, factor=1, delay_max_s=1000)

    async def serve(order: Order) -> Receipt:
        if order.customer != "good":
            raise ValueError(order.number)
        return Receipt(customer=order.customer, number=order.number)

    async def lives() -> None:
        store = MemoryStore()
        agents = {"serve": declare(serve, "serve", Options(retry=retry))}
        parts = Parts("app", Topology(agents, [Receipt]), store, VirtualClock(), Models(_no_model, Prompts(None)))
        async with running(parts, owner="first") as engine:
            await engine.send_many([Order(customer=str(number)) for number in range(1100)])
            await asyncio.sleep(1)
        async with running(parts, owner="second") as engine:
            assert (await engine.ask(Order(customer="good", number=1), Receipt, within_s=5)).number == 1
            before_s = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - before_s < 1

    run_virtually(lives())


async def test_c10_what_a_handler_sets_for_itself_is_not_seen_by_the_next_one():
    seen: list[str] = []

    async def serve(order: Order, ctx: Context) -> Receipt:
        seen.append(user.get())
        user.set(f"{ctx.tenant}'s")
        await asyncio.sleep(0)
        return Receipt(customer=order.customer, number=order.number)

    async def notice(receipt: Receipt) -> None:
        seen.append(user.get())

    async with engine_of(lambda: nullcontext(MemoryStore()), serve, notice) as (engine, _):
        await engine.send_many([Order(customer="a", number=number) for number in range(3)])
        assert await engine.settled(5)
    assert set(seen) == {"nobody"}


class Broken:
    """An embedder that cannot cope with one text."""

    name, dims = "broken", 2

    async def embed(self, texts, *, purpose):
        if "bad" in texts:
            raise RuntimeError("index out of bounds")
        return np.ones((len(texts), 2), np.float32)


async def test_c6_a_search_that_breaks_the_embedder_fails_alone():
    passages = MemoryPassages()
    async with asyncio.TaskGroup() as group:
        index = Index(passages, passages, passages, in_store=False)
        generations = Generations("c", begin("default", Broken.name, now_ms=0), {1: Broken()}, stored=False)
        collection = Collection("c", index, generations, Tasks(group))
        with pytest.raises(RuntimeError, match="bounds"):
            await collection.search(Search("bad"))
        assert await collection.search(Search("good")) == []


async def test_c4_a_step_that_is_still_under_way_is_not_called_again_by_the_next_attempt():
    calls: list[int] = []

    async def charge(attempt: int) -> int:
        calls.append(attempt)
        await asyncio.sleep(0.1)
        return attempt

    async def fail() -> None:
        raise ValueError("beside it")

    async def serve(order: Order, ctx: Context) -> Receipt:
        if ctx.attempt == 1:
            await asyncio.gather(ctx.step("charge", charge, 1), fail())
        return Receipt(customer=order.customer, number=await ctx.step("charge", charge, ctx.attempt))

    async with engine_of(lambda: nullcontext(MemoryStore()), serve) as (engine, _):
        assert (await engine.ask(Order(customer="a"), Receipt, within_s=5)).number == 1
    assert calls == [1]


async def test_c4_what_an_attempt_left_behind_takes_no_number_of_the_next_one():
    numbers: list[str] = []
    late = asyncio.Event()
    left: list[asyncio.Task[object]] = []

    async def straggler(ctx: Context) -> object:
        await late.wait()
        return await ctx.step("charge", numbers.append, "straggler")

    async def serve(order: Order, ctx: Context) -> Receipt:
        if ctx.attempt == 1:
            left.append(asyncio.ensure_future(straggler(ctx)))
            raise ValueError("again")
        late.set()
        await asyncio.wait(left)
        numbers.append(ctx.idempotency_key("charge"))
        return Receipt(customer=order.customer, number=1)

    async with engine_of(lambda: nullcontext(MemoryStore()), serve) as (engine, _):
        await engine.ask(Order(customer="a"), Receipt, id="o1", within_s=5)
    assert numbers == ["o1:serve/charge#0"]
    assert left[0].exception() is not None


def _no_model(name: str):
    raise AssertionError(name)


async def test_a_batch_that_was_taken_apart_is_not_shown_as_one_that_will_be_tried_again():
    store = MemoryStore()

    async def serve(orders: list[Order]) -> None:
        if any(order.number == 3 for order in orders):
            raise ValueError("poison")

    async with engine_of(lambda: nullcontext(store), serve, batch=10) as (engine, _):
        await engine.send_many([Order(customer="a", number=number) for number in range(6)])
        assert await engine.settled(10)
    assert {run.status for run in await store.runs(RunFilter())} == {"succeeded", "failed"}


async def test_no_last_messages_are_none():
    async def serve(order: Order, ctx: Context) -> Receipt:
        await ctx.session.add("user", "hello")
        return Receipt(customer=order.customer, number=len(await ctx.session.history(last=0)))

    async with engine_of(lambda: nullcontext(MemoryStore()), serve) as (engine, _):
        assert (await engine.ask(Order(customer="a"), Receipt, within_s=5)).number == 0
