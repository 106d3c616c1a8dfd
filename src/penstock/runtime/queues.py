"""What waits for each agent of a running engine, and why. Counted when somebody asks, and not before."""

from collections.abc import Iterable

from msgspec import Struct

from penstock.core.agents.flow import Flow
from penstock.ports.log import EventLog
from penstock.runtime.appending import Appender
from penstock.runtime.lines import GatedLine, Line
from penstock.runtime.subscriptions import Subscription


class Queue(Struct, frozen=True):
    """The events of one agent that are not handled yet, in this worker's partitions."""

    agent: str
    running: int  # handlings under way
    waiting: int  # have their turn, and wait for a place, a limit or a rate
    held: int  # wait for another one of their key, for another attempt, or whether a later event supersedes them
    in_log: int  # not in memory yet
    oldest_ms: int | None  # when the oldest of them was accepted
    limits: tuple[str, ...]  # what the agent's flow says


async def queue_of(line: Line, subscriptions: Iterable[Subscription], log: EventLog, appender: Appender) -> Queue:
    """Count what is open for the agent of a line."""
    mine = list(subscriptions)
    in_memory = sum({id(each.lanes): each.lanes.held for each in mine}.values())
    in_log = sum(max(0, appender.end(each.topic, each.partition) - each.read_to) for each in mine)
    oldest: list[int] = []
    for each in mine:
        if each.progress.low < appender.end(each.topic, each.partition):
            oldest += [
                first.event.time_ms
                for first in await log.read(each.topic, each.partition, after=each.progress.low, limit=1)
            ]
    held = max(0, in_memory - line.running - line.waiting)
    return Queue(
        line.agent.name,
        line.gate.running if isinstance(line, GatedLine) and line.agent.options.workflow else line.running,
        line.waiting,
        held,
        in_log,
        min(oldest, default=None),
        limits_of(line.agent.options.flow),
    )


def limits_of(flow: Flow | None) -> tuple[str, ...]:
    """Return what a flow says, as short texts."""
    if flow is None:
        return ()
    said = [
        f"{each.at_once} at once{_by(each.by)}" + (" on each worker" if each.scope == "worker" else "")
        for each in flow.concurrencies
    ]
    said += [f"{each.count} in {each.per_s:g} s{_by(each.by)}" for each in flow.rates]
    said += [f"by {flow.priority}"] if flow.priority else []
    said += [f"debounce {flow.debounce_s:g} s"] if flow.debounce_s else []
    return (*said, *([flow.when_busy] if flow.when_busy else []))


def _by(field: str) -> str:
    return f" for each {field}" if field else ""
