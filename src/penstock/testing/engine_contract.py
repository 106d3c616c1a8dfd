"""What an app may rely on, on any store: the guarantees C1 to C7 as tests. A store's tests inherit them and supply `disk`.

    class TestOnMyStore(EngineContract):
        @pytest.fixture
        def disk(self, tmp_path):
            return lambda: open_my_store(tmp_path)      # an async context manager; each call opens the same data

Each test names the guarantee that it checks.
"""

import asyncio

import pytest

from penstock.errors import Fenced, LimitReached, RunFailed, TimedOut
from penstock.ports.state import RunFilter
from penstock.ports.store import Store
from penstock.runtime.context import Context
from penstock.runtime.engine import Engine
from penstock.testing.engine_trial import Disk, Order, Receipt, Seen, engine_of, killed


class EngineContract:
    """C1 to C7 on one store."""

    async def test_c1_what_was_acknowledged_is_handled_after_a_kill(self, disk: Disk) -> None:
        async def stuck(order: Order) -> Receipt:
            await asyncio.Event().wait()
            raise AssertionError(order)

        async def send(engine: Engine) -> None:
            await engine.send(Order(customer="a", number=1), id="o1")

        await killed(disk, stuck, do=send)

        async def serve(order: Order) -> Receipt:
            return Receipt(customer=order.customer, number=order.number)

        async with engine_of(disk, serve) as (engine, _):
            assert (await engine.ask(Order(customer="a", number=1), Receipt, id="o1", within_s=5)).number == 1

    async def test_c1_an_answer_given_once_is_given_again_after_a_kill(self, disk: Disk) -> None:
        calls: list[int] = []

        async def serve(order: Order) -> Receipt:
            calls.append(order.number)
            return Receipt(customer=order.customer, number=order.number)

        async def ask(engine: Engine) -> None:
            await engine.ask(Order(customer="a", number=7), Receipt, id="o7", within_s=5)

        await killed(disk, serve, do=ask)
        async with engine_of(disk, serve) as (engine, _):
            assert (await engine.ask(Order(customer="a", number=7), Receipt, id="o7", within_s=5)).number == 7
            assert await engine.call("serve", Order(customer="a", number=7), id="o7", within_s=5)
        assert calls == [7]

    async def test_c2_events_of_one_key_are_handled_one_at_a_time_in_order(self, disk: Disk) -> None:
        seen: list[int] = []
        active = 0

        async def serve(order: Order) -> None:
            nonlocal active
            active += 1
            assert active == 1
            await asyncio.sleep(0.001 * (order.number % 3))
            seen.append(order.number)
            active -= 1

        async with engine_of(disk, serve) as (engine, _):
            for number in range(20):
                await engine.send(Order(customer="a", number=number))
            assert await engine.settled(10)
        assert seen == list(range(20))

    async def test_c2_a_slow_key_does_not_hold_back_the_others(self, disk: Disk) -> None:
        release = asyncio.Event()

        async def serve(order: Order) -> Receipt:
            if order.customer == "slow":
                await release.wait()
            return Receipt(customer=order.customer, number=order.number)

        async with engine_of(disk, serve) as (engine, store):
            await engine.send(Order(customer="slow"))
            for number in range(50):
                await engine.ask(Order(customer=f"c{number}", number=number), Receipt, within_s=5)
            progress = (await store.progress())["serve", "order", 0]
            assert progress.low == 0
            assert progress.above == [(2, 51)]
            release.set()
            assert await engine.settled(5)

    async def test_c2_a_failing_event_keeps_its_key_waiting_and_in_order(self, disk: Disk) -> None:
        seen: list[tuple[int, int]] = []

        async def serve(order: Order, ctx: Context) -> None:
            seen.append((order.number, ctx.attempt))
            if order.number == 0 and ctx.attempt < 3:
                raise RuntimeError("not yet")

        async with engine_of(disk, serve) as (engine, _):
            await engine.send(Order(customer="a", number=0))
            await engine.send(Order(customer="a", number=1))
            assert await engine.settled(10)
        assert seen == [(0, 1), (0, 2), (0, 3), (1, 1)]

    async def test_c3_a_failed_handling_leaves_nothing(self, disk: Disk) -> None:
        async def serve(order: Order, ctx: Context) -> None:
            await ctx.values.set("count", (await ctx.values.get("count", 0)) + 1)
            await ctx.session.add("user", "hello")
            ctx.emit(Receipt(customer=order.customer, number=order.number))
            raise RuntimeError("after all that")

        async with engine_of(disk, serve) as (engine, store):
            await engine.send(Order(customer="a"))
            assert await engine.settled(10)
            assert await store.values("default", "serve", "a") == {}
            assert not (await store.history("default", "a", now_ms=0)).messages
            assert await store.read("receipt", 0, after=0, limit=10) == []

    async def test_c3_what_a_handling_did_is_there_together_after_a_kill(self, disk: Disk) -> None:
        async def serve(order: Order, ctx: Context) -> Receipt:
            await ctx.values.set("count", (await ctx.values.get("count", 0)) + 1)
            await ctx.session.add("user", str(order.number))
            return Receipt(customer=order.customer, number=order.number)

        async def flood(engine: Engine) -> None:
            for number in range(10):
                await engine.send(Order(customer="a", number=number))

        await killed(disk, serve, do=flood)
        async with disk() as store:
            done = (await store.progress()).get(("serve", "order", 0))
            low = 0 if done is None else done.low
            receipts = await store.read("receipt", 0, after=0, limit=100)
            history = await store.history("default", "a", now_ms=0)
            assert len(receipts) == low
            assert history.number == low

    async def test_c4_a_recorded_step_is_not_executed_again(self, disk: Disk) -> None:
        executed: list[str] = []
        charged = asyncio.Event()

        def priced() -> int:
            executed.append("price")
            return 42

        async def serve(order: Order, ctx: Context) -> Receipt:
            price = await ctx.step("price", priced)
            await ctx.step("charge", executed.append, "charge")
            if not charged.is_set():
                charged.set()
                await asyncio.Event().wait()
            return Receipt(customer=order.customer, number=price)

        async def until_charged(engine: Engine) -> None:
            await engine.send(Order(customer="a"), id="o1")
            await charged.wait()
            await engine.services.committer.durable()

        await killed(disk, serve, do=until_charged)
        async with engine_of(disk, serve) as (engine, _):
            assert (await engine.ask(Order(customer="a"), Receipt, id="o1", within_s=5)).number == 42
        assert executed == ["price", "charge"]

    async def test_c4_steps_that_ran_before_a_failure_are_not_executed_by_the_next_attempt(self, disk: Disk) -> None:
        executed: list[int] = []

        def charge(number: int) -> int:
            executed.append(number)
            return number

        async def serve(order: Order, ctx: Context) -> Receipt:
            charged = [await ctx.step("charge", charge, number) for number in range(3)]
            if ctx.attempt == 1:
                raise RuntimeError("after the steps")
            return Receipt(customer=order.customer, number=sum(charged))

        async with engine_of(disk, serve) as (engine, _):
            assert (await engine.ask(Order(customer="a"), Receipt, within_s=5)).number == 3
        assert executed == [0, 1, 2]

    async def test_c4_an_idempotency_key_stays_the_same(self, disk: Disk) -> None:
        keys: list[str] = []

        async def serve(order: Order, ctx: Context) -> Receipt:
            keys.append(ctx.idempotency_key("charge"))
            if ctx.attempt < 3:
                raise RuntimeError("again")
            return Receipt(customer=order.customer, number=0)

        async with engine_of(disk, serve) as (engine, _):
            await engine.ask(Order(customer="a"), Receipt, id="o1", within_s=5)
        assert keys == ["o1:serve/charge#0"] * 3

    async def test_c5_a_worker_that_lost_its_claim_writes_nothing_and_stops(self, disk: Disk) -> None:
        async def serve(order: Order) -> Receipt:
            return Receipt(customer=order.customer, number=order.number)

        async def lose_the_claim() -> None:
            async with engine_of(disk, serve) as (engine, store):
                await engine.ask(Order(customer="a"), Receipt, within_s=5)
                await store.claim("rival")
                with pytest.raises(Fenced):
                    await engine.ask(Order(customer="a", number=2), Receipt, within_s=5)
                await asyncio.Event().wait()

        with pytest.raises(Fenced):
            await lose_the_claim()
        async with disk() as store:
            assert len(await store.read("receipt", 0, after=0, limit=10)) == 1

    async def test_c6_a_poisonous_event_ends_in_the_dead_letters_and_its_key_goes_on(self, disk: Disk) -> None:
        attempts: list[int] = []

        async def serve(order: Order, ctx: Context) -> Receipt:
            if order.number == 0:
                attempts.append(ctx.attempt)
                raise ValueError("poison")
            return Receipt(customer=order.customer, number=order.number)

        async with engine_of(disk, serve) as (engine, store):
            with pytest.raises(RunFailed, match="poison"):
                await engine.ask(Order(customer="a", number=0), Receipt, within_s=5)
            assert (await engine.ask(Order(customer="a", number=1), Receipt, within_s=5)).number == 1
            (letter,) = await store.dead_letters()
        assert attempts == [1, 2, 3]
        assert (letter.attempts, letter.agent, letter.reason) == (3, "serve", "ValueError: poison")

    async def test_c6_in_a_batch_a_poisonous_event_harms_only_itself(self, disk: Disk) -> None:
        handled: list[int] = []

        async def serve(orders: list[Order]) -> None:
            if any(order.number == 3 for order in orders):
                raise ValueError("poison")
            handled.extend(order.number for order in orders)

        async with engine_of(disk, serve, batch=10) as (engine, store):
            await engine.send_many([Order(customer="a", number=number) for number in range(6)])
            assert await engine.settled(10)
            (letter,) = await store.dead_letters()
        assert sorted(handled) == [0, 1, 2, 4, 5]
        assert letter.event.position.offset == 4

    async def test_c6_attempts_are_counted_over_a_kill(self, disk: Disk) -> None:
        attempts: list[int] = []
        twice = asyncio.Event()

        async def serve(order: Order, ctx: Context) -> Receipt:
            attempts.append(ctx.attempt)
            if len(attempts) == 2:
                twice.set()
            raise ValueError(order.number)

        async def until_two(engine: Engine) -> None:
            await engine.send(Order(customer="a"))
            await twice.wait()
            await engine.services.committer.durable()

        await killed(disk, serve, do=until_two)
        made = len(attempts)
        async with engine_of(disk, serve) as (engine, store):
            assert await engine.settled(10)
            assert [letter.attempts for letter in await store.dead_letters()] == [3]
        assert attempts[made:] == list(range(made + 1, 4)) or attempts[made:] == list(range(made, 4))

    async def test_c6_an_accepted_event_is_a_run_from_that_instant(self, disk: Disk) -> None:
        async def stuck(order: Order) -> None:
            await asyncio.Event().wait()
            raise AssertionError(order)

        async def send(engine: Engine) -> None:
            await engine.send(Order(customer="a"), id="o1")
            assert (await engine.run("o1:stuck")).change.status == "running"

        await killed(disk, stuck, do=send)
        async with disk() as store:
            stored = await store.run("o1:stuck")
        assert stored is not None
        assert stored.change.status == "queued"

    async def test_c7_an_effect_waits_until_its_cause_is_durable(self, disk: Disk) -> None:
        found: list[bool] = []

        async def serve(order: Order, ctx: Context) -> Receipt:
            await ctx.read("plan", lambda: order.number)
            await ctx.step("act", act, ctx)
            return Receipt(customer=order.customer, number=order.number)

        async def act(ctx: Context) -> None:
            stored = await stores[0].run(ctx.run_id)
            found.append(stored is not None and [record.step for record in stored.records] == ["plan#0"])

        stores: list[Store] = []
        async with engine_of(disk, serve) as (engine, store):
            stores.append(store)
            await asyncio.gather(*(engine.ask(Order(customer=f"c{n}"), Receipt, within_s=5) for n in range(10)))
        assert found == [True] * 10

    async def test_c7_a_reply_comes_after_its_events_are_durable(self, disk: Disk) -> None:
        async def serve(order: Order) -> Receipt:
            return Receipt(customer=order.customer, number=order.number)

        async def notice(receipt: Receipt) -> Seen:
            return Seen(customer=receipt.customer, number=receipt.number)

        async with engine_of(disk, serve, notice) as (engine, store):
            for number in range(20):
                await engine.ask(Order(customer="a", number=number), Seen, id=f"o{number}", within_s=5)
                types = [each.event.type for each in await store.origin(f"o{number}")]
                assert sorted(types) == ["Order.v1", "Receipt.v1", "Seen.v1"]

    async def test_c9_an_endless_chain_is_cut(self, disk: Disk) -> None:
        async def echo(order: Order) -> Order:
            return Order(customer=order.customer, number=order.number + 1)

        async with engine_of(disk, echo) as (engine, store):
            await engine.send(Order(customer="a"))
            assert await engine.settled(10)
            (letter,) = await store.dead_letters()
        assert letter.reason.startswith(LimitReached.__name__)

    async def test_c10_tenants_do_not_share_sessions_values_or_lanes(self, disk: Disk) -> None:
        async def serve(order: Order, ctx: Context) -> Receipt:
            count = (await ctx.values.get("count", 0)) + 1
            await ctx.values.set("count", count)
            await ctx.session.add("user", ctx.tenant)
            return Receipt(customer=order.customer, number=count)

        async with engine_of(disk, serve) as (engine, store):
            for tenant in ("a", "b", "a"):
                await engine.ask(Order(customer="same"), Receipt, tenant=tenant, within_s=5)
            assert len((await store.history("a", "same", now_ms=0)).messages) == 2
            assert len((await store.history("b", "same", now_ms=0)).messages) == 1
            assert [run.tenant for run in await store.runs(RunFilter(tenant="b"))] == ["b"]

    async def test_what_takes_too_long_is_told_and_goes_on(self, disk: Disk) -> None:
        release = asyncio.Event()

        async def serve(order: Order) -> Receipt:
            await release.wait()
            return Receipt(customer=order.customer, number=order.number)

        async with engine_of(disk, serve) as (engine, _):
            with pytest.raises(TimedOut):
                await engine.ask(Order(customer="a"), Receipt, id="o1", within_s=0.01)
            release.set()
            assert (await engine.ask(Order(customer="a"), Receipt, id="o1", within_s=5)).number == 0

    async def test_a_handler_that_hangs_is_ended_and_tried_again(self, disk: Disk) -> None:
        async def serve(order: Order, ctx: Context) -> Receipt:
            if ctx.attempt == 1:
                await asyncio.Event().wait()
            return Receipt(customer=order.customer, number=ctx.attempt)

        async with engine_of(disk, serve, timeout_s=0.05) as (engine, _):
            assert (await engine.ask(Order(customer="a"), Receipt, within_s=5)).number == 2

    async def test_more_than_fits_in_memory_waits_in_the_log(self, disk: Disk) -> None:
        handled = 0

        async def serve(orders: list[Order]) -> None:
            nonlocal handled
            handled += len(orders)
            await asyncio.sleep(0)

        async with engine_of(disk, serve, batch=500) as (engine, _):
            for _ in range(4):
                await engine.send_many([Order(customer="a", number=number) for number in range(5000)])
            assert await engine.settled(50)
        assert handled == 20_000
