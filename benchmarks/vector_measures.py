"""What is measured of an engine, the same for all: given a few functions, the figures. Needs numpy only."""

import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

DIMS = 256
TENANTS = 1_000
FIRST_TS = 1_700_000_000
KINDS = ("all", "tenant", "range", "both")
KNOWN = 200  # so many questions of each kind have exact answers
SEARCHES = 600
SEARCHES_MIN = 40
WITHIN_S = 8.0  # for each kind
WARM_UP = 20
COMMIT_BYTES = 20_600  # five pages in a write-ahead log
Search = Callable[[Any, int | None, tuple[int, int] | None], list[int]]


class Data:
    """Vectors, their tenants and times, questions and exact answers."""

    def __init__(self, folder: Path, size: int) -> None:
        self.size = size
        self.vectors = np.load(folder / "vectors.npy", mmap_mode="r")[:size]
        self.queries = np.load(folder / "queries.npy")
        self._truth = folder / f"truth-{size}.json"

    # Made only where they are needed, which is not where memory is measured.

    @cached_property
    def tenants(self) -> Any:
        return np.random.default_rng(3).integers(0, TENANTS, self.size)

    @cached_property
    def ts(self) -> Any:
        return np.random.default_rng(4).permutation(self.size) + FIRST_TS

    def asked(self, kind: str, number: int) -> tuple[Any, int | None, tuple[int, int] | None]:
        """The question of that number, with its tenant and one per cent of the time."""
        start = FIRST_TS + (number * 7919) % max(1, self.size - self.size // 100)
        tenant = number % TENANTS if kind in ("tenant", "both") else None
        window = (start, start + self.size // 100) if kind in ("range", "both") else None
        return self.queries[number % len(self.queries)], tenant, window

    def truth(self) -> dict[str, list[list[int]]]:
        """For each kind, the exact answers to its first questions; made once."""
        if not self._truth.exists():
            found = {kind: [self._exact(kind, number) for number in range(KNOWN)] for kind in KINDS if kind != "all"}
            self._truth.write_text(json.dumps(found | {"all": self._exact_of_all()}))
        return json.loads(self._truth.read_text())

    def _exact(self, kind: str, number: int) -> list[int]:
        query, tenant, window = self.asked(kind, number)
        mask = np.ones(self.size, np.bool_)
        if tenant is not None:
            mask &= self.tenants == tenant
        if window is not None:
            mask &= (self.ts >= window[0]) & (self.ts < window[1])
        rows = np.flatnonzero(mask)
        return rows[np.argsort(-(self.vectors[rows] @ query))[:10]].tolist()

    def _exact_of_all(self) -> list[list[int]]:
        queries = np.stack([self.asked("all", number)[0] for number in range(KNOWN)])
        scores, rows = np.zeros((KNOWN, 0), np.float32), np.zeros((KNOWN, 0), np.int64)
        for start in range(0, self.size, 50_000):
            some = queries @ self.vectors[start : min(self.size, start + 50_000)].T
            best = np.argpartition(-some, 10, axis=1)[:, :10]
            scores, rows = np.hstack([scores, np.take_along_axis(some, best, 1)]), np.hstack([rows, best + start])
        return np.take_along_axis(rows, np.argsort(-scores, axis=1)[:, :10], 1).tolist()


def memory_mb() -> dict[str, int]:
    """Resident memory now: all of it, and what is no mapped file."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {"rss_mb": int(lines["VmRSS"].split()[0]) // 1024, "anon_mb": int(lines["RssAnon"].split()[0]) // 1024}


class Peak:
    """The most memory, mapped files left out, that a block took."""

    def __enter__(self) -> Self:
        self.anon_mb = memory_mb()["anon_mb"]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.2):
            self.anon_mb = max(self.anon_mb, memory_mb()["anon_mb"])


class Syncs:
    """What the disk takes by itself: as many bytes as a commit of one passage writes, at the end of a file, and their sync."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        self.taken_s: list[float] = []

    def sync(self) -> None:
        began = time.perf_counter()
        self._file.write(b"x" * COMMIT_BYTES)
        os.fdatasync(self._file.fileno())
        self.taken_s.append(time.perf_counter() - began)

    def close(self) -> None:
        self._file.close()


def times(name: str, taken_s: Sequence[float]) -> dict[str, float]:
    taken = np.array(taken_s) * 1e3
    return {
        f"{name}_p50_ms": round(float(np.percentile(taken, 50)), 3),
        f"{name}_p99_ms": round(float(np.percentile(taken, 99)), 3),
    }


def searches(data: Data, search: Search, *, kinds: Sequence[str] = KINDS) -> dict[str, Any]:
    """Time and recall of searches: of all, of a tenant, of 1 % of the time, of both."""
    found: dict[str, Any] = {}
    truth = data.truth()
    for kind in kinds:
        taken: list[float] = []
        recalls: list[float] = []
        ends = time.monotonic() + WITHIN_S
        for number in range(SEARCHES):
            asked = data.asked(kind, number)
            began = time.perf_counter()
            rows = search(*asked)
            taken.append(time.perf_counter() - began)
            if number < KNOWN and truth[kind][number]:
                expected = truth[kind][number]
                recalls.append(len(set(expected) & set(rows)) / len(expected))
            if number >= SEARCHES_MIN and time.monotonic() > ends:
                break
        found |= times(kind, taken[WARM_UP:])
        found[f"{kind}_recall"] = round(float(np.mean(recalls)), 4) if recalls else None
    return found


def near(data: Data, number: int, seed: int) -> Any:
    """A vector that nothing else has, near a question."""
    random = np.random.default_rng([seed, number])
    vector = data.queries[number % len(data.queries)] + random.standard_normal(DIMS).astype(np.float32) * 0.01
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def disk_mb(*paths: Path) -> int:
    files = [each for path in paths for each in ([path] if path.is_file() else path.rglob("*")) if each.is_file()]
    return sum(each.stat().st_size for each in files) >> 20
