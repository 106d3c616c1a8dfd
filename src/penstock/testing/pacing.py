"""How a wall clock shows itself to those who look at it: two looks may see one moment, or two, and code must bear both.

    async with testing.app(app, pace="ticking") as live: ...
    async with app.running(store="memory:", clock=PacedClock("coarse")) as live: ...

- steady: as the machine's clock does.
- ticking: each look is at least a millisecond later than the one before, unless the clock was set back.
- coarse: it goes on in strides, so many looks see the same.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final, Literal, TypeAlias, get_args

from penstock.adapters.clock.system import SystemClock

Pace: TypeAlias = Literal["steady", "ticking", "coarse"]
PACES: Final[tuple[Pace, ...]] = get_args(Pace)
STRIDE_MS: Final = 1000


class _Usual:
    pace: Pace = "steady"


@contextmanager
def usually(pace: Pace) -> Generator[None]:
    """Give this pace to all clocks that are made in the block and have none of their own."""
    before, _Usual.pace = _Usual.pace, pace
    try:
        yield
    finally:
        _Usual.pace = before


class Looks:
    """The looks at one clock."""

    def __init__(self, pace: Pace | None = None, stride_ms: int = STRIDE_MS) -> None:
        self.pace: Pace = pace or _Usual.pace
        self._stride_ms = stride_ms
        self._at_ms = 0
        self._shown_ms = 0

    def shown(self, at_ms: int) -> int:
        """Return what a look at this moment sees."""
        match self.pace:
            case "steady":
                return at_ms
            case "coarse":
                return at_ms - at_ms % self._stride_ms
            case "ticking":
                was_set_back = at_ms < self._at_ms
                self._at_ms = at_ms
                self._shown_ms = at_ms if was_set_back else max(at_ms, self._shown_ms + 1)
                return self._shown_ms


class PacedClock(SystemClock):
    """The machine's own clock, at a pace of its own, for tests on a real loop."""

    def __init__(self, pace: Pace, stride_ms: int = 50) -> None:
        super().__init__()
        self._looks = Looks(pace, stride_ms)

    def now_ms(self) -> int:
        return self._looks.shown(super().now_ms())
