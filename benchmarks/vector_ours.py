"""Penstock's own index, text in, durable: built, killed, opened, searched, written to beside searches."""

import asyncio
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from vector_measures import Data, disk_mb, memory_mb, searches, times

from penstock.adapters.embedders.static import open_static_embedder
from penstock.adapters.sqlite.passages import SqlitePassages, open_sqlite_passages
from penstock.core.knowledge.filters import All, Equal, Filter, Range
from penstock.core.knowledge.passages import Delete, Passage, Space, Upsert

SPACE = Space("benchmark")
BATCH = 256
SMALL_BATCH = 64
A_SECOND = 3_000
ONE_BY_ONE = 200
BESIDE_S = 6.0


def main(size: int, folder: Path, step: str | None) -> None:
    path = folder / f"penstock-{size}.db"
    if step is not None:
        asyncio.run({"build": build, "opened": opened, "killed": killed}[step](path, Data(folder, size), folder))
        return
    path.unlink(missing_ok=True)
    shutil.rmtree(f"{path}-parts", ignore_errors=True)
    figures: dict[str, Any] = {}
    for each in ("build", "killed", "opened"):
        done = subprocess.run(
            [sys.executable, __file__, "penstock", str(size), str(folder), each],
            capture_output=True,
            text=True,
            check=False,
        )
        if each == "killed":
            figures["acknowledged"] = len(done.stdout.split())
            continue
        if done.returncode:
            raise SystemExit(done.stderr[-400:])
        figures |= json.loads(done.stdout.strip().splitlines()[-1])
    figures["disk_mb"] = disk_mb(path, Path(f"{path}-parts"))
    print(json.dumps(figures))


async def build(path: Path, data: Data, folder: Path) -> None:
    """Put all passages, with vectors that were made before, while it can be searched."""
    with (folder / "texts.jsonl").open(encoding="utf-8") as lines:
        async with open_sqlite_passages(path) as index:
            await index.nearest(SPACE, data.queries[:1], limit=1)
            began = time.monotonic()
            for start in range(0, data.size, BATCH):
                texts = [json.loads(line) for line in islice(lines, BATCH)]
                await index.apply(
                    [_upsert(data, start + at, text) for at, text in enumerate(texts) if start + at < data.size]
                )
            took_s = time.monotonic() - began
        used = resource.getrusage(resource.RUSAGE_SELF)
        cpu_s = used.ru_utime + used.ru_stime
        print(
            json.dumps(
                {
                    "build_s": round(took_s, 1),
                    "build_cpu_s": round(cpu_s, 1),
                    "build_a_second": round(data.size / took_s),
                }
            )
        )


async def killed(path: Path, data: Data, folder: Path) -> None:
    """Write one by one, say what is acknowledged, and die amid it."""
    del folder
    async with open_sqlite_passages(path) as index:
        await index.nearest(SPACE, data.queries[:1], limit=1)
        for number in range(ONE_BY_ONE):
            await index.apply(
                [Upsert(SPACE, Passage(f"killed-{number}", f"killed{number}"), data.vectors[number].tobytes())]
            )
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()
        os.kill(os.getpid(), 9)


async def opened(path: Path, data: Data, folder: Path) -> None:
    questions = json.loads((folder / "questions.json").read_text())
    figures: dict[str, Any] = {}
    began = time.perf_counter()
    async with open_sqlite_passages(path) as index:
        await index.nearest(SPACE, data.queries[:1], limit=10)
        figures["open_s"] = round(time.perf_counter() - began, 3)
        there = await index.passages(SPACE, [f"killed-{number}" for number in range(ONE_BY_ONE)])
        near = await index.matching(SPACE, [f"killed{number}" for number in range(ONE_BY_ONE)], limit=1)
        figures["after_kill"] = sum(bool(hits) for hits in near) if len(there) == ONE_BY_ONE else len(there)
        await index.apply([Delete(SPACE, key) for key in there])
        figures |= await _searched(index, data, questions)
        figures |= memory_mb()
        figures |= await _written(index, questions)
        figures |= await _beside(index, data, questions)
    print(json.dumps(figures))


async def _searched(index: SqlitePassages, data: Data, questions: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def search(query: np.ndarray, tenant: int | None, window: tuple[int, int] | None) -> list[int]:
        search_ = index.nearest(SPACE, query[None], limit=10, filter=_filter(tenant, window))
        try:
            search_.send(None)  # nothing in it waits once the space is open
        except StopIteration as done:
            return [int(hit.id) for hit in done.value[0]]
        raise AssertionError("a search waited")

    found |= searches(data, search)
    taken: list[float] = []
    for question in questions[:200]:
        began = time.perf_counter()
        await index.matching(SPACE, [question], limit=10)
        taken.append(time.perf_counter() - began)
    return found | times("words", taken[20:])


async def _written(index: SqlitePassages, questions: list[str]) -> dict[str, Any]:
    """Text in, durable, until it is found by vector and by word; written again, and taken away."""
    embedder = open_static_embedder()
    written: list[float] = []
    seen: list[float] = []
    wrong = 0
    for number in range(ONE_BY_ONE):
        text = f"{questions[number]} {_word('fresh', number)}"
        began = time.perf_counter()
        vector = (await embedder.embed([text]))[0]
        await index.apply([Upsert(SPACE, Passage(f"new-{number}", text), vector.tobytes())])
        written.append(time.perf_counter() - began)
        near = await index.nearest(SPACE, vector[None], limit=3)
        word = await index.matching(SPACE, [text], limit=3)
        seen.append(time.perf_counter() - began)
        key = f"new-{number}"
        wrong += key not in {hit.id for hit in near[0]} or key not in {hit.id for hit in word[0]}
        await index.apply([Upsert(SPACE, Passage(key, _word("stale", number)), None)])
        wrong += await _finds(index, _word("fresh", number), key) or not await _finds(
            index, _word("stale", number), key
        )
        await index.apply([Delete(SPACE, key)])
        wrong += await _finds(index, _word("stale", number), key)
    return times("upsert", written[20:]) | times("seen", seen[20:]) | {"wrong": wrong}


def _word(kind: str, number: int) -> str:
    """A word of letters only that nothing else has: its parts are found too where a word has some."""
    return f"{kind}q{''.join(chr(ord('a') + int(digit)) for digit in str(number))}q"


async def _finds(index: SqlitePassages, text: str, key: str) -> bool:
    return key in {hit.id for hit in (await index.matching(SPACE, [text], limit=10))[0]}


async def _beside(index: SqlitePassages, data: Data, questions: list[str]) -> dict[str, Any]:
    """Embed and index 3,000 passages a second, in batches, while one task writes and looks for it, and another searches."""
    embedder = open_static_embedder()
    began = time.monotonic()
    ends = time.monotonic() + BESIDE_S
    count = 0
    seen: list[float] = []
    searched: list[float] = []

    async def ingest() -> None:
        nonlocal count
        while (now := time.monotonic()) < ends:
            if count > A_SECOND * (now - began):
                await asyncio.sleep(0.002)
                continue
            texts = [f"{questions[(count + at) % len(questions)]} batch {count + at}" for at in range(SMALL_BATCH)]
            vectors = await embedder.embed(texts)
            await index.apply(
                [
                    Upsert(SPACE, Passage(f"b-{count + at}", text), vector.tobytes())
                    for at, (text, vector) in enumerate(zip(texts, vectors, strict=True))
                ]
            )
            count += SMALL_BATCH

    async def strong() -> None:
        number = 0
        while time.monotonic() < ends:
            asked = time.perf_counter()
            vector = (await embedder.embed([f"strong {number} {questions[number % 200]}"]))[0]
            await index.apply([Upsert(SPACE, Passage(f"s-{number}", f"strong{number}"), vector.tobytes())])
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

    await asyncio.gather(ingest(), strong(), search())
    return (
        times("strong", seen)
        | times("beside", searched)
        | {"ingested_a_second": round(count / (time.monotonic() - began))}
    )


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
    main(int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4] if len(sys.argv) > 4 else None)
