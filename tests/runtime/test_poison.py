"""One event that is to blame ends in the dead letters, or is refused; the engine goes on (C6). On a store that encodes what it is given."""

import asyncio

import pytest

from penstock.adapters.sqlite.store import open_sqlite_store
from penstock.core.events.envelope import emitted_id
from penstock.errors import Invalid, LimitReached, Refused, RunFailed
from penstock.runtime.context import Context
from penstock.runtime.outcomes import RESULT_BYTES_MAX
from penstock.runtime.remembering import VALUE_BYTES_MAX
from penstock.testing.engine_trial import Order, Receipt, engine_of

HALF = "half \ud800"


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class Panic(BaseException):
    """As extension modules raise: no `Exception`, and no wish to end the process either."""


@pytest.fixture
def disk(tmp_path):
    return lambda: open_sqlite_store(tmp_path / "store.db")


async def reason_of(disk, trouble) -> str:
    """Return why event 0 died in whose handling `trouble` is awaited; the engine must go on, in this life and the next."""

    async def serve(order: Order, ctx: Context) -> Receipt:
        if order.number == 0:
            await trouble(ctx)
        return Receipt(customer=order.customer, number=order.number)

    async with engine_of(disk, serve) as (engine, store):
        with pytest.raises(RunFailed):
            await engine.ask(Order(customer="a", number=0), Receipt, within_s=5)
        assert (await engine.ask(Order(customer="a", number=1), Receipt, within_s=5)).number == 1
        (letter,) = await store.dead_letters()
    async with engine_of(disk, serve) as (engine, _):
        assert (await engine.ask(Order(customer="a", number=2), Receipt, within_s=5)).number == 2
    return letter.reason


async def test_c6_an_error_whose_message_is_half_a_character_is_a_reason_like_any_other(disk):
    async def trouble(ctx: Context) -> None:
        raise ValueError(HALF)

    assert (await reason_of(disk, trouble)).startswith("ValueError: half \\ud800")


async def test_c6_an_error_that_cannot_be_told_is_known_by_its_name(disk):
    async def trouble(ctx: Context) -> None:
        raise Unspeakable

    assert (await reason_of(disk, trouble)).startswith("Unspeakable")


async def test_c6_a_panic_of_an_extension_module_fails_the_attempt_only(disk):
    async def trouble(ctx: Context) -> None:
        raise Panic("index out of bounds")

    assert (await reason_of(disk, trouble)).startswith("Panic: index out of bounds")


async def test_c6_a_handler_that_cancels_its_own_task_fails_the_attempt_only(disk):
    async def trouble(ctx: Context) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    assert (await reason_of(disk, trouble)).startswith("CancelledError")


@pytest.mark.parametrize("name", [HALF, 5, ("a", "b"), ""])
async def test_c6_a_value_whose_name_cannot_be_stored_is_refused_where_it_is_set(disk, name):
    async def trouble(ctx: Context) -> None:
        await ctx.values.set(name, 1)

    assert "name" in await reason_of(disk, trouble)


async def test_c9_a_value_is_bounded(disk):
    async def trouble(ctx: Context) -> None:
        await ctx.values.set("big", b"0" * VALUE_BYTES_MAX)

    assert (await reason_of(disk, trouble)).startswith("LimitReached")


@pytest.mark.parametrize(
    ("role", "content"),
    [("user", HALF), ("user", None), ("user", object()), ("nobody", "hello"), ("user", "x" * 2**21)],
)
async def test_c6_a_message_that_cannot_be_stored_is_refused_where_it_is_added(disk, role, content):
    async def trouble(ctx: Context) -> None:
        await ctx.session.add(role, content)

    assert (await reason_of(disk, trouble)).startswith(("Refused", "LimitReached"))


async def test_c6_a_step_whose_name_cannot_be_stored_is_refused_before_it_begins(disk):
    executed: list[int] = []

    async def trouble(ctx: Context) -> None:
        await ctx.step(HALF, executed.append, 1)

    assert (await reason_of(disk, trouble)).startswith("Refused")
    assert executed == []


async def test_c9_what_a_handler_returns_is_bounded(disk):
    async def serve(order: Order) -> bytes | None:
        return b"0" * RESULT_BYTES_MAX if order.number == 0 else None

    async with engine_of(disk, serve) as (engine, store):
        with pytest.raises(RunFailed, match="LimitReached"):
            await engine.call("serve", Order(customer="a", number=0), within_s=10)
        await engine.call("serve", Order(customer="a", number=1), within_s=5)
        (letter,) = await store.dead_letters()
    assert letter.attempts == 1


async def test_c6_a_result_that_cannot_be_written_is_not_tried_again(disk):
    async def serve(order: Order) -> object:
        return {"text": HALF}

    async with engine_of(disk, serve) as (engine, store):
        with pytest.raises(RunFailed, match="Refused"):
            await engine.call("serve", Order(customer="a"), within_s=5)
        (letter,) = await store.dead_letters()
    assert letter.attempts == 1


@pytest.mark.parametrize(
    "given",
    [
        {"tenant": HALF},
        {"tenant": None},
        {"tenant": 5},
        {"tenant": "a/b"},
        {"tenant": ""},
        {"id": 5},
        {"id": HALF},
        {"id": ""},
        {"key": 5},
        {"id": "x" * 100_000},
    ],
)
async def test_c6_an_event_under_what_cannot_be_stored_is_refused_to_its_sender_only(disk, given):
    async def serve(order: Order) -> Receipt:
        return Receipt(customer=order.customer, number=order.number)

    async with engine_of(disk, serve) as (engine, _):
        with pytest.raises((Invalid, LimitReached, Refused), match=r"tenant|text|empty|length"):
            await engine.send(Order(customer="a"), **given)
        assert (await engine.ask(Order(customer="a", number=1), Receipt, within_s=5)).number == 1
    async with engine_of(disk, serve) as (engine, _):
        assert (await engine.ask(Order(customer="a", number=2), Receipt, within_s=5)).number == 2


async def test_c6_an_id_that_the_engine_is_about_to_give_is_refused_to_outsiders(disk):
    async def serve(order: Order) -> Receipt:
        return Receipt(customer=order.customer, number=order.number)

    coming = emitted_id("o1:serve", "o1", 0)
    async with engine_of(disk, serve) as (engine, _):
        with pytest.raises(Refused):
            await engine.send(Order(customer="b"), id=coming)
        assert (await engine.ask(Order(customer="a"), Receipt, id="o1", within_s=5)).number == 0
        assert await engine.send(Order(customer="b"), id=coming) == coming  # it is known by now: nothing is appended


async def test_c10_the_id_of_another_tenant_s_event_is_refused(disk):
    async def serve(order: Order) -> Receipt:
        return Receipt(customer=order.customer, number=order.number)

    async with engine_of(disk, serve) as (engine, _):
        await engine.ask(Order(customer="a", number=1), Receipt, id="o1", tenant="a", within_s=5)
        with pytest.raises(Refused):
            await engine.ask(Order(customer="a", number=2), Receipt, id="o1", tenant="b", within_s=5)


async def test_c10_a_key_with_a_slash_is_no_tenant(disk):
    keys: list[str] = []

    async def serve(order: Order, ctx: Context) -> Receipt:
        keys.append(ctx.key)
        return Receipt(customer=order.customer, number=order.number)

    async with engine_of(disk, serve) as (engine, _):
        await engine.ask(Order(customer="b/c"), Receipt, tenant="a", within_s=5)
    assert keys == ["b/c"]
