"""What is counted while an app works, and how it is said in Prometheus' text format (0.0.4).

Only what cannot be read off the engine's state is counted, and nothing of it once per event or step: a commit, a search, a call
of a model or embedder, an attempt that failed. All else is looked up when somebody asks. Labels are what an app declares.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from msgspec import Struct

SECONDS = (
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.15,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    300.0,
)
SIZES = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Labels = tuple[str, ...]


class Counter:
    """How often something happened, by labels."""

    def __init__(self) -> None:
        self.values: dict[Labels, float] = {}

    def add(self, *labels: str, by: float = 1.0) -> None:
        self.values[labels] = self.values.get(labels, 0.0) + by


class Histogram:
    """How large something was, by labels: how many were at most so large, for each bound, and the sum of all."""

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        self.bounds = bounds
        self.counts: dict[Labels, list[int]] = {}
        self.sums: dict[Labels, float] = {}

    def observe(self, value: float, *labels: str) -> None:
        counts = self.counts.get(labels)
        if counts is None:
            counts = self.counts[labels] = [0] * (len(self.bounds) + 1)
        counts[bisect_left(self.bounds, value)] += 1
        self.sums[labels] = self.sums.get(labels, 0.0) + value


class Meters:
    """What one engine counts."""

    def __init__(self) -> None:
        self.commits = Histogram()
        self.commit_units = Histogram(SIZES)
        self.retries = Counter()  # agent
        self.ended = Counter()  # agent, status
        self.model_calls = Histogram()  # model
        self.model_errors = Counter()  # model
        self.tokens = Counter()  # model, direction


class Sample(Struct, frozen=True):
    """One line."""

    suffix: str
    labels: tuple[tuple[str, str], ...]
    value: float


class Family(Struct, frozen=True):
    """A metric with all its lines."""

    name: str
    kind: str
    help: str
    samples: tuple[Sample, ...]


def gauge(name: str, help: str, names: Sequence[str], values: Iterable[tuple[Labels, float]]) -> Family:
    """Return what goes up and down."""
    return Family(name, "gauge", help, tuple(Sample("", _paired(names, labels), value) for labels, value in values))


def counter(name: str, help: str, names: Sequence[str], values: Iterable[tuple[Labels, float]]) -> Family:
    """Return what only goes up."""
    return Family(name, "counter", help, tuple(Sample("", _paired(names, labels), value) for labels, value in values))


def histogram(name: str, help: str, names: Sequence[str], *found: tuple[Histogram, Labels]) -> Family:
    """Return histograms of one name; the labels beside each come before its own."""
    samples: list[Sample] = []
    for one, before in found:
        for labels, counts in one.counts.items():
            said, total = _paired(names, (*before, *labels)), 0
            for bound, count in zip((*one.bounds, float("inf")), counts, strict=True):
                total += count
                samples.append(Sample("_bucket", (*said, ("le", _number(bound))), total))
            samples += [Sample("_sum", said, one.sums[labels]), Sample("_count", said, total)]
    return Family(name, "histogram", help, tuple(samples))


def exposition(families: Iterable[Family]) -> str:
    """Return metrics as Prometheus reads them."""
    lines: list[str] = []
    for family in families:
        lines += [f"# HELP {family.name} {_escaped(family.help, quotes=False)}", f"# TYPE {family.name} {family.kind}"]
        for sample in family.samples:
            labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in sample.labels)
            lines.append(f"{family.name}{sample.suffix}{f'{{{labels}}}' if labels else ''} {_number(sample.value)}")
    return "\n".join(lines) + "\n"


def _paired(names: Sequence[str], labels: Labels) -> tuple[tuple[str, str], ...]:
    return tuple(zip(names, labels, strict=True))


def _escaped(text: str, *, quotes: bool = True) -> str:
    plain = text.replace("\\", "\\\\").replace("\n", "\\n")
    return plain.replace('"', '\\"') if quotes else plain


def _number(value: float) -> str:
    if value == float("inf"):
        return "+Inf"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)  # noqa: PLR2004 - exact as floats
