"""The code of an app, tried on runs that exist: before it is deployed (`penstock runs check`), and in tests.

What is tried is only read. It happens beside a scratch engine in memory; no model is asked, and no collection is opened.
"""

from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from penstock.app import App
from penstock.core.agents.rehearsed import History, Rehearsed
from penstock.core.agents.unit import RunChange, Status
from penstock.core.events.envelope import Recorded, event_of
from penstock.errors import Refused
from penstock.ports.clock import Clock
from penstock.ports.state import RunFilter, StoredRun
from penstock.runtime.engine import running
from penstock.runtime.models import Models
from penstock.runtime.rehearsing import rehearsed
from penstock.runtime.topology import Topology
from penstock.settings import Settings
from penstock.wiring import opened, topology_of

OPEN: tuple[Status, ...] = ("running", "asking", "halted")
ALL: tuple[Status, ...] = (*OPEN, "succeeded", "failed", "cancelled")
RUNS_MAX = 100_000


class Source(Protocol):
    """Where runs lie."""

    async def runs(self, which: RunFilter) -> Sequence[RunChange]: ...
    async def run(self, run_id: str) -> StoredRun | None: ...
    async def event(self, event_id: str) -> Recorded | None: ...


@dataclass(frozen=True, slots=True)
class Which:
    """Which runs are tried: the newest ones, `limit` at most."""

    statuses: tuple[Status, ...] = OPEN
    workflow: str | None = None
    tenant: str | None = None
    limit: int = RUNS_MAX


@dataclass(frozen=True, slots=True)
class Found:
    """The runs that are tried, and whether there are more of them."""

    changes: list[RunChange]
    is_all: bool


async def found(source: Source, which: Which, app: App) -> Found:
    """Return the runs to try: those of workflows, and of names that the app has no more."""
    changes: list[RunChange] = []
    topology, is_all = topology_of(app.declared), True
    for status in which.statuses:
        some = await source.runs(RunFilter(which.tenant, which.workflow, status, which.limit + 1))
        is_all = is_all and len(some) <= which.limit
        changes += [each for each in some if _may_be_workflow(topology, each)]
    return Found(changes[: which.limit], is_all and len(changes) <= which.limit)


async def histories(source: Source, changes: Iterable[RunChange]) -> AsyncGenerator[History]:
    """Yield what leading these runs again takes, one at a time; those that have gone meanwhile are left out."""
    for change in changes:
        stored = await source.run(change.run_id)
        event = await source.event(event_of(change.run_id)[0])
        if stored is not None and event is not None:
            yield History(stored.change, event, stored.records)


async def rehearsals(
    app: App, runs: AsyncIterable[History], *, clock: Clock | None = None
) -> AsyncGenerator[Rehearsed]:
    """Lead runs through their journals by the app's code of now, and yield what each would come to."""
    declared = replace(app.declared, collections=(), plans={})
    async with opened(declared, Settings(store="memory:"), clock=clock) as parts:
        models = Models(_Silent, parts.models.prompts)
        empty = replace(parts, topology=Topology({}), models=models, household=None)
        async with running(empty, owner="rehearsal") as scratch:
            async for history in runs:
                yield await rehearsed(history, parts.topology, scratch.services)


def _may_be_workflow(topology: Topology, change: RunChange) -> bool:
    agent = topology.agents.get(change.agent)
    return change.status in OPEN if agent is None else agent.options.workflow


class _Silent:
    """A model that is not asked: what it answered is in the journal, or the run rests."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def stream(self, request: Any) -> AsyncGenerator[Any]:
        raise Refused(f"model {self.name!r} is asked in a rehearsal", "ask it by ctx.model(...)")
        yield request
