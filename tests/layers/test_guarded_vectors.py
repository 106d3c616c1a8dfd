"""Vectors outside are asked with a limit, and left alone while they do not answer."""

import asyncio
import logging

import numpy as np
import pytest

from penstock.adapters.memory.passages import MemoryPassages
from penstock.core.knowledge.passages import Space
from penstock.errors import NotLetIn, Refused, Unavailable
from penstock.layers.guarded_vectors import REST_S_MAX, GuardedVectors, Patience, open_guarded
from penstock.testing.flaky_vectors import FlakyVectors
from penstock.testing.vectors_contract import EAST, SPACE, VectorIndexContract, near, put, rows
from penstock.testing.virtual_time import VirtualClock, run_virtually

ANSWER_S = 3.0


class TestGuardedVectors(VectorIndexContract):
    @pytest.fixture
    async def index(self):
        async with open_guarded(MemoryPassages(), VirtualClock()) as guarded:
            yield guarded


def guarded(work):
    async def whole():
        inner = FlakyVectors(MemoryPassages())
        async with open_guarded(inner, VirtualClock(), Patience(answer_s=ANSWER_S)) as index:
            await index.apply([put("a", EAST)])
            await work(index, inner)

    run_virtually(whole())


def now():
    return asyncio.get_running_loop().time()


async def refused_after(index: GuardedVectors) -> float:
    began = now()
    with pytest.raises(Unavailable):
        await near(index, EAST)
    return now() - began


async def until_up(index: GuardedVectors):
    await asyncio.sleep(REST_S_MAX + ANSWER_S)
    assert not index.down


def test_who_is_not_let_in_any_more_hears_which_setting_and_writes_wait_for_it():
    async def work(index, inner):
        inner.condition = "locked"
        for _ in range(2):
            with pytest.raises(NotLetIn, match="set FLAKY_KEY"):
                await near(index, EAST)
        assert "FLAKY_KEY" in index.down
        writing = asyncio.ensure_future(index.apply([put("b", EAST)]))
        await asyncio.sleep(60)
        assert not writing.done()
        inner.condition = "up"
        await writing
        await until_up(index)
        assert await near(index, EAST) == ["a", "b"]

    guarded(work)


def test_only_those_who_ask_first_wait_and_nobody_for_longer_than_the_limit():
    async def work(index, inner):
        inner.condition = "silent"
        first = await asyncio.gather(*(refused_after(index) for _ in range(5)))
        assert first == [ANSWER_S] * 5
        for _ in range(100):
            assert await refused_after(index) == 0
            await asyncio.sleep(1)

    guarded(work)


def test_while_it_is_down_it_is_asked_ever_less_often_by_one_who_nobody_waits_for():
    async def work(index, inner):
        inner.condition = "down"
        await refused_after(index)
        asked = inner.calls
        await asyncio.sleep(100)
        assert 100 / REST_S_MAX < inner.calls - asked < 60
        for _ in range(50):
            await refused_after(index)
        assert inner.calls - asked < 60

    guarded(work)


def test_it_is_searched_again_soon_after_it_is_back_whether_or_not_anybody_asks():
    async def work(index, inner):
        for gone in ("down", "silent"):
            inner.condition = gone
            await refused_after(index)
            assert "did not answer" in index.down
            await asyncio.sleep(60)
            inner.condition = "up"
            await until_up(index)
            assert await near(index, EAST) == ["a"]

    guarded(work)


def test_a_write_waits_until_it_is_back_and_is_made_then():
    async def work(index, inner):
        inner.condition = "down"
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(index.apply([put("b", EAST)]))
            await asyncio.sleep(30)
            assert not writing.done()
            inner.condition = "up"
        assert await near(index, EAST) == ["a", "b"]

    guarded(work)


def test_a_write_that_waited_too_long_is_given_back():
    async def work(index, inner):
        inner.condition, began = "silent", now()
        with pytest.raises(Unavailable, match="write"):
            await index.apply([put("b", EAST)])
        assert now() - began == Patience().patience_s

    guarded(work)


def test_an_old_write_is_never_made_again_behind_a_newer_one():
    async def work(index, inner):
        inner.condition = "silent"
        with pytest.raises(Unavailable):
            await index.apply([put("a", EAST, text="old")])
        inner.condition = "up"
        await index.apply([put("a", EAST, text="new")])
        await asyncio.sleep(60)
        assert (await index.passages(SPACE, ["a"]))["a"].text == "new"

    guarded(work)


def test_going_and_coming_back_are_logged_once_each(caplog):
    async def work(index, inner):
        inner.condition = "down"
        for _ in range(20):
            await refused_after(index)
            await asyncio.sleep(1)
        inner.condition = "up"
        await until_up(index)
        await near(index, EAST)

    with caplog.at_level(logging.INFO, "penstock.knowledge"):
        guarded(work)
    assert [each.levelname for each in caplog.records] == ["WARNING", "INFO"]
    assert "go on by words" in caplog.text
    assert "answers again" in caplog.text


def test_a_refusal_is_an_answer():
    class Picky(MemoryPassages):
        async def nearest(self, *_, **__):
            raise Refused("no")

    async def whole():
        async with open_guarded(Picky(), VirtualClock()) as index:
            for _ in range(3):
                with pytest.raises(Refused):
                    await index.nearest(Space("x"), rows(EAST), limit=1)
            assert not index.down

    run_virtually(whole())


def test_leaving_ends_the_task_that_asks_again():
    async def whole():
        inner = FlakyVectors(MemoryPassages())
        async with open_guarded(inner, VirtualClock()) as index:
            inner.condition = "silent"
            with pytest.raises(Unavailable):
                await index.nearest(SPACE, np.ones((1, 3), np.float32), limit=1)
        assert len(asyncio.all_tasks()) == 1

    run_virtually(whole())


def test_an_index_that_takes_its_time_to_be_given_up_on_has_nobody_wait_for_that():
    class Clinging(MemoryPassages):
        async def nearest(self, *_, **__):
            try:
                await asyncio.sleep(1000)
            finally:
                await asyncio.sleep(20)

    async def whole():
        async with open_guarded(Clinging(), VirtualClock(), Patience(answer_s=ANSWER_S)) as index:
            assert await refused_after(index) == ANSWER_S

    run_virtually(whole())


def test_what_the_block_raises_comes_out_as_it_is_also_during_an_outage():
    async def whole():
        inner = FlakyVectors(MemoryPassages())
        inner.condition = "silent"
        async with open_guarded(inner, VirtualClock()) as index:
            await refused_after(index)
            raise Refused("no")

    with pytest.raises(Refused):
        run_virtually(whole())
