"""What steps that call tools may rely on, on any store (C4). A store's tests inherit them, and supply `disk`.

Each is tried in an agent and in a workflow.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from penstock.core.agents.attempts import OPEN
from penstock.core.agents.control import Decide
from penstock.core.agents.declaration import Handler
from penstock.core.agents.policy import Retry
from penstock.core.agents.tools import NOT_DONE, Attempt, Reconcile, Skip, tool
from penstock.errors import Missing, RunFailed
from penstock.ports.store import Store
from penstock.runtime.context import Context
from penstock.runtime.control import NAME as CONTROL_AGENT
from penstock.runtime.engine import Engine
from penstock.runtime.questions import questions_of
from penstock.runtime.suspects import DEATHS_MAX
from penstock.runtime.workflow_context import WorkflowContext
from penstock.testing.engine_trial import Disk, Order, Receipt, engine_of, killed

Body = Callable[[Any], Awaitable[int]]
Serving = Callable[[Body], Handler]
TOLD_S = 10


class Shop:
    """The outside: what was charged, by key. Where it hangs, the effect has happened, and nobody is told."""

    def __init__(self, wanted: int = 1) -> None:
        self.charged: list[str] = []
        self.asked: list[str] = []
        self.wanted = wanted  # charges, before it is killed
        self.reached = asyncio.Event()
        self.hangs = True

    async def charge(self, key: str, cents: int) -> int:
        self.charged.append(key)
        if self.hangs:
            if len(self.charged) == self.wanted:
                self.reached.set()
            await asyncio.Event().wait()
        return cents

    async def happened(self, key: str) -> Any:
        """Say what became of a charge."""
        self.asked.append(key)
        return 700 if key in self.charged else NOT_DONE

    async def until_charged(self, engine: Engine) -> None:
        """Send an order, and wait until its effect has happened."""
        await engine.send(Order(customer="a"), id="o1")
        await self.reached.wait()
        self.hangs = False


def in_agent(body: Body) -> Handler:
    async def serve(order: Order, ctx: Context) -> Receipt:
        return Receipt(customer=order.customer, number=await body(ctx))

    return serve


def in_workflow(body: Body) -> Handler:
    async def serve(order: Order, ctx: WorkflowContext) -> Receipt:
        return Receipt(customer=order.customer, number=await body(ctx))

    return serve


async def told(engine: Engine) -> int:
    """Return what order `o1` came to."""
    return (await engine.ask(Order(customer="a"), Receipt, id="o1", within_s=TOLD_S)).number


async def asked(engine: Engine, store: Store, count: int) -> list[str]:
    """Return the steps that wait for people, once there are so many."""
    found = await engine.until(lambda: questions_of(store), lambda found: len(found) >= count)
    return [each.step for each in found]


class StepContract:
    """C4 for tools, on one store."""

    @pytest.fixture(params=[in_agent, in_workflow])
    def serving(self, request: pytest.FixtureRequest) -> Serving:
        """How a body becomes the handler `serve`."""
        return request.param

    async def test_c4_with_retry_a_call_that_was_cut_off_is_made_again_with_its_key(
        self, disk: Disk, serving: Serving
    ) -> None:
        shop = Shop()

        @tool
        async def charge(cents: int, idempotency_key: str = "") -> int:
            return await shop.charge(idempotency_key, cents)

        serve = serving(lambda ctx: ctx.step("charge", charge, 5))
        await killed(disk, serve, do=shop.until_charged)
        async with engine_of(disk, serve) as (engine, store):
            assert await told(engine) == 5
            stored = await store.run("o1:serve")
        assert shop.charged == ["o1:serve/charge#0"] * 2
        assert stored is not None
        assert [record.step for record in stored.records] == ["charge#0"]  # nothing was written beforehand

    async def test_c4_with_skip_a_call_that_was_cut_off_is_never_made_again(self, disk: Disk, serving: Serving) -> None:
        shop = Shop()

        @tool(unknown=Skip(-1))
        async def charge(cents: int, idempotency_key: str = "") -> int:
            return await shop.charge(idempotency_key, cents)

        serve = serving(lambda ctx: ctx.step("charge", charge, 5))
        await killed(disk, serve, do=shop.until_charged)
        async with engine_of(disk, serve) as (engine, _):
            assert await told(engine) == -1
        assert shop.charged == ["o1:serve/charge#0"]

    async def test_c4_with_reconcile_the_function_says_what_happened(self, disk: Disk, serving: Serving) -> None:
        shop = Shop()

        @tool(unknown=Reconcile(shop.happened))
        async def charge(cents: int, idempotency_key: str = "") -> int:
            return await shop.charge(idempotency_key, cents)

        serve = serving(lambda ctx: ctx.step("charge", charge, 5))
        await killed(disk, serve, do=shop.until_charged)
        async with engine_of(disk, serve) as (engine, _):
            assert await told(engine) == 700
        assert (shop.charged, shop.asked) == (["o1:serve/charge#0"], ["o1:serve/charge#0"])

    async def test_c4_with_reconcile_what_did_not_happen_is_done(self, disk: Disk, serving: Serving) -> None:
        shop = Shop()

        @tool(unknown=Reconcile(shop.happened))
        async def charge(cents: int, idempotency_key: str = "") -> int:
            if shop.hangs:  # killed before anything happened
                shop.reached.set()
                await asyncio.Event().wait()
            return await shop.charge(idempotency_key, cents)

        serve = serving(lambda ctx: ctx.step("charge", charge, 5))
        await killed(disk, serve, do=shop.until_charged)
        async with engine_of(disk, serve) as (engine, _):
            assert await told(engine) == 5
        assert (shop.charged, shop.asked) == (["o1:serve/charge#0"], ["o1:serve/charge#0"])

    async def test_c4_a_tool_with_a_policy_is_called_when_its_mark_is_durable(
        self, disk: Disk, serving: Serving
    ) -> None:
        found: list[bool] = []

        @tool(unknown="ask")
        async def charge(attempt: Attempt = Attempt.alone) -> int:
            run_id, _, step = attempt.idempotency_key.rpartition("/")
            stored = await stores[0].run(run_id)
            found.append(stored is not None and f"{step}{OPEN}" in {record.step for record in stored.records})
            return 1

        stores: list[Store] = []
        async with engine_of(disk, serving(lambda ctx: ctx.step("charge", charge))) as (engine, store):
            stores.append(store)
            await told(engine)
        assert found == [True]

    async def test_c4_with_ask_a_person_decides_over_kills(self, disk: Disk, serving: Serving) -> None:
        shop = Shop()

        @tool(unknown="ask")
        async def charge(cents: int, idempotency_key: str = "") -> int:
            return await shop.charge(idempotency_key, cents)

        async def until_asked(engine: Engine) -> None:
            await engine.until(lambda: engine.services.questions.listed(limit=1))

        serve = serving(lambda ctx: ctx.step("charge", charge, 5))
        await killed(disk, serve, do=shop.until_charged)
        await killed(disk, serve, do=until_asked)
        async with engine_of(disk, serve) as (engine, store):
            assert await asked(engine, store, 1) == ["charge#0"]
            assert (await engine.run("o1:serve")).change.status == "asking"
            await engine.send(Decide(run_id="o1:serve", step="charge#0", outcome="done", value=9))
            assert await told(engine) == 9
            assert await questions_of(store) == []
        assert shop.charged == ["o1:serve/charge#0"]

    async def test_c4_several_questions_are_answered_in_any_order_over_a_kill(
        self, disk: Disk, serving: Serving
    ) -> None:
        shop = Shop(wanted=3)

        @tool(unknown="ask")
        async def charge(number: int, idempotency_key: str = "") -> int:
            return await shop.charge(idempotency_key, number)

        async def body(ctx: Any) -> int:
            gather: Any = ctx.gather if isinstance(ctx, WorkflowContext) else asyncio.gather
            return sum(await gather(*(ctx.step(f"charge{number}", charge, number) for number in range(3))))

        async def one_decided(engine: Engine) -> None:
            questions = engine.services.questions
            found = await engine.until(lambda: questions.listed(limit=10), lambda found: len(found) == 3)
            last = max(each.step for each in found)
            await engine.send(Decide(run_id="o1:serve", step=last, outcome="done", value=100))
            await engine.caught_up(CONTROL_AGENT)

        serve = serving(body)
        await killed(disk, serve, do=shop.until_charged)
        await killed(disk, serve, do=one_decided)
        async with engine_of(disk, serve) as (engine, store):
            second, first = sorted(await asked(engine, store, 2), reverse=True)
            await engine.send(Decide(run_id="o1:serve", step=second, outcome="retry"))
            await engine.send(Decide(run_id="o1:serve", step=first, outcome="done", value=10))
            assert await told(engine) == 111
        assert len(shop.charged) == 4

    async def test_c4_a_person_may_say_that_it_failed(self, disk: Disk, serving: Serving) -> None:
        shop = Shop()

        @tool(unknown="ask")
        async def charge(idempotency_key: str = "") -> int:
            return await shop.charge(idempotency_key, 5)

        serve = serving(lambda ctx: ctx.step("charge", charge))
        await killed(disk, serve, do=shop.until_charged)
        async with engine_of(disk, serve) as (engine, store):
            (step,) = await asked(engine, store, 1)
            await engine.send(Decide(run_id="o1:serve", step=step, outcome="fail", by="ada"))
            with pytest.raises(RunFailed, match="decided by ada"):
                await told(engine)
            with pytest.raises(Missing):
                await engine.services.questions.require_asked("default", "o1:serve", step)
            (letter,) = await store.dead_letters()
        assert (letter.attempts, len(shop.charged)) == (1, 1)

    async def test_c4_attempts_of_a_step_are_counted_over_a_kill_and_their_delay_is_honoured(
        self, disk: Disk, serving: Serving
    ) -> None:
        """Born from llama_index #20403: after a restart the retry came at once, and the count began anew."""
        numbers: list[int] = []
        failed = asyncio.Event()

        @tool(retry=Retry(attempts_max=3, delay_s=0.4, factor=1, delay_max_s=0.4))
        async def flaky(attempt: Attempt = Attempt.alone) -> int:
            numbers.append(attempt.number)
            failed.set()
            raise OSError("not now")

        async def until_failed(engine: Engine) -> None:
            await engine.send(Order(customer="a"), id="o1")
            await failed.wait()
            await asyncio.sleep(0)
            await engine.services.committer.durable()

        serve = serving(lambda ctx: ctx.step("flaky", flaky))
        await killed(disk, serve, do=until_failed)
        assert numbers == [1]
        async with engine_of(disk, serve) as (engine, store):
            stored = await store.run("o1:serve")
            assert stored is not None
            with pytest.raises(RunFailed, match="flaky#0 failed: OSError: not now"):
                await told(engine)
            assert len(await store.dead_letters()) == 1
        assert numbers == [1, 2, 3]

    async def test_c4_the_last_sign_of_life_reaches_the_attempt_after_a_kill(
        self, disk: Disk, serving: Serving
    ) -> None:
        seen: list[Any] = []
        reached = asyncio.Event()

        @tool
        async def copied(attempt: Attempt = Attempt.alone) -> int:
            seen.append(attempt.details)
            if attempt.details is not None:
                return attempt.details["row"]
            attempt.beat({"row": 41})
            reached.set()
            await asyncio.Event().wait()
            raise AssertionError(attempt)

        async def until_beaten(engine: Engine) -> None:
            await engine.send(Order(customer="a"), id="o1")
            await reached.wait()
            await engine.services.committer.durable()

        serve = serving(lambda ctx: ctx.step("copied", copied))
        await killed(disk, serve, do=until_beaten)
        async with engine_of(disk, serve) as (engine, store):
            assert await told(engine) == 41
            assert await store.values("default", ":steps", "o1:serve") == {}
        assert seen == [None, {"row": 41}]

    async def test_c6_an_event_that_kills_the_process_each_time_is_given_up(self, disk: Disk) -> None:
        """A poison message is bounded even when nobody survives it (zammad-ai #310)."""
        handled: list[int] = []
        deaths = 0
        reached = asyncio.Event()

        async def serve(order: Order) -> Receipt:
            if order.number == 0:
                reached.set()
                await asyncio.Event().wait()  # killed here
            handled.append(order.number)
            return Receipt(customer=order.customer, number=order.number)

        async def until_deadly(engine: Engine) -> None:
            if not deaths:
                await engine.send_many([Order(customer="a", number=number) for number in range(3)])
            waiting = [asyncio.ensure_future(each) for each in (reached.wait(), engine.settled(TOLD_S))]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for each in waiting:
                each.cancel()

        while not handled and deaths < 2 * DEATHS_MAX:
            reached.clear()
            await killed(disk, serve, do=until_deadly)
            deaths += 1
        async with engine_of(disk, serve) as (engine, store):
            assert await engine.settled(TOLD_S)
            (letter,) = await store.dead_letters()
            assert await store.values("default", ":steps", letter.run_id) == {}
        assert letter.reason == f"the process died {DEATHS_MAX} times while it was handled"
        assert sorted(set(handled)) == [1, 2]
        assert deaths == DEATHS_MAX + 2  # the first death is not counted: a write for each handling would be dear
