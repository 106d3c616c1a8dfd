"""What all sides of the comparison share: W1 itself, retrieval in batches, the measuring of processes and of the disk.

- W1's data and the closed loop are penstock's own modules, found on PYTHONPATH: one definition, which needs numpy only.
- A peer's `run.py` prints one JSON object as its last line; `report` makes it.
"""

import argparse
import asyncio
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from penstock.bench import workload as w1
from penstock.bench.load import Measured, Plan, closed_loop, figures

BATCH_MAX = 64
BLOCK = 100  # of scores: the best of each is looked at first


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
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--warmup", type=float, default=1.5)
    parser.add_argument("--folder", type=Path, required=True, help="for its data: empty, on the disk to measure")
    parser.add_argument("--each-step", action="store_true", help="the yardstick's steps wait for each other's records")
    return parser.parse_args()


def plan_of(given: argparse.Namespace) -> Plan:
    return Plan(given.in_flight, given.seconds, given.warmup)


def report(measured: Measured[Usage], grown_bytes: int, packages: Iterable[str], **more: Any) -> None:
    """Print the figures as one line of JSON. `grown_bytes`: what all turns sent added to the disk."""
    found = figures(measured, measured.after.cpu_s - measured.before.cpu_s) | {
        "bytes_per_turn": round(grown_bytes / max(1, measured.turns_sent)),
        "rss_mb": measured.after.rss_mb,
        "first_error": measured.first_error,
        "versions": {name: version(name) for name in packages},
    }
    print(json.dumps(found | more), flush=True)


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


__all__ = ["Retrieval", "arguments", "closed_loop", "disk_bytes", "plan_of", "report", "usage", "w1"]
