"""Workflow runs that an earlier process left under way: they go on, or halt where the app has no such workflow any more."""

import logging
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NoReturn

from penstock.core.agents.again import unwrapped
from penstock.core.agents.declaration import Agent, Options
from penstock.core.agents.policy import NO_RETRY
from penstock.core.agents.run_journal import RunJournal
from penstock.core.agents.unit import RunChange, Status
from penstock.core.events.envelope import Recorded, event_of
from penstock.errors import Finding, Invalid, Missing
from penstock.ports.state import RunFilter
from penstock.ports.store import Store
from penstock.runtime.resumed import deaths_of
from penstock.runtime.services import Services
from penstock.runtime.topology import Topology
from penstock.runtime.workflow_run import WorkflowRun
from penstock.runtime.workflows import Workflows

OPEN_MAX = 1_000_000
NAMED_MAX = 5  # runs that are named in one line of the log
UNDER_WAY: tuple[Status, ...] = ("running", "asking", "halted")
_log = logging.getLogger("penstock")


class Resuming:
    """Finds them in the store."""

    def __init__(self, topology: Topology, services: Services, store: Store, workflows: Workflows) -> None:
        self._agents = topology.agents
        self._services = services
        self._store = store
        self._workflows = workflows

    async def resume(self, partitions: Collection[int]) -> None:
        """Go on with the runs of these partitions that are under way; `Invalid` when the app has their version no more."""
        found: list[RunChange] = []
        for status in UNDER_WAY:
            found += await self._store.runs(RunFilter(status=status, limit=OPEN_MAX))
        homeless: list[str] = []
        nameless: list[RunChange] = []
        resumed: list[tuple[WorkflowRun, Recorded, Status]] = []
        for change in reversed(found):
            if self._workflows.is_under_way(change.run_id):
                continue  # it goes on already, and may have begun to ask meanwhile
            agent = self._agents.get(change.agent)
            if agent is None or not agent.options.workflow:
                nameless.append(change)
                continue
            recorded = await self._store.event(event_of(change.run_id)[0])
            if recorded is None or recorded.position.partition in partitions:
                run = await self._loaded(agent, change, recorded)
                if run is None or recorded is None:
                    homeless.append(change.run_id)
                else:
                    resumed.append((run, recorded, change.status))
        if homeless:
            hint = "keep the old code beside the new: @app.workflow(version=...)"
            problem = "is under way, and the app has its version, or the type of its event, no more"
            raise Invalid("the app's workflows", tuple(Finding(run_id, problem, hint) for run_id in homeless))
        await self._halt(nameless, partitions)
        for run, recorded, status in resumed:
            self._workflows.resume(run, recorded, was_halted=status == "halted")

    async def _loaded(self, agent: Agent, change: RunChange, recorded: Recorded | None) -> WorkflowRun | None:
        """Return a run as the store has it; None when the app has no code for it."""
        stored = await self._store.run(change.run_id)
        if stored is None or recorded is None:
            raise Missing(f"the event of run {change.run_id}", "the store is damaged: restore a backup")
        journal = RunJournal(stored.records, stored.chunks, recalled=True)
        run = await self._workflows.recalled(agent, recorded, stored, journal)
        if run is not None:
            run.known, run.deaths = stored.change, deaths_of(stored.change)
        return run

    async def _halt(self, found: Sequence[RunChange], partitions: Collection[int]) -> None:
        """Keep the runs of workflows that the app has no more: what comes for them is recorded, and they can be cancelled."""
        if not found:
            return
        halted: dict[str, list[str]] = {}
        asking: dict[str, list[str]] = {}
        done = await self._store.progress()
        for change in found:
            recorded = await self._store.event(event_of(change.run_id)[0])
            if recorded is None or recorded.position.partition not in partitions:
                continue
            place = recorded.position
            progress = done.get((change.agent, place.topic, place.partition))
            if progress is None or place.offset not in progress:
                if change.agent not in self._agents:  # an agent's event: it waits in the log for the agent
                    asking.setdefault(change.agent, []).append(change.run_id)
            elif change.status == "asking":
                asking.setdefault(change.agent, []).append(change.run_id)
            else:
                halted.setdefault(change.agent, []).append(change.run_id)
                await self._halt_one(change, recorded)
        for name, runs in halted.items():
            _log.error("%s; %d of its runs halt: %s", _why(name), len(runs), _named(runs))
        for name, runs in asking.items():
            _log.error("the app has no %r any more, and %d of its runs wait: %s", name, len(runs), _named(runs))

    async def _halt_one(self, change: RunChange, recorded: Recorded) -> None:
        stored = await self._store.run(change.run_id)
        assert stored is not None, change.run_id
        journal = RunJournal(stored.records, stored.chunks, recalled=True)
        agent = Agent(
            change.agent, _gone, (), (), Options(retry=NO_RETRY, workflow=True), wants_context=True, returns=Any
        )
        run = WorkflowRun(change.run_id, agent, unwrapped(recorded).event, journal)
        run.known, run.halted = change, f"{_why(change.agent)}: declare it again, and the run goes on"
        self._workflows.keep(run, recorded)
        if (change.status, change.reason) != ("halted", run.halted):
            self._workflows.write_halt(run)


async def _gone(event: object, ctx: object) -> NoReturn:
    """Stand in for the code that is not there."""
    raise AssertionError((event, ctx))


def _why(name: str) -> str:
    return f"the app has no workflow {name!r} any more"


def _named(runs: Iterable[str]) -> str:
    runs = list(runs)
    more = f" and {len(runs) - NAMED_MAX} more" if len(runs) > NAMED_MAX else ""
    return ", ".join(runs[:NAMED_MAX]) + more
