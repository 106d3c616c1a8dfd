"""Penstock's own index, text in, durable: a step in a process of its own, with the interpreter set as `penstock run` sets it.

`build`; `killed`, amid a load and single writes; `opened`, and all that is measured then.
"""

import asyncio
import json
import os
import resource
import sys
import time
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

from vector_measures import Data, Peak, Syncs, disk_mb, memory_mb, searches, times

from penstock.adapters.embedders.static import open_static_embedder
from penstock.adapters.sqlite.passages import SqlitePassages, open_sqlite_passages
from penstock.core.knowledge.filters import All, Equal, Filter, Range
from penstock.core.knowledge.passages import Delete, Passage, Space, Upsert
from penstock.runtime.process import run_tuned

SPACE = Space("benchmark")
BATCH = 256
SMALL_BATCH = 64
A_SECOND = 3_000
ONE_BY_ONE = 100
WRITES = 300
WARM_UP = 20
BESIDE_S = 3.0
LOADED_S = 10.0
SYNC_EVERY_S = 0.1


async def build(path: Path, data: Data, folder: Path) -> None:
    """Put all passages, with vectors that were made before, while it can be searched."""
    with (folder / "texts.jsonl").open(encoding="utf-8") as lines, Peak() as peak:
        async with open_sqlite_passages(path) as index:
            await index.nearest(SPACE, data.queries[:1], limit=1)
            began = time.monotonic()
            for start in range(0, data.size, BATCH):
                texts = [json.loads(line) for line in islice(lines, min(BATCH, data.size - start))]
                await index.apply([_upsert(data, start + at, text) for at, text in enumerate(texts)])
            await index.settled()
            took_s = time.monotonic() - began
    used = resource.getrusage(resource.RUSAGE_SELF)
    figures = {
        "build_s": round(took_s, 1),
        "build_cpu_s": round(used.ru_utime + used.ru_stime, 1),
        "build_a_second": round(data.size / took_s),
        "build_mb": peak.anon_mb,
        "disk_mb": disk_mb(path, Path(f"{path}-parts")),
    }
    print(json.dumps(figures))


async def killed(path: Path, data: Data, folder: Path) -> None:
    """Load passages and take them away again, write some one by one, say what is acknowledged, and die amid it."""
    del folder
    async with open_sqlite_passages(path) as index:
        await index.nearest(SPACE, data.queries[:1], limit=1)
        vectors = [query.tobytes() for query in data.queries]
        for start in range(0, 20_000, BATCH):  # more than a part holds: one is being made, and much is not in any
            some = range(start, start + BATCH)
            passages = [Passage(f"load-{number}", f"load{number}") for number in some]
            await index.apply([Upsert(SPACE, each, vectors[at % len(vectors)]) for at, each in enumerate(passages)])
            await index.apply([Delete(SPACE, each.id) for each in passages])
        for number in range(ONE_BY_ONE):
            passage = Passage(f"killed-{number}", _word("killed", number))
            await index.apply([Upsert(SPACE, passage, vectors[number])])
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()
        os.kill(os.getpid(), 9)


async def opened(path: Path, data: Data, folder: Path) -> None:
    questions = json.loads((folder / "questions.json").read_text())
    began = time.perf_counter()
    async with open_sqlite_passages(path) as index:
        await index.nearest(SPACE, data.queries[:1], limit=10)
        figures: dict[str, Any] = {"open_s": round(time.perf_counter() - began, 3)}
        there = await index.passages(SPACE, [f"killed-{number}" for number in range(ONE_BY_ONE)])
        found = [await _finds(index, _word("killed", number), f"killed-{number}") for number in range(ONE_BY_ONE)]
        figures["after_kill"] = sum(found) if len(there) == ONE_BY_ONE else len(there)
        await index.apply([Delete(SPACE, key) for key in there])
        figures |= await _settling(index, data)
        figures |= _searched(index, data)
        figures |= await _words(index, questions)
        figures |= memory_mb()
        with closing(Syncs(path.with_name("bare"))) as bare:
            figures |= await _written(index, questions, bare)
            figures |= times("sync", bare.taken_s)
        figures |= await _beside(index, data)
        with closing(Syncs(path.with_name("bare"))) as bare:
            figures |= await _loaded(index, data, questions, folder, bare)
            figures |= times("sync_amid", bare.taken_s)
        figures["loaded_mb"] = memory_mb()["rss_mb"]
    print(json.dumps(figures))


async def _settling(index: SqlitePassages, data: Data) -> dict[str, Any]:
    """Searches while parts become one, if they do: what the killed process left behind may be what was missing for that."""
    began, most_mb = time.monotonic(), 0
    taken: list[float] = []
    settled = asyncio.ensure_future(index.settled())
    await asyncio.sleep(0)
    while not settled.done():
        asked = time.perf_counter()
        await index.nearest(SPACE, data.queries[len(taken) % len(data.queries)][None], limit=10)
        taken.append(time.perf_counter() - asked)
        most_mb = max(most_mb, memory_mb()["rss_mb"])
        await asyncio.sleep(0.01)
    await settled
    if len(taken) <= WARM_UP:
        return {}
    return times("merging", taken) | {"merging_s": round(time.monotonic() - began, 1), "merging_mb": most_mb}


def _searched(index: SqlitePassages, data: Data) -> dict[str, Any]:
    def search(query: Any, tenant: int | None, window: tuple[int, int] | None) -> list[int]:
        search_ = index.nearest(SPACE, query[None], limit=10, filter=_filter(tenant, window))
        try:
            search_.send(None)  # nothing in it waits once the space is open
        except StopIteration as done:
            return [int(hit.id) for hit in done.value[0]]
        raise AssertionError("a search waited")

    return searches(data, search)


async def _words(index: SqlitePassages, questions: list[str]) -> dict[str, float]:
    taken: list[float] = []
    for question in questions:
        began = time.perf_counter()
        await index.matching(SPACE, [question], limit=10)
        taken.append(time.perf_counter() - began)
    return times("words", taken[WARM_UP:])


async def _written(index: SqlitePassages, questions: list[str], bare: Syncs) -> dict[str, Any]:
    """Text in, durable, until it is found by vector and by word; written again, and taken away. `bare`: a sync by itself after each."""
    embedder = open_static_embedder()
    upserted: list[float] = []
    seen: list[float] = []
    wrong = 0
    for number in range(WRITES):
        text = f"{questions[number % len(questions)]} {_word('fresh', number)}"
        key = f"new-{number}"
        began = time.perf_counter()
        vector = (await embedder.embed([text]))[0]
        await index.apply([Upsert(SPACE, Passage(key, text), vector.tobytes())])
        upserted.append(time.perf_counter() - began)
        near = await index.nearest(SPACE, vector[None], limit=3)
        word = await index.matching(SPACE, [text], limit=3)
        seen.append(time.perf_counter() - began)
        wrong += key not in {hit.id for hit in near[0]} or key not in {hit.id for hit in word[0]}
        await index.apply([Upsert(SPACE, Passage(key, _word("stale", number)), None)])
        wrong += await _finds(index, _word("fresh", number), key)
        wrong += not await _finds(index, _word("stale", number), key)
        await index.apply([Delete(SPACE, key)])
        wrong += await _finds(index, _word("stale", number), key)
        bare.sync()
    return times("upsert", upserted[WARM_UP:]) | times("seen", seen[WARM_UP:]) | {"wrong": wrong}


async def _beside(index: SqlitePassages, data: Data) -> dict[str, Any]:
    """Searches while fifty passages a second are written, one by one."""
    taken: list[float] = []
    written = 0
    ends = time.monotonic() + BESIDE_S

    async def write() -> None:
        nonlocal written
        while time.monotonic() < ends:
            vector = data.queries[written % len(data.queries)].tobytes()
            await index.apply([Upsert(SPACE, Passage(f"beside-{written}", f"beside {written}"), vector)])
            written += 1
            await asyncio.sleep(0.02)

    writer = asyncio.ensure_future(write())
    while time.monotonic() < ends:
        began = time.perf_counter()
        await index.nearest(SPACE, data.queries[len(taken) % len(data.queries)][None], limit=10)
        taken.append(time.perf_counter() - began)
        await asyncio.sleep(0)
    await writer
    return times("beside", taken) | {"beside_written": written}


async def _loaded(index: SqlitePassages, data: Data, questions: list[str], folder: Path, bare: Syncs) -> dict[str, Any]:
    """Embed and index 3,000 passages a second, in batches, while one task writes and looks for it, and another searches."""
    embedder = open_static_embedder()
    with (folder / "texts.jsonl").open(encoding="utf-8") as lines:
        texts = [json.loads(line) for line in islice(lines, 50_000)]
    began = time.monotonic()
    ends = began + LOADED_S
    count = 0
    seen: list[float] = []
    searched: list[float] = []

    async def ingest() -> None:
        nonlocal count
        while (now := time.monotonic()) < ends:
            if count > A_SECOND * (now - began):
                await asyncio.sleep(0.002)
                continue
            some = [f"{texts[(count + at) % len(texts)]} batch {count + at}" for at in range(SMALL_BATCH)]
            vectors = await embedder.embed(some)
            passages = [Passage(f"b-{count + at}", text) for at, text in enumerate(some)]
            await index.apply(
                [Upsert(SPACE, each, vector.tobytes()) for each, vector in zip(passages, vectors, strict=True)]
            )
            count += SMALL_BATCH

    async def strong() -> None:
        number = 0
        while time.monotonic() < ends:
            asked = time.perf_counter()
            text = f"strong {number} {questions[number % 200]}"
            vector = (await embedder.embed([text]))[0]
            await index.apply([Upsert(SPACE, Passage(f"s-{number}", text), vector.tobytes())])
            assert any(hit.id == f"s-{number}" for hit in (await index.nearest(SPACE, vector[None], limit=10))[0])
            seen.append(time.perf_counter() - asked)
            number += 1
            await asyncio.sleep(0.02)

    async def search() -> None:
        while time.monotonic() < ends:
            asked = time.perf_counter()
            await index.nearest(SPACE, data.queries[len(searched) % len(data.queries)][None], limit=10)
            searched.append(time.perf_counter() - asked)
            await asyncio.sleep(0.05)

    async def sync() -> None:
        while time.monotonic() < ends:
            await asyncio.to_thread(bare.sync)
            await asyncio.sleep(SYNC_EVERY_S)

    await asyncio.gather(ingest(), strong(), search(), sync())
    a_second = round(count / (time.monotonic() - began))
    return times("strong", seen) | times("amid", searched) | {"ingested_a_second": a_second}


def _word(kind: str, number: int) -> str:
    """A word of letters only that nothing else has: its parts are found too where a word has some."""
    return f"{kind}q{''.join(chr(ord('a') + int(digit)) for digit in str(number))}q"


async def _finds(index: SqlitePassages, text: str, key: str) -> bool:
    return key in {hit.id for hit in (await index.matching(SPACE, [text], limit=10))[0]}


def _upsert(data: Data, number: int, text: str) -> Upsert:
    metadata = {"tenant": f"t{data.tenants[number]}", "ts": str(data.ts[number])}
    return Upsert(SPACE, Passage(str(number), text, metadata), data.vectors[number].tobytes())


def _filter(tenant: int | None, window: tuple[int, int] | None) -> Filter | None:
    parts: list[Filter] = []
    if tenant is not None:
        parts.append(Equal("tenant", f"t{tenant}"))
    if window is not None:
        parts.append(Range("ts", gte=str(window[0]), lt=str(window[1])))
    return None if not parts else parts[0] if len(parts) == 1 else All(tuple(parts))


if __name__ == "__main__":
    _, size, folder, place, step = sys.argv[1:]
    file = Path(place) / "index.db"
    run_tuned(
        {"build": build, "killed": killed, "opened": opened}[step](file, Data(Path(folder), int(size)), Path(folder))
    )
