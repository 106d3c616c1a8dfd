"""What is measured of an engine, the same for all: given a few functions, the figures. Needs numpy only."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

TENANTS = 1_000
FIRST_TS = 1_700_000_000
TIMES = 200


class Data:
    """Vectors, their tenants and times, questions and exact answers."""

    def __init__(self, folder: Path, size: int) -> None:
        self.size = size
        self.vectors = np.load(folder / "vectors.npy", mmap_mode="r")[:size]
        self.queries = np.load(folder / "queries.npy")
        self.truth = np.load(folder / f"truth-{size}.npy")
        random = np.random.default_rng(3)
        self.tenants = random.integers(0, TENANTS, size)
        self.ts = random.permutation(size) + FIRST_TS

    def window(self, number: int) -> tuple[int, int]:
        """One per cent of the time."""
        start = FIRST_TS + (number * 7919) % max(1, self.size - self.size // 100)
        return start, start + self.size // 100

    def exact(self, number: int, mask: np.ndarray) -> set[int]:
        rows = np.flatnonzero(mask)
        return set(rows[np.argsort(-(self.vectors[rows] @ self.queries[number]))[:10]].tolist())


def memory_mb() -> dict[str, int]:
    """Resident memory now, and at most."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {"rss_mb": int(lines["VmRSS"].split()[0]) // 1024, "anon_mb": int(lines["RssAnon"].split()[0]) // 1024}


def times(name: str, taken_s: Sequence[float]) -> dict[str, float]:
    taken = np.array(taken_s) * 1e3
    return {
        f"{name}_p50_ms": round(float(np.percentile(taken, 50)), 3),
        f"{name}_p99_ms": round(float(np.percentile(taken, 99)), 3),
    }


def searches(
    data: Data, search: Callable[[np.ndarray, int | None, tuple[int, int] | None], list[int]]
) -> dict[str, Any]:
    """Time and recall of searches: of all, of a tenant, of 1 % of the time, of both."""
    found: dict[str, Any] = {}
    for name in ("all", "tenant", "range", "both"):
        taken: list[float] = []
        recalls: list[float] = []
        for number in range(TIMES):
            tenant = number % TENANTS if name in ("tenant", "both") else None
            window = data.window(number) if name in ("range", "both") else None
            began = time.perf_counter()
            rows = search(data.queries[number], tenant, window)
            taken.append(time.perf_counter() - began)
            expected = _expected(data, number, tenant, window)
            if expected:
                recalls.append(len(expected & set(rows)) / len(expected))
        found |= times(name, taken[20:]) | {f"{name}_recall": round(float(np.mean(recalls)), 4) if recalls else None}
    return found


def _expected(data: Data, number: int, tenant: int | None, window: tuple[int, int] | None) -> set[int]:
    if tenant is None and window is None:
        return set(data.truth[number].tolist())
    mask = np.ones(data.size, np.bool_)
    if tenant is not None:
        mask &= data.tenants == tenant
    if window is not None:
        mask &= (data.ts >= window[0]) & (data.ts < window[1])
    return data.exact(number, mask)


def disk_mb(*paths: Path) -> int:
    files = [each for path in paths for each in ([path] if path.is_file() else path.rglob("*")) if each.is_file()]
    return sum(each.stat().st_size for each in files) >> 20
