"""What runs that wait for events and people keep to, on any store. Tests inherit it, with the `disk` of `EngineContract`."""

import pytest

from penstock.core.knowledge.passages import DEFAULT_TENANT
from penstock.errors import Invalid, Missing, Refused
from penstock.ports.store import Store
from penstock.runtime.engine import Engine
from penstock.runtime.listeners import OWNER
from penstock.runtime.people import ForPeople
from penstock.runtime.workflow_context import WorkflowContext
from penstock.testing.engine_trial import Disk, Order, Receipt, Seen, engine_of, killed

PATIENCE_S = 10


class WaitingContract:
    """C1, C4 and C6 of workflow runs that wait."""

    async def test_c4_events_reach_those_who_wait_for_them_over_kills_and_no_others(self, disk: Disk) -> None:
        async def wait(order: Order, ctx: WorkflowContext) -> list[int]:
            receipts = ctx.listen(Receipt, match={"customer": order.customer})
            seen = await ctx.wait_for(Seen, match={"number": order.number})
            return [seen.number, (await receipts.next()).number, (await receipts.next()).number]

        async def begun(engine: Engine) -> None:
            for number in range(3):
                await engine.send(Order(customer=f"c{number}", number=number), id=f"o{number}")
            await engine.until(lambda: _listening(engine, 6))

        async def half(engine: Engine) -> None:
            for number in range(3):
                await engine.send(Receipt(customer=f"c{number}", number=10 + number))

        async def more(engine: Engine) -> None:
            await engine.send(Receipt(customer="c9", number=9))
            for number in (2, 0, 1):
                await engine.send(Seen(customer="any", number=number))

        await killed(disk, wait, do=begun)
        await killed(disk, wait, do=half)
        await killed(disk, wait, do=more)
        async with engine_of(disk, wait) as (engine, store):
            for number in range(3):
                await engine.send(Receipt(customer=f"c{number}", number=20 + number))
                result = await engine.result(f"o{number}:wait", within_s=PATIENCE_S)
                assert result == b"[%d,%d,%d]" % (number, 10 + number, 20 + number)
            assert await engine.settled(PATIENCE_S)
            assert await store.values(DEFAULT_TENANT, OWNER, "0") == {}
            assert await store.dead_letters() == []

    async def test_c4_approvals_are_answered_once_in_any_order_over_kills(self, disk: Disk) -> None:
        executed: list[int] = []

        async def ask(order: Order, ctx: WorkflowContext) -> list[int]:
            async def one(number: int) -> int:
                approval = await ctx.approval(f"number {number}", payload={"n": number}, to=int)
                await ctx.step("done", executed.append, number)
                assert approval.value is not None
                return approval.value

            return await ctx.map(one, range(order.number))

        answered: list[str] = []

        async def answer(engine: Engine, number: int) -> None:
            people = ForPeople(None, engine)
            await engine.until(lambda: _asked(people, f"number {number}"))
            (asked,) = [each for each in await people.approvals() if each.title == f"number {number}"]
            with pytest.raises(Invalid):
                await people.approve(asked.id, "many")
            await people.approve(asked.id, 10 + number, by="ada")
            with pytest.raises(Refused, match=f"approved with {10 + number} by ada"):
                await people.reject(asked.id)
            answered.append(asked.id)

        async def first(engine: Engine) -> None:
            await engine.send(Order(customer="ada", number=4), id="o1")
            await answer(engine, 2)

        async def second(engine: Engine) -> None:
            await answer(engine, 0)
            await answer(engine, 3)

        await killed(disk, ask, do=first)
        await killed(disk, ask, do=second)
        async with engine_of(disk, ask) as (engine, store):
            people = ForPeople(None, engine)
            with pytest.raises(Refused, match="answered already"):
                await people.approve(answered[0], 7)
            await answer(engine, 1)
            assert await engine.result("o1:ask", within_s=PATIENCE_S) == b"[10,11,12,13]"
            assert await people.approvals() == []
            assert await store.dead_letters() == []
        assert set(executed) == {0, 1, 2, 3}  # a kill may have cut one off between its effect and its record

    async def test_c4_what_is_not_waited_for_any_more_is_withdrawn(self, disk: Disk) -> None:
        async def ask(order: Order, ctx: WorkflowContext) -> int:
            winner, _ = await ctx.first(
                ctx.approval("loses"), ctx.wait_for(Seen, match={"number": 8}), ctx.wait_for(Receipt)
            )
            await ctx.wait_for("end")
            return winner + order.number

        async def lost(engine: Engine) -> None:
            await engine.send(Order(customer="ada"), id="o1")
            await engine.until(lambda: _asked(ForPeople(None, engine), "loses"))
            await engine.send(Receipt(customer="ada", number=1))
            await engine.until(lambda: _listening(engine, 0))

        await killed(disk, ask, do=lost)
        async with engine_of(disk, ask) as (engine, store):
            assert await ForPeople(None, engine).approvals() == []
            with pytest.raises(Refused, match="withdrawn"):
                await ForPeople(None, engine).approve("o1:ask/first#0[0]/approval#0")
            stored = await store.run("o1:ask")
            assert stored is not None
            assert stored.change.status == "running"

    async def test_c1_what_a_run_exposes_is_there_after_a_kill_and_after_its_end(self, disk: Disk) -> None:
        async def expose(order: Order, ctx: WorkflowContext) -> int:
            for number in range(order.number):
                ctx.expose("done", number + 1)
            await ctx.wait_for(Seen)
            ctx.expose("done", "all")
            return order.number

        async def begun(engine: Engine) -> None:
            await engine.send(Order(customer="ada", number=3), id="o1")
            await engine.until(lambda: _exposed(engine, 3))

        await killed(disk, expose, do=begun)
        async with engine_of(disk, expose) as (engine, _):
            people = ForPeople(None, engine)
            assert await people.query("o1:expose", "done", int) == 3
            with pytest.raises(Missing):
                await people.query("o1:expose", "done", tenant="other")
            await engine.send(Seen(customer="any", number=1))
            await engine.result("o1:expose", within_s=PATIENCE_S)
            assert await people.query("o1:expose", "done") == "all"
        async with engine_of(disk) as (engine, _):
            assert await ForPeople(None, engine).query("o1:expose", "done", str) == "all"


async def _listening(engine: Engine, count: int) -> bool:
    store: Store = engine.parts.store
    return len(await store.values(DEFAULT_TENANT, OWNER, "0")) == count


async def _asked(people: ForPeople, title: str) -> bool:
    return title in [each.title for each in await people.approvals()]


async def _exposed(engine: Engine, value: int) -> bool:
    try:
        return await ForPeople(None, engine).query("o1:expose", "done") == value
    except Missing:
        return False
