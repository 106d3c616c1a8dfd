"""A closed loop: so many turns in flight, each client sends the next one when the last one was answered.

- Imports the standard library only: a peer's own environment can load it, and everybody is measured by the same code.
- A turn counts if its answer came within the window that is measured, and is right.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from time import perf_counter
from typing import Generic, TypeVar

T = TypeVar("T")
ERRORS_MAX = 100
REASON_CHARS_MAX = 300


@dataclass(frozen=True, slots=True)
class Plan:
    """How much, and how long: `warmup_s` seconds that do not count, then `window_s` that do."""

    in_flight: int
    window_s: float
    warmup_s: float


@dataclass(slots=True)
class Measured(Generic[T]):
    """What was seen within the window. `before` and `after` are readings taken at its edges."""

    plan: Plan
    before: T
    after: T
    seconds: float = 0.0
    turns: int = 0
    turns_sent: int = 0  # with those before and after the window
    errors: int = 0
    first_error: str = ""
    latencies_s: list[float] = field(default_factory=list[float])


class TooManyErrors(RuntimeError):
    """The system under load does not work: a figure would mean nothing."""


async def closed_loop(
    turn: Callable[[int], Awaitable[str]], plan: Plan, reading: Callable[[], T], *, expected: str
) -> Measured[T]:
    """Send turns until the window is over, and wait for those under way.

    `turn` takes the turn's number and returns the reply's text; `reading` is called at both edges of the window.
    Raises `TooManyErrors` after `ERRORS_MAX` turns that failed or were answered otherwise than `expected`.
    """
    first = reading()
    measured = Measured(plan, first, first)
    numbers = count()
    opened = over = False

    async def client() -> None:
        while not over:
            began_s = perf_counter()
            reason = await _reason_of_failure(turn, next(numbers), expected)
            latency_s = perf_counter() - began_s
            measured.turns_sent += 1
            if reason:
                _count_error(measured, reason)
            elif opened and not over:
                measured.turns += 1
                measured.latencies_s.append(latency_s)

    async with asyncio.TaskGroup() as clients:
        for _ in range(plan.in_flight):
            clients.create_task(client())
        await asyncio.sleep(plan.warmup_s)
        measured.before, began_s, opened = reading(), perf_counter(), True
        await asyncio.sleep(plan.window_s)
        measured.after, measured.seconds, over = reading(), perf_counter() - began_s, True
    return measured


def figures(measured: Measured[T], cpu_s: float) -> dict[str, float]:
    """The figures that everybody reports. `cpu_s`: processor time within the window, of all processes that took part."""
    latencies_s = sorted(measured.latencies_s)
    return {
        "turns_per_s": round(measured.turns / measured.seconds, 1),
        "p50_ms": round(percentile(latencies_s, 0.5) * 1000, 3),
        "p99_ms": round(percentile(latencies_s, 0.99) * 1000, 3),
        "cpu_ms_per_turn": round(cpu_s * 1000 / max(1, measured.turns), 4),
        "in_flight": measured.plan.in_flight,
        "seconds": round(measured.seconds, 3),
        "turns": measured.turns,
        "errors": measured.errors,
    }


def percentile(rising: Sequence[float], share: float) -> float:
    """The value that `share` of the values do not exceed (nearest rank); 0 when there is none."""
    return rising[min(len(rising) - 1, int(len(rising) * share))] if rising else 0.0


async def _reason_of_failure(turn: Callable[[int], Awaitable[str]], number: int, expected: str) -> str:
    try:
        reply = await turn(number)
    except Exception as error:  # noqa: BLE001 - a peer's client may raise anything; it is counted, and too many end the run
        return f"{type(error).__name__}: {error}"
    return "" if reply == expected else f"another reply than expected: {reply!r}"


def _count_error(measured: Measured[T], reason: str) -> None:
    measured.errors += 1
    measured.first_error = measured.first_error or reason[:REASON_CHARS_MAX]
    if measured.errors >= ERRORS_MAX:
        raise TooManyErrors(f"{measured.errors} turns failed, the first with: {measured.first_error}")
