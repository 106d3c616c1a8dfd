"""What is replaced in Milvus Lite is found meanwhile: by its own search it is missed now and then (bug bank: reads amid writes)."""

import asyncio
import secrets

import numpy as np
import pytest

from penstock.adapters.milvus.turns import Turns
from penstock.core.knowledge.filters import Equal
from penstock.core.knowledge.passages import Delete, Passage, Space, Upsert
from penstock.vector_stores import open_vectors

pytestmark = pytest.mark.timeout(180)

SPACE = Space("library")
SEARCHES = 60


async def test_a_document_that_is_replaced_all_the_time_is_in_every_answer(milvus):
    random = np.random.default_rng(1)
    vectors = random.standard_normal((600, 32)).astype("<f4")
    replaced, missing, begun = 0, 0, asyncio.Event()
    async with open_vectors(f"{milvus}?prefix=t{secrets.token_hex(6)}", {}) as index:
        await index.apply(
            [Upsert(SPACE, Passage(f"p{at}", "other"), vector.tobytes()) for at, vector in enumerate(vectors)]
        )

        async def replace():
            nonlocal replaced
            while True:
                new = Passage(f"x{replaced + 1}", "moving", {"document": "x"})
                await index.apply([Upsert(SPACE, new, vectors[0].tobytes())])
                replaced += 1
                begun.set()
                if replaced > 1:
                    await index.apply([Delete(SPACE, f"x{replaced - 1}")])

        writer = asyncio.ensure_future(replace())
        await begun.wait()
        for _ in range(SEARCHES):
            (hits,) = await index.nearest(SPACE, vectors[:1], limit=3, filter=Equal("document", "x"))
            missing += not hits
        writer.cancel()
    assert replaced > 3, "nothing was replaced meanwhile"
    assert missing == 0


async def test_who_writes_is_alone_and_comes_before_those_who_come_later():
    turns, told = Turns(), []
    first, second = asyncio.Event(), asyncio.Event()

    async def read(name, until):
        async with turns.beside():
            told.append(f"{name} reads")
            await until.wait()
        told.append(f"{name} has read")

    async def write():
        async with turns.alone():
            told.append("writes")
        told.append("has written")

    readers = [asyncio.ensure_future(read("a", first)), asyncio.ensure_future(read("b", first))]
    await asyncio.sleep(0)
    writer = asyncio.ensure_future(write())
    await asyncio.sleep(0)
    late = asyncio.ensure_future(read("c", second))
    await asyncio.sleep(0)
    assert told == ["a reads", "b reads"]
    first.set()
    second.set()
    await asyncio.gather(*readers, writer, late)
    assert told.index("writes") > told.index("b has read")
    assert told.index("c reads") > told.index("has written")


async def test_who_gives_up_waiting_leaves_the_turn_to_others():
    turns = Turns()
    async with turns.beside():
        writer = asyncio.ensure_future(_write(turns))
        await asyncio.sleep(0)
        writer.cancel()
        await asyncio.gather(writer, return_exceptions=True)
        async with turns.beside():
            pass
    await asyncio.wait_for(_write(turns), 5)


async def _write(turns):
    async with turns.alone():
        pass
