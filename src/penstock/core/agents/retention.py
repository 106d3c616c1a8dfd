"""How long what has been dealt with is kept (C9). What is under way, and dead letters, are kept whatever is said here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite

from msgspec import Struct

from penstock.errors import Finding, Invalid

DAY_MS = 24 * 3600 * 1000
DAYS_MAX = 36_525


@dataclass(frozen=True, slots=True)
class Keep:
    """How much of a topic is kept: for `days`, and at most the newest `count` events per partition. None: without bound."""

    days: float | None = 30.0
    count: int | None = None


FOREVER = Keep(days=None)


@dataclass(frozen=True, slots=True)
class Retention:
    """How long an app keeps what has been dealt with. Days count from the event's time, and from the end of a run.

    `events`: what is kept of each topic, unless `topics` says otherwise; the log of knowledge is kept whole unless it is named.
    `journals_days`: the steps and streams of a run that ended. `runs_days`: its status and result, which go with its event.
    `journals_count`, `runs_count`: at most those of the newest runs of an agent that ended, however young. `values_days`: the
    values of an agent, from when they were last written. `archive`: a folder that gets what goes before it goes: events with
    their runs, journals and streams, but no messages, which have their own time to live, and no values.
    `every_s`: how often is looked for what may go. `@app.agent(retention=...)` says other numbers for its runs and values.
    """

    events: Keep = field(default_factory=Keep)
    topics: Mapping[str, Keep] = field(default_factory=dict[str, Keep])
    journals_days: float | None = 7.0
    runs_days: float | None = 30.0
    every_s: float = 3600.0
    journals_count: int | None = None
    runs_count: int | None = None
    values_days: float | None = None
    archive: str = ""

    def of_topic(self, topic: str, kept_whole: frozenset[str]) -> Keep:
        """Return what is kept of a topic."""
        return self.topics.get(topic, FOREVER if topic in kept_whole else self.events)

    def findings(self, path: str) -> list[Finding]:
        """Return what is wrong with the numbers."""
        found = [
            Finding(f"{path}.{name}", f"is {days!r}", f"days, from 0 to {DAYS_MAX}, or None")
            for name, days in (
                ("events.days", self.events.days),
                *((f"topics[{topic!r}].days", keep.days) for topic, keep in self.topics.items()),
                ("journals_days", self.journals_days),
                ("runs_days", self.runs_days),
                ("values_days", self.values_days),
            )
            if days is not None and not 0 <= days <= DAYS_MAX
        ]
        counts = [("events.count", self.events.count)]
        counts += [("journals_count", self.journals_count), ("runs_count", self.runs_count)]
        counts += [(f"topics[{topic!r}].count", keep.count) for topic, keep in self.topics.items()]
        found += [
            Finding(f"{path}.{name}", f"is {count!r}", "1 or more, or None")
            for name, count in counts
            if count is not None and count < 1
        ]
        if not (isfinite(self.every_s) and self.every_s > 0):
            found.append(Finding(f"{path}.every_s", f"is {self.every_s!r}", "more than 0, and finite"))
        return found


DEFAULT_RETENTION = Retention()


def require_valid(retention: Retention, what: str) -> None:
    """Raise `Invalid` with all that is wrong with a retention."""
    if findings := retention.findings("retention"):
        raise Invalid(what, tuple(findings))


class Ended(Struct, frozen=True):
    """Runs of one agent that ended before these moments: 0 for none at all."""

    runs_before_ms: int = 0
    journals_before_ms: int = 0


class RunRules(Struct, frozen=True):
    """Which runs may go, by agent."""

    default: Ended
    agents: Mapping[str, Ended]

    def of(self, agent: str) -> Ended:
        return self.agents.get(agent, self.default)

    def run_may_go(self, agent: str, at_ms: int) -> bool:
        return at_ms < self.of(agent).runs_before_ms

    def journal_may_go(self, agent: str, at_ms: int) -> bool:
        ended = self.of(agent)
        return at_ms < max(ended.journals_before_ms, ended.runs_before_ms)

    @property
    def newest_ms(self) -> int:
        """The moment after which no rule lets anything go."""
        rules = (self.default, *self.agents.values())
        return max(max(each.runs_before_ms, each.journals_before_ms) for each in rules)


def before_ms(now_ms: int, days: float | None) -> int:
    """Return the moment before which something is too old; 0: nothing is."""
    return 0 if days is None else max(0, now_ms - int(days * DAY_MS))


def run_rules(
    retention: Retention, agents: Mapping[str, Retention], now_ms: int, newest: Mapping[str, Ended] | None = None
) -> RunRules:
    """Return which runs may go at a time. `newest`: the moments before which there are more than enough runs of an agent."""
    default = _ended(retention, now_ms)
    rules = {name: _ended(each, now_ms) for name, each in agents.items()}
    for agent, counted in (newest or {}).items():
        rule = rules.get(agent, default)
        runs_ms = max(rule.runs_before_ms, counted.runs_before_ms)
        rules[agent] = Ended(runs_ms, max(rule.journals_before_ms, counted.journals_before_ms))
    return RunRules(default, rules)


class Counting:
    """Finds the moments before which runs are too many: it is told the runs of each agent, the newest first."""

    def __init__(self, limits: Mapping[str, Retention]) -> None:
        self._limits = {
            agent: (each.runs_count, each.journals_count)
            for agent, each in limits.items()
            if each.runs_count is not None or each.journals_count is not None
        }
        self._seen: dict[str, list[int]] = {}
        self.newest: dict[str, Ended] = {}

    @property
    def is_done(self) -> bool:
        return self._limits.keys() == self.newest.keys()

    def add(self, agent: str, at_ms: int) -> None:
        """Count a run that ended."""
        if agent not in self._limits or agent in self.newest:
            return
        seen = self._seen.setdefault(
            agent, [0, at_ms, at_ms]
        )  # how many; the oldest among those for runs, for journals
        runs, journals = self._limits[agent]
        seen[0] += 1
        if runs is None or seen[0] <= runs:
            seen[1] = min(seen[1], at_ms)
        if journals is None or seen[0] <= journals:
            seen[2] = min(seen[2], at_ms)
        if seen[0] >= max(runs or 0, journals or 0):
            self.newest[agent] = Ended(0 if runs is None else seen[1], 0 if journals is None else seen[2])


def _ended(retention: Retention, now_ms: int) -> Ended:
    return Ended(before_ms(now_ms, retention.runs_days), before_ms(now_ms, retention.journals_days))
