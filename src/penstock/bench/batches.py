"""Batches of work, one after the other until a window is over: W2, fan-out, and W3, empty steps.

- Imports the standard library only: a peer's own environment can load it, and everybody is measured by the same code.
- The size of a batch is what one window holds, within bounds: a slow system gets small ones, so that it ends at all.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Generic, TypeVar

T = TypeVar("T")
FAN_OUT_AT_ONCE = 40


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large a batch is: `warm` before the window, then from `least` to `most`."""

    warm: int
    least: int
    most: int


FAN_OUT = Sizes(warm=FAN_OUT_AT_ONCE, least=80, most=1_000)  # items of one run
STEPS = Sizes(warm=5, least=10, most=100)  # of each run


@dataclass(frozen=True, slots=True)
class Batches(Generic[T]):
    """What was seen within the window. `before` and `after` are readings taken at its edges."""

    size: int
    count: int
    count_all: int  # units of work, with those before the window
    before: T
    after: T
    seconds: float

    @property
    def units(self) -> int:
        return self.size * self.count


async def batches(
    work: Callable[[int], Awaitable[None]], sizes: Sizes, window_s: float, reading: Callable[[], T]
) -> Batches[T]:
    """Do batches until the window is over, one at least. `work` is given how large one is."""
    await work(sizes.warm)
    began_s = perf_counter()
    await work(sizes.warm)
    rate = sizes.warm / (perf_counter() - began_s)
    size = max(sizes.least, min(sizes.most, int(rate * window_s)))
    before, began_s, count = reading(), perf_counter(), 0
    while not count or perf_counter() - began_s < window_s:
        await work(size)
        count += 1
    seconds = perf_counter() - began_s
    return Batches(size, count, 2 * sizes.warm + size * count, before, reading(), seconds)


def batch_figures(done: Batches[T], cpu_s: float, unit: str, *, side_by_side: int = 1) -> dict[str, float]:
    """The figures that everybody reports, for each `unit` of work. `side_by_side`: how many do a batch at once."""
    units = done.units * side_by_side
    return {
        f"{unit}s_per_s": round(units / done.seconds, 1),
        f"us_per_{unit}": round(done.seconds * 1e6 / units, 2),
        f"cpu_us_per_{unit}": round(cpu_s * 1e6 / units, 2),
        f"{unit}s": done.size,
        "seconds": round(done.seconds, 3),
        "errors": 0,
    }


# What the steps compute: as good as nothing, so that the engine is measured.


def doubled(number: int) -> int:
    return number * 2


def increased(number: int) -> int:
    return number + 1


def nothing() -> int:
    return 1


def expected_sum(items: int) -> int:
    """What a fan-out over the numbers below `items` comes to: each is doubled, and then increased."""
    return items * (items - 1) + items
