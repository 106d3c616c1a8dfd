"""What all sides of the comparison share: the workloads, retrieval in batches, the measuring of processes and of the disk.

- The workloads are penstock's own modules, found on PYTHONPATH: one definition, which needs numpy only.
- A peer's `run.py` gives `measure` a `Peer`, and that prints one JSON object as its last line.
"""

import argparse
import asyncio
import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from penstock.bench import batches as w23
from penstock.bench import workload as w1
from penstock.bench.load import Plan, closed_loop, figures

BATCH_MAX = 64
BLOCK = 100  # of scores: the best of each is looked at first


class Peer(Protocol):
    """One system as all are measured. What its steps compute is in `w1` and `w23`."""

    async def preload(self) -> None:
        """Give each session of W1 its first messages."""
        ...

    async def turn(self, number: int) -> str:
        """W1: do turn n, and return its reply once that is durable."""
        ...

    async def fan_out(self, items: int) -> int:
        """W2: map the numbers below `items` over a child of two steps, `FAN_OUT_AT_ONCE` at once; return the sum."""
        ...

    async def steps(self, count: int) -> int:
        """W3: do one run of so many empty steps, and return how many there were."""
        ...

    def disk_bytes(self) -> int:
        """What lies on the disk now."""
        ...


async def measure(
    given: argparse.Namespace, peer: Peer, packages: Sequence[str], *, pids: Sequence[int] = (), **settings: str
) -> None:
    """Put the workload on a peer, and print what is found. `pids`: its other processes."""
    if given.workload == "w1":
        await peer.preload()
    before = peer.disk_bytes()
    measured = {"w1": _turns, "w2": _fan_out, "w3": _steps}[given.workload]
    found, unit, units = await measured(given, peer, lambda: usage(pids))
    found[f"bytes_per_{unit}"] = round((peer.disk_bytes() - before) / max(1, units))
    found |= {"versions": {name: version(name) for name in packages}, "settings": settings}
    print(json.dumps(found), flush=True)


Found = tuple[dict[str, Any], str, int]


async def _turns(given: argparse.Namespace, peer: Peer, reading: "Callable[[], Usage]") -> Found:
    plan = Plan(given.in_flight, given.seconds, given.warmup)
    done = await closed_loop(peer.turn, plan, reading, expected=w1.REPLY)
    found: dict[str, Any] = figures(done, done.after.cpu_s - done.before.cpu_s)
    return found | {"rss_mb": done.after.rss_mb, "first_error": done.first_error}, "turn", done.turns_sent


async def _fan_out(given: argparse.Namespace, peer: Peer, reading: "Callable[[], Usage]") -> Found:
    async def one_run(items: int) -> None:
        _check(await peer.fan_out(items), w23.expected_sum(items))

    return _batched(await w23.batches(one_run, w23.FAN_OUT, given.seconds, reading), "item", 1)


async def _steps(given: argparse.Namespace, peer: Peer, reading: "Callable[[], Usage]") -> Found:
    async def one_run(count: int) -> None:
        _check(await peer.steps(count), count)

    async def runs(count: int) -> None:
        await asyncio.gather(*(one_run(count) for _ in range(given.in_flight)))

    return _batched(await w23.batches(runs, w23.STEPS, given.seconds, reading), "step", given.in_flight)


def _batched(done: "w23.Batches[Usage]", unit: str, side_by_side: int) -> Found:
    cpu_s = done.after.cpu_s - done.before.cpu_s
    found: dict[str, Any] = w23.batch_figures(done, cpu_s, unit, side_by_side=side_by_side)
    return found | {"rss_mb": done.after.rss_mb, "first_error": ""}, unit, done.count_all * side_by_side


def _check(came: int, expected: int) -> None:
    if came != expected:
        raise RuntimeError(f"a run came to {came!r} and not to {expected}")


class Retrieval:
    """Exact top 5 of the passages, for all vectors asked in one tick of the event loop together."""

    def __init__(self) -> None:
        self._passages = np.ascontiguousarray(w1.passage_vectors().T)
        self._asked: list[tuple[bytes, asyncio.Future[list[str]]]] = []

    def nearest(self, vector: bytes) -> "asyncio.Future[list[str]]":
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[str]] = loop.create_future()
        if not self._asked:
            loop.call_soon(self._answer)
        self._asked.append((vector, found))
        return found

    def _answer(self) -> None:
        asked, self._asked = self._asked, []
        for start in range(0, len(asked), BATCH_MAX):
            part = asked[start : start + BATCH_MAX]
            queries = np.frombuffer(b"".join(vector for vector, _ in part), "<f4").reshape(len(part), w1.DIMS)
            for (_, found), numbers in zip(part, _best(queries @ self._passages).tolist(), strict=True):
                if not found.done():
                    found.set_result([str(number) for number in numbers])


def _best(scores: np.ndarray) -> np.ndarray:
    """The columns of the `w1.TOP` highest scores of each row, best first: they lie in as many blocks at most."""
    top, rows = w1.TOP, np.arange(len(scores))[:, None]
    blocks = scores.reshape(len(scores), -1, BLOCK)
    likely = np.argpartition(blocks.max(axis=2), -top, axis=1)[:, -top:]
    candidates = blocks[rows, likely].reshape(len(scores), -1)
    best = np.argpartition(candidates, -top, axis=1)[:, -top:]
    best = best[rows, np.argsort(-candidates[rows, best], axis=1)]
    return likely[rows, best // BLOCK] * BLOCK + best % BLOCK


@dataclass(frozen=True, slots=True)
class Usage:
    """Processor time and memory of this process and of others with all their children."""

    cpu_s: float
    rss_mb: float


def usage(others: Iterable[int] = ()) -> Usage:
    """Read `Usage` now. Processes that ended meanwhile are left out."""
    import psutil

    cpu_s = rss_bytes = 0.0
    for process in _tree([os.getpid(), *others], psutil):
        try:
            times = process.cpu_times()
            cpu_s += times.user + times.system
            rss_bytes += process.memory_info().rss
        except psutil.Error:
            continue
    return Usage(cpu_s, round(rss_bytes / 2**20, 1))


def disk_bytes(folder: Path) -> int:
    """The sizes of a folder's files: not their blocks, since some engines have blocks set aside for what they will write."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def arguments(name: str) -> argparse.Namespace:
    """Read what `benchmarks/run.py` gives to every side."""
    parser = argparse.ArgumentParser(prog=name)
    parser.add_argument("--workload", choices=("w1", "w2", "w3"), default="w1")
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--warmup", type=float, default=1.5)
    parser.add_argument("--folder", type=Path, required=True, help="for its data: empty, on the disk to measure")
    parser.add_argument("--each-step", action="store_true", help="the yardstick's steps wait for each other's records")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    return given


def _tree(pids: Iterable[int], psutil: Any) -> list[Any]:
    found = {}
    for pid in pids:
        try:
            process = psutil.Process(pid)
            found[pid] = process
            found |= {child.pid: child for child in process.children(recursive=True)}
        except psutil.Error:
            continue
    return list(found.values())


__all__ = ["Peer", "Retrieval", "arguments", "disk_bytes", "measure", "usage", "w1", "w23"]
