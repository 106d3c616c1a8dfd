"""Vectors in an HNSW graph: nothing acknowledged is lost with the process or the graph's file, and filters stay exact."""

import multiprocessing
import os
import signal

import numpy as np
import pytest

from penstock.core.knowledge.filters import Equal, In, Not
from penstock.core.knowledge.passages import Delete, Space
from penstock.errors import Invalid, Refused
from penstock.testing.vectors_contract import EAST, NORTH, SPACE, near, put, rows
from penstock.vector_stores import open_vectors

COUNT, DIMS = 1_500, 16
OTHER = Space(SPACE.collection, "other")


def opened(folder, options="?graph=2"):
    return open_vectors(f"usearch:{folder}/vectors{options}", {})


def cloud(count=COUNT, seed=1):
    return np.random.default_rng(seed).standard_normal((count, DIMS)).astype(np.float32)


def writes(vectors, space=SPACE):
    return [
        put(
            f"{number:05}",
            tuple(map(float, vector)),
            space,
            metadata={"third": str(number % 3), "rare": str(number % 250)},
        )
        for number, vector in enumerate(vectors)
    ]


def best(vectors, query, chosen, limit=10):
    cosines = vectors @ query / np.linalg.norm(vectors, axis=1)
    return [f"{number:05}" for number in np.argsort(-cosines) if chosen(int(number))][:limit]


@pytest.fixture
def vectors():
    return cloud()


@pytest.fixture
async def filled(tmp_path, vectors):
    async with opened(tmp_path) as index:
        await index.apply(writes(vectors))
        await index.apply(writes(vectors[:20], OTHER))
        yield index


async def recall(index, vectors, chosen=lambda _: True, filter=None):
    queries = cloud(20, seed=2)
    found = await index.nearest(SPACE, queries, limit=10, filter=filter)
    wanted = [best(vectors, query, chosen) for query in queries]
    hits = sum(len({hit.id for hit in each} & set(ids)) for each, ids in zip(found, wanted, strict=True))
    return hits / sum(map(len, wanted))


async def test_a_graph_finds_nearly_all_that_is_nearest(filled, vectors):
    assert await recall(filled, vectors) >= 0.95


async def test_a_filter_that_lets_little_through_is_exact(filled, vectors):
    assert await recall(filled, vectors, lambda number: number % 250 == 7, Equal("rare", "7")) == 1.0


@pytest.mark.parametrize("asked", [Equal("third", "1"), Not(In("third", ("0", "2")))], ids=["one", "not the others"])
async def test_a_filter_that_lets_much_through_finds_only_what_matches(filled, vectors, asked):
    assert await recall(filled, vectors, lambda number: number % 3 == 1, asked) >= 0.95
    for hits in await filled.nearest(SPACE, cloud(5, seed=3), limit=50, filter=asked):
        assert len(hits) == 50
        assert all(int(hit.id) % 3 == 1 for hit in hits)


async def test_tenants_have_graphs_of_their_own(filled):
    found = await filled.nearest(OTHER, cloud(5, seed=3), limit=100)
    assert all(len(each) == 20 for each in found)


async def test_a_graph_that_lags_or_is_lost_is_caught_up(tmp_path, vectors):
    few = vectors[:300]
    async with opened(tmp_path) as index:
        await index.apply(writes(few))
    (graph,) = (tmp_path / "vectors" / "graphs").rglob("*.usearch")
    saved = graph.read_bytes()
    async with opened(tmp_path) as index:
        await index.apply([*writes(-few[:50]), *[Delete(SPACE, f"{number:05}") for number in range(50, 100)]])
    now = np.concatenate((-few[:50], few[50:]))
    for left in (saved, saved[: len(saved) // 2], b"", b"no graph", None):
        graph.unlink()
        if left is not None:
            graph.write_bytes(left)
        async with opened(tmp_path) as index:
            # A graph that is made by several threads is never twice the same: now and then a query finds no way into a part.
            assert await recall(index, now, lambda number: not 50 <= number < 100) >= 0.9
            assert await near(index, tuple(map(float, few[60])), limit=1) != ["00060"]


async def test_what_was_acknowledged_is_there_after_a_kill(tmp_path):
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    process = context.Process(target=_write_until_killed, args=(str(tmp_path), theirs), daemon=True)
    process.start()
    theirs.close()
    acknowledged = -1
    while acknowledged < 20 and mine.poll(30):
        acknowledged = mine.recv()
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(10)
    while mine.poll(0):
        try:
            acknowledged = mine.recv()
        except EOFError:
            break
    async with opened(tmp_path) as index:
        there = await index.digests(SPACE)
        assert set(there) >= {f"{number}" for number in range(acknowledged + 1)}
        assert len(there) <= acknowledged + 2
        found = await index.nearest(SPACE, rows((1.0, 0.0, 0.0)), limit=1_000)
        assert {hit.id for hit in found[0]} == set(there)


def _write_until_killed(folder, pipe):
    import asyncio

    async def write():
        async with opened(folder) as index:
            for number in range(100_000):
                await index.apply([put(f"{number}", (1.0, number / 1_000, 0.5))])
                pipe.send(number)

    asyncio.run(write())


async def test_a_folder_belongs_to_one_process_at_a_time(tmp_path):
    async with opened(tmp_path) as index:
        await index.apply([put("a", EAST)])
        with pytest.raises(Refused, match=r"setting `vectors`.*another process"):
            async with opened(tmp_path):
                pass
    async with opened(tmp_path) as index:
        assert await near(index, EAST) == ["a"]


async def test_few_become_many_and_stay_found(tmp_path):
    async with opened(tmp_path, "?graph=5") as index:
        for number in range(12):
            await index.apply([put(f"{number:02}", (1.0, number / 10, 0.0))])
            assert await near(index, EAST, limit=1) == ["00"]
            assert len(await near(index, NORTH, limit=50)) == number + 1


@pytest.mark.parametrize(
    ("url", "findings"),
    [
        ("usearch:", ["no folder"]),
        ("usearch:x?graph=0&search=many&colour=red&prefix=_", ["graph", "search", "colour", "prefix"]),
    ],
)
async def test_an_address_that_is_none_gives_all_findings(url, findings):
    with pytest.raises(Invalid) as raised:
        async with open_vectors(url, {}):
            pass
    assert all(each in str(raised.value) for each in findings)
