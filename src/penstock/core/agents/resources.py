"""What the handlings of an agent need where they are executed, and how many workers a host may have for them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf, isfinite

from penstock.errors import Finding

WORKERS_MAX = 1_000
HANDLINGS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Resources:
    """Of each worker: `cpus`, `gpus` (0.5: two share one), and `custom` ones by the cluster's own names.

    A pool has `workers_min` to `workers_max` workers, each with up to `handlings_max` handlings at once; one that had nothing to
    do for `idle_s` is let go. In one's own process none of this counts.
    """

    cpus: float = 1.0
    gpus: float = 0.0
    custom: Mapping[str, float] = field(default_factory=dict[str, float])
    workers_min: int = 0
    workers_max: int = 4
    handlings_max: int = 4
    idle_s: float = 60.0

    def findings(self, path: str) -> list[Finding]:
        """Return what is wrong with the numbers."""
        amounts = {
            "cpus": self.cpus,
            "gpus": self.gpus,
            **{f"custom[{name!r}]": each for name, each in self.custom.items()},
        }
        found = [
            Finding(f"{path}.{name}", f"is {each!r}", "a number, 0 or more")
            for name, each in amounts.items()
            if not (_is_number(each) and 0 <= each < inf)
        ]
        counts = (
            ("workers_max", self.workers_max, 1, WORKERS_MAX),
            ("handlings_max", self.handlings_max, 1, HANDLINGS_MAX),
            ("workers_min", self.workers_min, 0, self.workers_max),
        )
        found += [
            Finding(f"{path}.{name}", f"is {each!r}", f"a whole number, {least} to {most}")
            for name, each, least, most in counts
            if not (isinstance(each, int) and not isinstance(each, bool) and least <= each <= most)  # pyright: ignore[reportUnnecessaryIsInstance]
        ]
        if not (_is_number(self.idle_s) and isfinite(self.idle_s) and self.idle_s > 0):
            found.append(Finding(f"{path}.idle_s", f"is {self.idle_s!r}", "a number of seconds, more than 0"))
        return found


DEFAULT_RESOURCES = Resources()


def resources_findings(resources: object) -> list[Finding]:
    """Return what is wrong with what an agent declares; users without a type checker may give anything."""
    if resources is None:
        return []
    if not isinstance(resources, Resources):
        return [Finding("resources", f"is {resources!r}", "Resources(cpus=1, gpus=0.5, workers_max=4)")]
    return resources.findings("resources")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
