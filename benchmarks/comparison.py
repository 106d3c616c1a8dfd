"""What was found: the runs of all sides, their medians and ratios. Values only."""

from dataclasses import dataclass, field
from statistics import median
from typing import Any

from sides import Side
from workloads import Load

Key = tuple[str, int]  # workload, in flight


@dataclass(slots=True)
class Comparison:
    """All runs: side name -> the figures of its rounds, for each load."""

    rounds: int
    loads: list[Load]
    sides: list[Side]
    found: dict[Key, dict[str, list[dict[str, Any]]]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    alone: dict[str, Any] = field(default_factory=dict)  # what was measured of penstock alone

    def takers(self, load: Load) -> list[Side]:
        return [side for side in self.sides if side.takes(load)]

    def runs(self, load: Load, side: str) -> list[dict[str, Any]]:
        return self.found.get(key_of(load), {}).get(side, [])

    def medians(self, load: Load, side: str) -> dict[str, float | None]:
        """The median of each figure over the rounds."""
        runs = self.runs(load, side)
        return {name: median_of([each.get(name) for each in runs]) for name, _ in load.workload.columns}

    def spread(self, load: Load, side: str) -> tuple[float, float] | None:
        """The rounds' lowest and highest rate; None when there were fewer than two."""
        rates = [each[load.workload.rate] for each in self.runs(load, side)]
        return (min(rates), max(rates)) if len(rates) > 1 else None

    def times_as_fast(self, load: Load, mine: str, theirs: str) -> float | None:
        """The median, over the rounds, of how many times as fast one side was as another in the same round."""
        rate = load.workload.rate
        pairs = zip(self.runs(load, mine), self.runs(load, theirs), strict=False)
        return median_of([load.workload.times_as_fast(one[rate], other[rate]) for one, other in pairs])

    def figures(self) -> dict[str, Any]:
        """All of it, as JSON."""
        return {
            "machine": self.machine,
            "missing": self.missing,
            "rounds": self.rounds,
            "loads": [self._load(load) for load in self.loads],
            "alone": self.alone,
        }

    def _load(self, load: Load) -> dict[str, Any]:
        takers = self.takers(load)
        return {
            "workload": load.workload.name,
            "in_flight": load.in_flight,
            "medians": {side.name: self.medians(load, side.name) for side in takers},
            "times_as_fast": {
                mine.name: {
                    side.name: self.times_as_fast(load, mine.name, side.name) for side in takers if not side.is_ours
                }
                for mine in takers
                if mine.compared
            },
            "runs": self.found.get(key_of(load), {}),
        }


def key_of(load: Load) -> Key:
    return load.workload.name, load.in_flight


def median_of(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
