"""docs/chaos.md: what came of `make chaos`, as a page for people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fault_trial import FaultOutcome
from made_on import made_on

from penstock.testing.chaos.shop import CUSTOMERS
from penstock.testing.chaos.trial import ORDERS, TRIPS, Outcome

NUMBERS = ("kills", "acknowledged", "lost", "duplicated", "out_of_order", "repeated", "seconds")


@dataclass
class Found:
    """What came of all scenes so far."""

    points: dict[str, list[Outcome]] = field(default_factory=dict)  # place -> one for each write point
    faults: list[FaultOutcome] = field(default_factory=list)
    takeovers: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether everything was tried, and held."""
        points = [row for rows in self.points.values() for row in rows]
        return (
            bool(points or self.faults or self.takeovers)
            and all(each.holds for each in points)
            and all(each.holds and not each.untried for each in self.faults)
            and all(each["holds"] for each in self.takeovers)
        )


def page(found: Found) -> str:
    """Return the page."""
    lines = [
        "# Chaos",
        "",
        "Made by `make chaos`; do not edit. Real processes of an app and real servers are killed, frozen, cut off and filled up while",
        "orders come in; what happened is noted outside of all stores, and compared with what clients were told.",
        "",
        *(_points(found.points) if found.points else ()),
        *(_faults(found.faults) if found.faults else ()),
        *(_takeovers(found.takeovers) if found.takeovers else ()),
        f"{made_on()} All of it: {found.seconds:.0f} s, several scenes at once.",
        "Postgres runs here with `fsync=off`: its clients and it are killed, the machine is not.",
    ]
    return "\n".join(lines) + "\n"


def _points(points: Mapping[str, Sequence[Outcome]]) -> list[str]:
    lines = [
        "## Killed at each write point",
        "",
        "An app is killed with SIGKILL at each named write point of the engine (`penstock.testing.WritePoint`), again and again, each",
        f"time at another moment; the next process goes on on the same store. {ORDERS} orders of {CUSTOMERS} customers and {TRIPS} workflow runs are to",
        "come through. `redis+sqlite`: events go over Redis Streams, with the state in SQLite; those of Kafka and NATS likewise.",
        "",
        "- **acknowledged**: events whose `send` had returned, and answers that clients had been told, before a kill.",
        "- **lost**: of them, what is not on the disk after the kill, or is answered differently at the end; and orders without an end.",
        "- **duplicated**: steps executed although their record was durable, or under a second key; orders counted twice.",
        "- **out of order**: effects of one key, against the order of the log.",
        "- **repeated with the same key**: executed again because the kill came between the execution and its durable record",
        "  (C4: the outcome is unknown, and the policy is to call again with the same idempotency key). The receiver can tell.",
        "",
        "| place | killed | kills | acknowledged | lost | duplicated | out of order | repeated with the same key | seconds |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for place, rows in points.items():
        lines += [
            f"| {place} | {row.point} | {row.kills} | {row.acknowledged} | {row.lost} | {row.duplicated} "
            f"| {row.out_of_order} | {row.repeated} | {row.seconds:.1f} |"
            for row in rows
        ]
        total = [round(sum(getattr(row, name) for row in rows), 1) for name in NUMBERS]
        lines.append(f"| {place} | **all** | " + " | ".join(f"**{each:g}**" for each in total) + " |")
    findings = [
        f"- {place}, {row.point}: {each}" for place, rows in points.items() for row in rows for each in row.findings
    ]
    return [*lines, "", *findings, *([""] if findings else [])]


def _faults(outcomes: Sequence[FaultOutcome]) -> list[str]:
    lines = [
        "## Servers, networks, disks and clocks that fail",
        "",
        "Two workers (`penstock run --workers 2`) and a third one that sends orders of 8 customers go on while something fails: a server",
        "is killed (SIGKILL, started again after 1 s on the same data) or frozen (4 s); a TCP proxy before it cuts all connections (3 s),",
        "holds them up (3 s) or makes each piece late (50 ms); its disk is full (3 s); a worker is killed; workers join and leave without a",
        "pause for 20 s (storm); one of three nodes of Kafka is lost for good; the clocks of two workers are set an hour ahead, an hour",
        "behind and ahead again, and one of them is killed before they are right; orders come that fail each time, and messages that are",
        "no events (poison), or an order that kills whoever handles it (deadly poison). Each order is charged, shipped, and thanked for by",
        "a timer. A broker has SQLite behind it. **lost**: acknowledged, and not shipped, or not thanked for. **pause**: the longest time in",
        "which nothing of one customer was shipped; after a worker's death that is the takeover. **repeated**: since a worker died, or was",
        "away from its store for longer than its claim holds, so that another went on. Nobody helps: all of it mends itself.",
        "",
        "| servers | fault | orders | lost | doubled | out of order | repeated with the same key | pause, s | seconds |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    tried = [each for each in outcomes if not each.untried]
    lines += [
        f"| {each.place} | {each.fault} | {each.orders} | {each.lost} | {each.doubled} | {each.out_of_order} "
        f"| {each.repeated} | {each.pause_s:g} | {each.seconds:g} |"
        for each in tried
    ]
    findings = [f"- {each.place}, {each.fault}: {finding}" for each in tried for finding in each.findings]
    findings += [f"- {each.place}, {each.fault}: not tried: {each.untried}" for each in outcomes if each.untried]
    return [*lines, "", *findings, *([""] if findings else [])]


def _takeovers(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [
        "## Takeover",
        "",
        "Seconds from SIGKILL of one of two workers to the first answer to an event of its keys that was sent after it",
        "(`make takeover`), while nothing else runs.",
        "",
        "| store | rounds | median, s | longest, s | once and in order |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    lines += [
        f"| {each['store']} | {each['rounds']} | {each['median_s']:.2f} | {each['longest_s']:.2f} "
        f"| {'yes' if each['once_in_order'] else 'NO'} |"
        for each in rows
    ]
    findings = [f"- {each['store']}: {each['finding']}" for each in rows if each.get("finding")]
    return [*lines, "", *findings, *([""] if findings else [])]
