"""How often and how fast something is tried again."""

from dataclasses import dataclass
from math import inf

from penstock.errors import Finding


@dataclass(frozen=True, slots=True)
class Retry:
    """Exponential backoff with full jitter, bounded (C6). `attempts_max` counts the first attempt too.

    The wait before attempt n + 1 is uniform in [bound / 10, bound) with bound = min(delay_max_s, delay_s * factor **
    (n - 1)): "full jitter" of Brooker, Exponential Backoff And Jitter (AWS Architecture Blog, 2015), with a floor.
    """

    attempts_max: int = 5
    delay_s: float = 0.2
    factor: float = 2.0
    delay_max_s: float = 30.0

    def wait_s(self, attempt: int, chance: float) -> float:
        """Return how long to wait after failed `attempt` (1 for the first), for a `chance` in [0, 1)."""
        try:
            bound = min(self.delay_max_s, self.delay_s * float(self.factor) ** (attempt - 1))
        except OverflowError:  # 2.0 ** 1100: past the bound the power no longer matters
            bound = self.delay_max_s if self.delay_s else 0.0
        return bound * (0.1 + 0.9 * chance)

    def findings(self, path: str) -> list[Finding]:
        """Return what is wrong with the numbers."""
        rules = (
            ("attempts_max", self.attempts_max >= 1, "1 or more"),
            ("delay_s", self.delay_s >= 0, "0 or more"),
            ("factor", 1 <= self.factor < inf, "1 or more"),
            ("delay_max_s", self.delay_s <= self.delay_max_s < inf, "at least delay_s, and finite"),
        )
        return [
            Finding(f"{path}.{name}", f"is {getattr(self, name)!r}", hint) for name, holds, hint in rules if not holds
        ]


DEFAULT_RETRY = Retry()
NO_RETRY = Retry(attempts_max=1)
