"""Counters, and a register, that several write at once, and that merge without anybody being asked.

Each replica counts for itself, and a merge takes the larger count of each: so what comes twice, late or in another order counts
once. All are immutable, and can be kept: `await ctx.values.set("used", used)`.
"""

from collections.abc import Mapping

from msgspec import Struct

from penstock.errors import Refused


class GCounter(Struct, frozen=True):
    """A counter that only grows."""

    counts: Mapping[str, int] = {}

    def added(self, replica: str, by: int = 1) -> "GCounter":
        """Return the counter after a replica has counted. A replica adds to its own newest state only."""
        if by < 0:
            raise Refused(f"a counter that only grows was to grow by {by}", "use a PNCounter")
        return GCounter({**self.counts, replica: self.counts.get(replica, 0) + by})

    def merge(self, other: "GCounter") -> "GCounter":
        """Return what both have counted together, each thing once."""
        replicas = self.counts.keys() | other.counts.keys()
        return GCounter({each: max(self.counts.get(each, 0), other.counts.get(each, 0)) for each in replicas})

    @property
    def value(self) -> int:
        return sum(self.counts.values())


class PNCounter(Struct, frozen=True):
    """A counter that goes up and down: what was taken, and what was given back."""

    up: GCounter = GCounter()
    down: GCounter = GCounter()

    def added(self, replica: str, by: int = 1) -> "PNCounter":
        """Return the counter after a replica has counted, down for a negative number."""
        if by < 0:
            return PNCounter(self.up, self.down.added(replica, -by))
        return PNCounter(self.up.added(replica, by), self.down)

    def merge(self, other: "PNCounter") -> "PNCounter":
        """Return what both have counted together, each thing once."""
        return PNCounter(self.up.merge(other.up), self.down.merge(other.down))

    @property
    def value(self) -> int:
        return self.up.value - self.down.value


class LWWRegister(Struct, frozen=True):
    """One value: the newest that was written counts; of two of the same time, that of the replica whose name sorts last."""

    value: str = ""
    at_ms: int = 0
    replica: str = ""

    def written(self, value: str, *, at_ms: int, replica: str) -> "LWWRegister":
        """Return the register after a write, which an older clock does not win."""
        return self.merge(LWWRegister(value, at_ms, replica))

    def merge(self, other: "LWWRegister") -> "LWWRegister":
        """Return the newer of the two."""
        return max(self, other, key=lambda each: (each.at_ms, each.replica, each.value))
