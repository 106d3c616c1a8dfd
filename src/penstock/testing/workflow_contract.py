"""What workflow runs keep to, on any store. A store's tests inherit it beside `EngineContract`, with the same `disk`."""

import asyncio
from collections import Counter

import pytest

from penstock.core.agents.control import Cancel, Signal
from penstock.core.agents.flow import Concurrency, Flow, Rate
from penstock.errors import Diverged, RunFailed
from penstock.ports.state import RunFilter
from penstock.ports.store import Store
from penstock.runtime.engine import Engine
from penstock.runtime.workflow_context import WorkflowContext
from penstock.testing.engine_trial import Disk, Order, Receipt, engine_of, killed

WITHIN_S = 20.0


class WorkflowContract:
    """C1, C4, C6 and C9 of runs that wait."""

    async def test_c4_a_cancelled_run_cleans_up_over_a_kill_with_those_that_work_for_it(self, disk: Disk) -> None:
        undone: list[str] = []

        async def inner(_: Receipt, ctx: WorkflowContext) -> None:
            await ctx.wait_for("never")

        async def outer(order: Order, ctx: WorkflowContext) -> None:
            try:
                await ctx.call("inner", Receipt(customer=order.customer, number=order.number))
            finally:
                await ctx.step("undo", undone.append, order.customer)
                await ctx.wait_for("undone")

        async def cancel(engine: Engine) -> None:
            await engine.start("outer", Order(customer="a"), id="o")
            await until(engine, "inner", "running")
            await engine.send(Cancel(run_id="o:outer", reason="enough"))
            await until_recorded(engine, "o:outer", "undo#0")

        await killed(disk, inner, outer, do=cancel)
        async with engine_of(disk, inner, outer) as (engine, _):
            await engine.send(Signal(run_id="o:outer", name="undone"))
            with pytest.raises(RunFailed, match="enough"):
                await engine.result("o:outer", within_s=WITHIN_S)
            await until(engine, "inner", "cancelled")
        assert undone == ["a"]

    async def test_c1_signals_reach_a_run_once_and_in_order_over_kills(self, disk: Disk) -> None:
        async def collect(order: Order, ctx: WorkflowContext) -> list[int]:
            return [await ctx.wait_for("number", int) for _ in range(order.number)]

        async def signal(engine: Engine) -> None:
            await engine.start("collect", Order(customer="a", number=6), id="o")
            for number in range(3):
                await engine.send(Signal(run_id="o:collect", name="number", payload=number), id=f"s{number}")

        await killed(disk, collect, do=signal)
        async with engine_of(disk, collect) as (engine, _):
            for number in range(6):
                await engine.send(Signal(run_id="o:collect", name="number", payload=number), id=f"s{number}")
            assert await engine.result("o:collect", within_s=WITHIN_S) == b"[0,1,2,3,4,5]"

    async def test_c4_children_end_with_their_parent_or_are_left_alone(self, disk: Disk) -> None:
        async def child(receipt: Receipt, ctx: WorkflowContext) -> int:
            await ctx.wait_for("go")
            return receipt.number

        async def parent(_: Order, ctx: WorkflowContext) -> int:
            left = ctx.start("child", Receipt(customer="left", number=1), on_end="leave")
            ctx.start("child", Receipt(customer="ended", number=2))
            waited = ctx.start("child", Receipt(customer="waited", number=3))
            ctx.signal(waited.run_id, "go")
            assert left.run_id != waited.run_id
            return await waited.result()

        async with engine_of(disk, child, parent) as (engine, store):
            assert await engine.call("parent", Order(customer="a"), within_s=WITHIN_S) == b"3"
            await until(engine, "child", "cancelled")
            runs = await store.runs(RunFilter(agent="child"))
            assert {run.key: run.status for run in runs} == {
                "left": "running",
                "ended": "cancelled",
                "waited": "succeeded",
            }

    async def test_c9_rounds_keep_a_journal_bounded_over_a_kill(self, disk: Disk) -> None:
        effects: Counter[str] = Counter()
        rounds = 100

        async def count(order: Order, ctx: WorkflowContext) -> int:
            await ctx.step("note", effects.update, [ctx.idempotency_key("note")])
            if order.number == rounds // 2:
                await ctx.wait_for("go")
            if order.number < rounds:
                await ctx.continue_as(Order(customer=order.customer, number=order.number + 1))
            return order.number

        async def begin(engine: Engine) -> None:
            await engine.start("count", Order(customer="a"), id="o")
            await engine.send(Signal(run_id="o:count", name="other"))
            await engine.until(lambda: len(effects) > rounds // 2)
            await until_recorded(engine, "o:count", "note#0")

        await killed(disk, count, do=begin)
        async with engine_of(disk, count) as (engine, store):
            await engine.send(Signal(run_id="o:count", name="go"))
            assert await engine.result("o:count", within_s=WITHIN_S) == b"100"
            stored = await store.run("o:count")
        assert stored is not None
        assert [record.step for record in stored.records] == ["continued", "signal:other#0", "note#0"]
        assert (len(effects), set(effects.values())) == (rounds + 1, {1})

    async def test_c6_a_run_whose_name_is_gone_halts_and_goes_on_when_it_is_back(self, disk: Disk) -> None:
        async def wait(_: Order, ctx: WorkflowContext) -> str:
            return await ctx.wait_for("go", str)

        async def other(_: Order) -> None:
            return None

        async def begin(engine: Engine) -> None:
            await engine.start("wait", Order(customer="a"), id="o")
            await until(engine, "wait", "running")

        await killed(disk, wait, do=begin)
        async with engine_of(disk, other) as (engine, _):
            await engine.send(Signal(run_id="o:wait", name="go", payload="went"))
            await until(engine, "wait", "halted")
            assert await engine.settled(WITHIN_S)
            with pytest.raises(Diverged, match="no workflow 'wait' any more"):
                await engine.result("o:wait")
        async with engine_of(disk, wait, other) as (engine, _):
            assert await engine.result("o:wait", within_s=WITHIN_S) == b'"went"'

    async def test_c4_a_cancelled_handling_of_an_agent_has_no_other_attempt(self, disk: Disk) -> None:
        begun: list[int] = []

        async def slow(order: Order) -> None:
            begun.append(order.number)
            await asyncio.Event().wait()

        async with engine_of(disk, slow) as (engine, store):
            for number in range(2):
                await engine.send(Order(customer="a", number=number), id=f"o{number}")
            for number in (1, 0):
                await engine.send(Cancel(run_id=f"o{number}:slow", reason="enough"))
            assert await engine.settled(WITHIN_S)
            runs = await store.runs(RunFilter(agent="slow"))
            assert [(run.status, run.reason) for run in runs] == [("cancelled", "enough")] * 2
            assert not await store.dead_letters()
        assert begun in ([0], [0, 1])  # whichever cancellation was handled first, none was begun twice

    async def test_c9_no_more_runs_go_on_at_once_than_their_flow_says_over_a_kill(self, disk: Disk) -> None:
        flow = Flow(concurrency=(Concurrency(3), Concurrency(1, by="customer")), rate=Rate(1000, burst=1000))

        async def wait(order: Order, ctx: WorkflowContext) -> int:
            await ctx.wait_for("go")
            return order.number

        async def begin(engine: Engine) -> None:
            for number in range(8):
                await engine.send(Order(customer=f"c{number % 4}", number=number), id=f"o{number}")
            await until(engine, "wait", "running", 3)

        await killed(disk, wait, do=begin, flow=flow)
        ended: list[int] = []
        async with engine_of(disk, wait, flow=flow) as (engine, store):
            while len(ended) < 8:
                running = [run for run in await store.runs(RunFilter(agent="wait")) if run.status == "running"]
                assert len(running) <= 3
                assert len({run.key for run in running}) == len(running)
                for run in running:
                    await engine.send(Signal(run_id=run.run_id, name="go"))
                    ended.append(int(await engine.result(run.run_id, within_s=WITHIN_S)))
        assert sorted(ended) == list(range(8))


async def until(engine: Engine, agent: str, status: str, count: int = 1) -> None:
    """Wait until so many runs of an agent have a status."""
    store: Store = engine.parts.store
    async with asyncio.timeout(WITHIN_S):
        await engine.until(
            lambda: store.runs(RunFilter(agent=agent)), lambda runs: sum(run.status == status for run in runs) >= count
        )


async def until_recorded(engine: Engine, run_id: str, step: str) -> None:
    """Wait until a step of a run is durable."""
    async with asyncio.timeout(WITHIN_S):
        await engine.until(lambda: engine.run(run_id), lambda run: step in {record.step for record in run.records})
