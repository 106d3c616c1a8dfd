"""The questions that come with the demo, and how answers to them are counted."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from penstock.adapters.models.answering import NEAREST
from penstock.demo.team import Answer

FILE = Path(__file__).with_name("questions.jsonl")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question; `expected` names the sources that would be right, where that is known."""

    text: str
    expected: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """A question with its answer, and how long that took. `hit` is None where no source is expected."""

    asked: Asked
    answer: Answer
    ms: float

    @property
    def hit(self) -> bool | None:
        return any(source in self.asked.expected for source in self.answer.sources) if self.asked.expected else None


@dataclass
class Tally:
    """What is reported: of `asked` questions, those that were answered, and how long that took together."""

    asked: int = 0
    told: list[Told] = field(default_factory=list[Told])
    seconds: float = 0.0

    @property
    def answered(self) -> int:
        """How many got an answer from the documents, with at least one source named."""
        return sum(bool(each.answer.cited) for each in self.told)

    @property
    def only_nearest(self) -> int:
        """How many of these answers say themselves that they are no more than the nearest that was found."""
        return sum(bool(each.answer.cited) and each.answer.text.startswith(NEAREST) for each in self.told)

    @property
    def misses(self) -> list[Told]:
        """Return what was answered without an expected source among the passages found."""
        return [each for each in self.told if each.hit is False]

    @property
    def hit_at_5(self) -> float | None:
        """The share of questions with an expected source among the five passages found; None where none is expected."""
        hits = [each.hit for each in self.told if each.hit is not None]
        return round(sum(hits) / len(hits), 4) if hits else None

    @property
    def turns_per_s(self) -> float:
        return round(len(self.told) / self.seconds, 2) if self.seconds else 0.0

    def percentile_ms(self, share: float) -> float:
        times = sorted(each.ms for each in self.told)
        return round(times[min(len(times) - 1, int(len(times) * share))], 2) if times else 0.0


def shipped() -> list[Asked]:
    """Return the questions that are shipped with the demo."""
    lines = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [Asked(line["question"], tuple(line["expected"])) for line in lines]
