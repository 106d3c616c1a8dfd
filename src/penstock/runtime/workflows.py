"""The workflow runs of an engine: they begin with an event, live through restarts, and end.

- The delivery that begins a run is done with as soon as the run is recorded as running; from then on the run is found by its
  record, not by the progress of its agent.
- Everything that reaches a run (the answer of a call, a signal) is recorded in its journal by the same commit that is done
  with the cause, and only then does the run go on: nothing reaches it twice.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Collection
from hashlib import blake2b
from typing import Any

from penstock.core.agents.again import unwrapped
from penstock.core.agents.declaration import Agent
from penstock.core.agents.journal import Journal, encode_value
from penstock.core.agents.unit import DeadLetter, RunChange, Status
from penstock.core.events.envelope import Envelope, Recorded
from penstock.core.events.envelope import run_id as run_id_of
from penstock.core.events.event import Event
from penstock.errors import Missing, Refused
from penstock.ports.state import RunFilter, StoredRun
from penstock.ports.store import Store
from penstock.runtime.appending import Appender
from penstock.runtime.decoding import decoded_by, decoders_of
from penstock.runtime.outcomes import body_of, events_of, reason_of, require_annotated
from penstock.runtime.passing_on import PassingOn
from penstock.runtime.services import Services
from penstock.runtime.steps import WorkflowSteps
from penstock.runtime.tasks import Tasks
from penstock.runtime.topology import Topology
from penstock.runtime.workflow_context import WorkflowContext, teller_of
from penstock.runtime.workflow_run import WorkflowRun
from penstock.runtime.write_points import WritePoint

_log = logging.getLogger("penstock")
LIVE_MAX = 20_000
OPEN_MAX = 1_000_000
UNDER_WAY: tuple[Status, ...] = ("running", "asking")


class Workflows:
    """The runs under way."""

    def __init__(self, topology: Topology, services: Services, store: Store, appender: Appender, tasks: Tasks) -> None:
        self._topology = topology
        self._services = services
        self._store = store
        self._appender = appender
        self._tasks = tasks
        self._runs: dict[str, WorkflowRun] = {}
        self._called: dict[str, dict[str, None]] = {}  # run -> the workflow runs that it waits for, in their order
        self._places: dict[str, Recorded] = {}  # the event of each run, for its dead letter
        self._parked: deque[WorkflowRun] = deque()  # begun, and waiting for a place among the living
        self._living = 0
        self.passing_on = PassingOn(services, store, appender)
        self.on_appended = _nowhere

    async def resume(self, partitions: Collection[int]) -> None:
        """Go on with the runs of these partitions that the store knows as running."""
        for agent in self._topology.agents.values():
            if agent.options.workflow:
                for status in UNDER_WAY:
                    for change in await self._store.runs(RunFilter(agent=agent.name, status=status, limit=OPEN_MAX)):
                        if change.run_id not in self._runs:  # one that goes on already may have begun to ask meanwhile
                            await self._resume(agent, change.run_id, partitions)

    def drop(self, partition: int) -> None:
        """Leave the runs of a partition to its next owner, who finds them as they are in the store."""
        for run_id, place in tuple(self._places.items()):
            if place.position.partition == partition:
                run = self._runs.pop(run_id)
                del self._places[run_id]
                if run in self._parked:
                    self._parked.remove(run)
                else:
                    self._living -= 1
                if run.task is not None:
                    run.task.cancel()

    def begin(self, agent: Agent, recorded: Recorded, *, known: bool) -> None:
        """Begin a run for an event, together with the commit that is being collected.

        `known`: an earlier process may have begun it, and not have come to a commit.
        """
        run = WorkflowRun(run_id_of(recorded.event.id, agent.name), agent, recorded.event, Journal(recalled=known))
        self._services.committer.add().runs.append(self._change(run, "running"))
        self._start(run, recorded)

    async def recalled(self, agent: Agent, recorded: Recorded, stored: StoredRun, journal: Journal) -> WorkflowRun:
        """Return a run of the store as it goes on here with a journal."""
        run_id = run_id_of(recorded.event.id, agent.name)
        run = WorkflowRun(run_id, agent, unwrapped(recorded).event, journal)
        if stored.streamed:
            await self._services.streams.recall(teller_of(run, recorded.position.partition))
        return run

    def go_on(self, run: WorkflowRun, recorded: Recorded) -> None:
        """Go on with a run, together with the commit that is being collected, which says that it runs."""
        self._start(run, recorded)

    def is_under_way(self, run_id: str) -> bool:
        return run_id in self._runs

    def waits_for_people(self, run_id: str, *, asking: bool) -> None:
        """A run waits for a person, or for nobody any more."""
        run = self._runs.get(run_id)
        if run is not None and not self._tasks.ending:
            self._services.committer.add().runs.append(self._change(run, "asking" if asking else "running"))

    def signal(self, run_id: str, name: str, payload: Any) -> None:
        """Record a signal in the run's journal, together with the commit that is done with it."""
        run = self._require(run_id)
        self._arrives(run, run.next_signal(name), {"payload": payload})

    def cancel(self, run_id: str, reason: str) -> None:
        """End a run where it is, and the workflows that it waits for."""
        run = self._require(run_id)
        run.cancelled = reason or "cancelled"
        if run.task is not None:
            run.task.cancel()

    def answer(self, agent: str, cause: Envelope, run_id: str, body: bytes, failed: str = "") -> None:
        """Tell the run that waits for this handling how it ended, if one does, together with the commit of that end."""
        wanted, _, step = cause.reply_step.partition(" ")
        run = self._runs.get(cause.reply_run)
        if wanted != agent:
            return
        if run is not None and run.journal.find(step) is None:
            self._arrives(run, step, {"failed": failed, "run_id": run_id} if failed else {"result": body})
        elif run is None:
            self.passing_on.answer(cause, step, run_id, self.on_appended)

    async def answered(self, run_id: str, step: str, by: str) -> None:
        """Tell a run how another one ended that it waits for, if it still does."""
        stored = await self._store.run(by)
        run = self._runs.get(run_id)
        if run is None or stored is None or run.journal.find(step) is not None:
            return
        change = stored.change
        has_failed = change.status != "succeeded"
        self._arrives(run, step, {"failed": change.reason, "run_id": by} if has_failed else {"result": change.result})

    # Calls

    def taker(self, agent: str, event: Event) -> Agent:
        found = self._topology.agents.get(agent)
        if found is None:
            raise Missing(f"the agent {agent!r}", f"this app has {', '.join(self._topology.agents)}")
        if type(event) not in found.accepts or found.options.batch:
            raise Refused(f"{agent!r} does not take {event.type_} one by one", "emit the event instead")
        return found

    def send(self, run: WorkflowRun, step: str, agent: str, event: Event) -> None:
        self._appender.check(event, None, run.cause)
        recorded = self._appender.called(
            event,
            run=run.run_id,
            cause=run.cause,
            number=_number_of(step),
            now_ms=self._services.clock.now_ms(),
            reply_step=f"{agent} {step}",
        )
        self._append(run, f"{step}/sent", recorded)

    def emit(self, run: WorkflowRun, step: str, event: Event, key: str | None) -> None:
        self._appender.check(event, key, run.cause)
        recorded = self._appender.emitted(
            event, key, run=run.run_id, cause=run.cause, number=_number_of(step), now_ms=self._services.clock.now_ms()
        )
        self._append(run, step, recorded)

    def _append(self, run: WorkflowRun, step: str, recorded: Recorded) -> None:
        """Append an event together with the record that it was."""
        self._services.committer.add().events.append(recorded)
        run.journal.record(step, encode_value(True, step), recorded.event.time_ms)
        self._services.committer.recorded(run.run_id, run.journal)
        self.on_appended(recorded)

    # one run

    async def _resume(self, agent: Agent, run_id: str, partitions: Collection[int]) -> None:
        event_id = run_id.rpartition(":")[0]
        recorded = await self._store.event(event_id)
        if recorded is not None and recorded.position.partition not in partitions:
            return
        stored = await self._store.run(run_id)
        if stored is None or recorded is None:
            raise Missing(f"the event of run {run_id}", "the store is damaged: restore a backup")
        journal = Journal(stored.records, stored.chunks, recalled=True)
        run = await self.recalled(agent, recorded, stored, journal)
        self._start(run, recorded)

    def _start(self, run: WorkflowRun, recorded: Recorded) -> None:
        self._runs[run.run_id] = run
        self._places[run.run_id] = recorded
        if run.cause.reply_run:
            self._called.setdefault(run.cause.reply_run, {})[run.run_id] = None
        if self._living < LIVE_MAX:
            self._living += 1
            self._tasks.start(self._live(run))
        else:
            self._parked.append(run)

    async def _live(self, run: WorkflowRun) -> None:
        run.task = asyncio.current_task()
        context = WorkflowContext(run, self, self._services, self._places[run.run_id].position.partition)
        try:
            event = decoded_by(decoders_of(run.agent), run.agent, run.cause)
            result = await run.agent.handler(event, context)
            require_annotated(run.agent, result)
            body, emitted = body_of(result), events_of(result)
            for each in emitted:
                self._appender.check(each, None, run.cause)
        except asyncio.CancelledError as error:
            if not run.cancelled:
                raise  # the engine ends: the run goes on at the next start
            assert run.task is not None
            run.task.uncancel()
            self._ends(run, "cancelled", reason=run.cancelled or str(error))
        except Exception as error:  # noqa: BLE001 - a workflow is the user's code: it may raise anything
            reason = reason_of(error)
            _log.warning("workflow run %s failed: %s", run.run_id, reason)
            self._ends(run, "failed", reason=reason)
        else:
            self._ends(run, "succeeded", body=body, emitted=emitted)
        finally:
            context.over = True

    def _ends(
        self,
        run: WorkflowRun,
        status: Status,
        *,
        reason: str = "",
        body: bytes = b"",
        emitted: list[Event] | None = None,
    ) -> None:
        services, cause = self._services, run.cause
        del self._runs[run.run_id]
        self._living -= 1
        if self._parked:
            self._living += 1
            self._tasks.start(self._live(self._parked.popleft()))
        place = self._places.pop(run.run_id)
        now_ms = services.clock.now_ms()
        told: list[Recorded] = [
            self._appender.emitted(each, None, run=run.run_id, cause=cause, number=number, now_ms=now_ms)
            for number, each in enumerate(emitted or ())
        ]
        correlation = cause.correlation_id or cause.id
        if status == "succeeded":
            writes = services.committer.add(lambda: services.releases.succeeded(run.run_id, correlation, body, told))
        else:
            writes = services.committer.add(lambda: services.releases.failed(run.run_id, correlation, reason, status))
        writes.events.extend(told)
        if status == "succeeded" and services.streams.runs:
            services.streams.settle(run.run_id)
        change = self._change(run, status)
        change.reason, change.result = reason, body
        change.records = services.committer.ended(run.run_id, run.journal)
        writes.runs.append(change)
        if status == "failed":
            writes.dead.append(DeadLetter(run.run_id, run.agent.name, place, reason, run.attempt, now_ms))
        self.answer(run.agent.name, cause, run.run_id, body, reason)
        for recorded in told:
            self.on_appended(recorded)
        services.reached(WritePoint.AFTER_HANDLING)
        self._cancel_children(run)

    def _cancel_children(self, run: WorkflowRun) -> None:
        """Nobody waits for the workflows any more that this run had called."""
        if (siblings := self._called.get(run.cause.reply_run)) is not None:
            siblings.pop(run.run_id, None)
            if not siblings:
                del self._called[run.cause.reply_run]
        for child in self._called.pop(run.run_id, {}):
            self.cancel(child, f"{run.run_id}, which called it, has ended")

    def _arrives(self, run: WorkflowRun, step: str, value: dict[str, Any]) -> None:
        WorkflowSteps(run.run_id, run.journal, run.cause, self._services).record(step, value)
        run.arrived(step)

    def _require(self, run_id: str) -> WorkflowRun:
        run = self._runs.get(run_id)
        if run is None:
            raise Missing(
                f"a workflow run {run_id!r} under way", "it has ended, or never began: see `penstock runs show`"
            )
        return run

    def _change(self, run: WorkflowRun, status: Status) -> RunChange:
        cause, now_ms = run.cause, self._services.clock.now_ms()
        return RunChange(run.run_id, run.agent.name, cause.tenant, cause.key, status, run.attempt, now_ms)


def _number_of(step: str) -> int:
    """Return a number for a step, so that a run that is resumed gives its event the same id again."""
    return int.from_bytes(blake2b(step.encode(), digest_size=6).digest(), "big")


def _nowhere(recorded: Recorded) -> None:
    """Stand in for an engine that is not running yet."""
