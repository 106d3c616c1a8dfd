"""An event loop in which sleeping is free: time jumps to the next timer as soon as nothing can run.

A year of retries takes milliseconds, and a program that waits for nothing fails at once instead of hanging.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from random import Random
from typing import Any, TypeVar

from penstock.testing.pacing import Looks, Pace

T = TypeVar("T")
_START_MS = 1_767_225_600_000  # 2026-01-01


class Stuck(AssertionError):
    """Every task waits, and no timer is set: a deadlock."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop whose clock stands still while anything can run."""

    def __init__(self) -> None:
        self._now_s = 0.0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        return self._now_s

    def jump(self, seconds: float) -> None:
        self._now_s += seconds


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise Stuck
            self._loop.jump(timeout)
        return ready


class VirtualClock:
    """A `Clock` on a virtual loop: all chance comes from one seed.

    `skew_ms` sets the wall clock off; with `drift` it goes faster or slower, by that part of every second. `pace`: what those
    see who look at it again and again, while no time passes.
    """

    def __init__(self, random: Random | None = None, name: str = "v", pace: Pace | None = None) -> None:
        self.looks = Looks(pace)
        self._random = random if random is not None else Random(0)
        self._name = name
        self._made = 0
        self.skew_ms = 0
        self.drift = 0.0

    def now_ms(self) -> int:
        passed_ms = int(asyncio.get_running_loop().time() * 1000 * (1 + self.drift))
        return self.looks.shown(_START_MS + passed_ms + self.skew_ms)

    def monotonic_s(self) -> float:
        return asyncio.get_running_loop().time()

    def new_id(self) -> str:
        self._made += 1
        return f"{self._name:X>10}{self._made:016d}"

    def random(self) -> float:
        return self._random.random()

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
