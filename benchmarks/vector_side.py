"""One of the other engines, a step in a process of its own: `build`; `killed`, amid writes; `opened`, and all that is measured then.

Effort (ef, nprobe) is the least of a list with which recall@10 over all vectors is 0.95, else the largest.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from vector_engines import ENGINES, Engine
from vector_measures import Data, Peak, disk_mb, memory_mb, near, searches, times

EFFORTS = (32, 64, 128, 256, 512)
GOOD = 0.95
PROBED = 60
PROBED_S = 10.0
ONE_BY_ONE = 100
WRITTEN_S = 10.0
BESIDE_S = 3.0
A_SECOND = 50


def build(engine: Engine, data: Data) -> dict[str, Any]:
    began, cpu = time.monotonic(), time.process_time()
    with Peak() as peak:
        engine.build(data)
    took_s = time.monotonic() - began
    return {
        "build_s": round(took_s, 1),
        "build_cpu_s": round(time.process_time() - cpu, 1),
        "build_a_second": round(data.size / took_s),
        "build_mb": peak.anon_mb,
        "disk_mb": disk_mb(engine.path),
    }


def killed(engine: Engine, data: Data) -> dict[str, Any]:
    """Write one by one, say what is acknowledged, and die amid it."""
    engine.open()
    ends = time.monotonic() + WRITTEN_S
    for number in range(ONE_BY_ONE):
        engine.upsert(data.size + number, near(data, number, 1))
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
        if time.monotonic() > ends:
            break
    os.kill(os.getpid(), 9)
    raise AssertionError("still alive")


def opened(engine: Engine, data: Data) -> dict[str, Any]:
    began = time.perf_counter()
    engine.open()
    engine.search(data.queries[0], None, None)
    figures: dict[str, Any] = {"open_s": round(time.perf_counter() - began, 3)}
    if engine.is_durable:
        there = [data.size + n for n in range(ONE_BY_ONE) if data.size + n in _near(engine, near(data, n, 1))]
        figures["after_kill"] = len(there)
        for number in there:
            engine.delete(number)
    said(figures)
    figures["effort"] = _effort(engine, data)
    figures |= searches(data, engine.search, **({} if engine.has_filters else {"kinds": ("all",)}))
    figures |= memory_mb()
    said(figures)
    figures |= _written(engine, data)
    said(figures)
    if engine.is_safe:
        figures |= _beside(engine, data)
    engine.close()
    return figures


def said(figures: dict[str, Any]) -> None:
    """Say what is known so far: some engines do not come to the end."""
    print(json.dumps(figures), flush=True)


def _effort(engine: Engine, data: Data) -> int:
    truth = data.truth()["all"]
    effort = 0
    for effort in EFFORTS:
        engine.effort(effort)
        ends = time.monotonic() + PROBED_S
        found: list[float] = []
        for number in range(PROBED):
            hits = engine.search(*data.asked("all", number))
            found.append(len(set(hits) & set(truth[number])) / len(truth[number]))
            if time.monotonic() > ends:
                break
        if np.mean(found) >= GOOD:
            break
    return effort


def _written(engine: Engine, data: Data) -> dict[str, Any]:
    """Vectors written until they are found, written again under their number, and taken away."""
    upserted: list[float] = []
    seen: list[float] = []
    wrong = 0
    ends = time.monotonic() + WRITTEN_S
    first = data.size if not engine.is_durable else data.size + ONE_BY_ONE
    for number in range(first, first + ONE_BY_ONE):
        vector, other = near(data, number, 2), near(data, number + 1, 3)
        began = time.perf_counter()
        engine.upsert(number, vector)
        upserted.append(time.perf_counter() - began)
        hits = _near(engine, vector)
        seen.append(time.perf_counter() - began)
        wrong += number not in hits
        if engine.changes:
            engine.upsert(number, other)
            wrong += number not in _near(engine, other)
            engine.delete(number)
            wrong += number in _near(engine, other)
        if time.monotonic() > ends:
            break
    return times("upsert", upserted[5:]) | times("seen", seen[5:]) | {"wrong": wrong}


def _beside(engine: Engine, data: Data) -> dict[str, Any]:
    """Searches while another thread writes fifty vectors a second."""
    over = threading.Event()
    written: list[int] = []

    def write() -> None:
        number = data.size + 10 * ONE_BY_ONE
        while not over.wait(1 / A_SECOND):
            engine.upsert(number + len(written), near(data, len(written), 4))
            written.append(number)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    taken: list[float] = []
    ends = time.monotonic() + BESIDE_S
    while time.monotonic() < ends or len(taken) < PROBED // 10:
        began = time.perf_counter()
        engine.search(data.queries[len(taken) % len(data.queries)], None, None)
        taken.append(time.perf_counter() - began)
    over.set()
    writer.join(BESIDE_S)
    return times("beside", taken) | {"beside_written": len(written)}


def _near(engine: Engine, vector: Any) -> list[int]:
    return engine.search(vector, None, None)


if __name__ == "__main__":
    name, size, folder, place, step = sys.argv[1:]
    engine = ENGINES[name](Path(place))
    print(json.dumps({"build": build, "killed": killed, "opened": opened}[step](engine, Data(Path(folder), int(size)))))
