"""Where time, chance and new ids come from, so that a simulation can decide them. Contract: `penstock.testing.clock_contract`."""

from typing import Protocol


class Clock(Protocol):
    """The outside's time and chance.

    K1 forward   `monotonic_s` never goes back; `now_ms` may (a wall clock is set).
    K2 unique    `new_id` never returns the same id twice, in any process; ids made later sort later (per process).
    K3 chance    `random` is uniform in [0, 1).
    """

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""
        ...

    def monotonic_s(self) -> float:
        """Seconds since some fixed moment."""
        ...

    def new_id(self) -> str:
        """Return a new id of 26 characters (ULID, Crockford base 32)."""
        ...

    def random(self) -> float: ...

    async def sleep(self, delay_s: float) -> None: ...
