"""The workflow runs of an engine: they begin with an event, live through restarts, and end.

- The delivery that begins a run is done with as soon as the run is recorded as running; from then on the run is found by its
  record, not by the progress of its agent.
- A run that ends tells those that it had called, by events of the same commit.
"""

import asyncio
import logging
from collections import deque

from penstock.core.agents.again import unwrapped
from penstock.core.agents.declaration import Agent
from penstock.core.agents.journal import decode_value
from penstock.core.agents.run_journal import CANCEL, VERSION, RunJournal
from penstock.core.agents.unit import RunChange, Status, letter_of
from penstock.core.events.envelope import Recorded
from penstock.core.events.envelope import run_id as run_id_of
from penstock.core.events.event import Event
from penstock.errors import Unavailable
from penstock.ports.state import StoredRun
from penstock.ports.store import Store
from penstock.runtime import exposing
from penstock.runtime.appending import Appender
from penstock.runtime.arrivals import Arrivals, takes
from penstock.runtime.continuing import next_round
from penstock.runtime.decoding import decoded_by, decoders_of
from penstock.runtime.lanes import Delivery
from penstock.runtime.lines import Line
from penstock.runtime.operations import owner
from penstock.runtime.outcomes import body_of, events_of, reason_of, require_annotated
from penstock.runtime.passing_on import PassingOn
from penstock.runtime.resumed import Resumed
from penstock.runtime.run_calls import RunCalls
from penstock.runtime.run_flow import RunFlow
from penstock.runtime.services import Services
from penstock.runtime.tasks import Tasks
from penstock.runtime.topology import Topology
from penstock.runtime.workflow_context import WorkflowContext, teller_of
from penstock.runtime.workflow_run import SHIELDED, Ending, WorkflowRun
from penstock.runtime.write_points import WritePoint

_log = logging.getLogger("penstock")
LIVING_MAX = 20_000
CLEANUP_S = 30.0  # what a run that is made to end may still do
CLOSED_WITHIN_S = 1.0  # and how long its code then has to end
DELIVERED_WITHIN_S = 1.0  # how long a resumed run that was being cancelled has to come to where that was


class Workflows:
    """The runs under way."""

    def __init__(self, topology: Topology, services: Services, store: Store, appender: Appender, tasks: Tasks) -> None:
        self._topology = topology
        self._services = services
        self._store = store
        self._appender = appender
        self._tasks = tasks
        self.calling = RunCalls(topology, services, appender, tasks)
        self.arrivals = Arrivals(topology, services, store, PassingOn(services, store, appender))
        self.calling.on_continued = self._continued
        self.arrivals.called = self.calling.called
        self.arrivals.on_ending = self._made_to_end
        self._places: dict[str, Recorded] = {}  # the event of each run, for its dead letter
        self._parked: deque[WorkflowRun] = deque()  # begun, and waiting for a place among the living
        self.resumed = Resumed(services, tasks)
        self.flow = RunFlow()
        self._living = 0
        self.living_max = LIVING_MAX

    def resume(self, run: WorkflowRun, recorded: Recorded, *, was_halted: bool) -> None:
        """Go on with a run that an earlier process left under way."""
        if was_halted:
            self._services.committer.add().runs.append(self._change(run, "running"))
        run.resumed = True
        self.flow.join(run, recorded)
        self._start(run, recorded)

    def keep(self, run: WorkflowRun, recorded: Recorded) -> None:
        """Know a run that does not go on: what comes for it is recorded."""
        self.arrivals.runs[run.run_id] = run
        self._places[run.run_id] = recorded

    async def until_the_end(self) -> None:
        """Be cancelled with all else when something fails, and let no run clean up then: it would wait for a commit for ever."""
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self._tasks.ending = True
            self._services.committer.stop(Unavailable("the engine", "commit", "it was stopped"))
            for run in self.arrivals.runs.values():
                if run.task is not None:
                    run.task.cancel()

    def drop(self, partition: int) -> None:
        """Leave the runs of a partition to its next owner, who finds them as they are in the store."""
        self.arrivals.drop(partition)
        for run_id, place in tuple(self._places.items()):
            if place.position.partition == partition:
                run = self.arrivals.runs.pop(run_id)
                del self._places[run_id]
                if run.lives:
                    self._living -= 1
                self.resumed.interrupted(run)
                self.flow.leave(run_id)
                run.close()

    def begin(self, delivery: Delivery, line: Line) -> None:
        """Begin a run for an event, together with the commit that is being collected.

        If it is `known`, an earlier process may have begun it, and not have come to a commit.
        """
        agent, recorded, known = delivery.agent, delivery.events[0], delivery.known
        self.flow.enter(delivery, line)
        run_id = run_id_of(recorded.event.id, agent.name)
        journal = self.arrivals.begun(run_id) or RunJournal(recalled=known)
        run = WorkflowRun(run_id, agent, recorded.event, journal)
        run.resumed = known  # a process may have died of it before it was recorded at all
        self._services.committer.add().runs.append(self._change(run, "running"))
        if agent.options.version != 1:
            self.arrivals.record(run_id, run.journal, VERSION, agent.options.version)
        self._start(run, recorded)

    async def recalled(
        self, agent: Agent, recorded: Recorded, stored: StoredRun, journal: RunJournal
    ) -> WorkflowRun | None:
        """Return a run of the store as it goes on here with a journal; None when the app has its code no more."""
        run_id = run_id_of(recorded.event.id, agent.name)
        cause, version = unwrapped(recorded).event, journal.find(VERSION)
        pinned = agent.of_version(1 if version is None else decode_value(version, int))
        if pinned is None:
            return None
        run = WorkflowRun(run_id, pinned, cause, journal)
        if not takes(pinned, run.cause.type):
            return None
        if stored.streamed:
            await self._services.streams.recall(teller_of(run, recorded.position.partition))
        await exposing.recall(run, self._store)
        return run

    def go_on(self, run: WorkflowRun, recorded: Recorded) -> None:
        """Go on with a run, together with the commit that is being collected, which says that it runs."""
        self.flow.join(run, recorded)
        self._start(run, recorded)

    def is_under_way(self, run_id: str) -> bool:
        return run_id in self.arrivals.runs

    def _continued(self, run: WorkflowRun, event: Event) -> None:
        """Have a run go on with an event and a journal that begins anew, by one commit; what is executed of it ends."""
        newest, recorded = self._topology.agents[run.agent.name], self._places[run.run_id]
        fresh = next_round(run, newest, event, self.calling, self._services)
        self._services.committer.add().runs.append(self._change(fresh, "running"))
        self._gone(run)
        run.close()
        self._start(fresh, recorded)

    def _gone(self, run: WorkflowRun) -> Recorded:
        """A run, or a round of it, is over: another one may live."""
        del self.arrivals.runs[run.run_id]
        if run.lives:
            self._make_room()
        self.resumed.acquitted(run)
        run.closed = True  # what it left behind does nothing more
        if run.bound is not None:
            run.bound.cancel()
        return self._places.pop(run.run_id)

    def goes_on(self, run_id: str) -> bool:
        """Whether the code of a run is executed here, and not about to end."""
        run = self.arrivals.runs.get(run_id)
        return run is not None and run.lives and not run.halted and run.ending is None

    def waits_for_people(self, run_id: str, *, asking: bool) -> None:
        """A run waits for a person, or for nobody any more."""
        run = self.arrivals.runs.get(run_id)
        if run is not None and not self.calling.stopping:
            self.resumed.acquitted(run)
            self._services.committer.add().runs.append(self._change(run, "asking" if asking else "running"))

    def _made_to_end(self, run_id: str, journal: RunJournal, ending: Ending) -> None:
        """Record that a run is to end, and what that cuts off; those that it waits for are told by the same commit."""
        run = self.arrivals.runs.get(run_id)
        if run is not None:
            ending.cut = [step for step in run.under_way if SHIELDED not in step.rpartition("/")[0]]
        self.arrivals.record(run_id, journal, CANCEL, ending)
        if run is None:
            return
        run.ending = ending
        for step in ending.cut:
            if step in run.open and not step.endswith("/result"):
                self.calling.abandon(run, step)
        if run.halted or not journal.has_begun:
            self._ends(run, ending.status, reason=ending.reason)
        elif run.parked:
            self._lives(run)
        elif run.task is not None:  # otherwise it is about to go on, and is told then
            run.deliver()
            self._tasks.start(self._bound_cleanup(run))

    # one run

    def _start(self, run: WorkflowRun, recorded: Recorded) -> None:
        self.keep(run, recorded)
        if run.ending is not None and not run.journal.has_begun:
            self._ends(run, run.ending.status, reason=run.ending.reason)  # nothing of its code has run
            return
        if run.agent.options.lifetime_s is not None and run.ending is None:
            self._tasks.start(self._bound_life(run, run.agent.options.lifetime_s))
        if self._living < self.living_max or run.ending is not None:
            self._lives(run)
        else:
            run.parked = True
            self._parked.append(run)

    def _lives(self, run: WorkflowRun) -> None:
        run.parked, run.lives = False, True
        self._living += 1
        self._tasks.start(self._live_again(run) if run.resumed else self._live(run))

    async def _live_again(self, run: WorkflowRun) -> None:
        if not await self.resumed.may_go_on(run):
            reason = f"the process died {run.deaths} times while it was resumed"
            _log.error("workflow run %s is given up: %s", run.run_id, reason)
            self._ends(run, "failed", reason=reason)
        elif not self._is_over(run):
            await self._live(run)

    async def _live(self, run: WorkflowRun) -> None:
        run.task = asyncio.current_task()
        owner.set(run.task)
        if (traces := self._services.traces) is not None:
            traces.lives(run.run_id, run.agent.name, run.cause, resumed=run.resumed)
        if run.ending is not None:
            self._tasks.start(self._bound_cleanup(run, DELIVERED_WITHIN_S))
        try:
            await self._led(run)
        except asyncio.CancelledError as error:
            if self.arrivals.runs.get(run.run_id) is not run:
                return  # it took too long to clean up, and was ended without its code
            if (
                run.task is None
                or (run.task.cancelling() and not (run.halted or run.delivered))
                or self.calling.stopping
            ):
                raise  # the engine ends: the run goes on at the next start
            if run.halted:
                self._halts(run)
            elif run.ending is not None:
                self._ends(run, run.ending.status, reason=run.ending.reason)
            else:
                self._ends(run, "failed", reason=reason_of(error))
        except Exception as error:  # noqa: BLE001 - a workflow is the user's code: it may raise anything
            self._fails(run, error)

    async def _led(self, run: WorkflowRun) -> None:
        """Call the workflow's code, and end the run with what it returns."""
        event = decoded_by(decoders_of(run.agent), run.agent, run.cause)
        partition = self._places[run.run_id].position.partition
        context = WorkflowContext(run, self.calling, self._services, partition)
        try:
            result = await run.agent.handler(event, context)
        finally:
            context.over = True
        if self._is_over(run) or self._differs(run):
            return
        require_annotated(run.agent, result)
        body, emitted = body_of(result), events_of(result)
        if run.ending is not None:
            self._ends(run, run.ending.status, reason=run.ending.reason, body=body)
            return
        for each in emitted:
            self._appender.check(each, None, run.cause)
        self._ends(run, "succeeded", body=body, emitted=emitted)

    def _fails(self, run: WorkflowRun, error: Exception) -> None:
        if self._is_over(run) or self._differs(run):
            return
        reason = reason_of(error)
        if run.ending is not None:
            reason = f"{run.ending.reason}; its clean-up failed: {reason}"
            self._ends(run, run.ending.status, reason=reason)
            return
        _log.warning("workflow run %s failed: %s", run.run_id, reason)
        self._ends(run, "failed", reason=reason)

    def _is_over(self, run: WorkflowRun) -> bool:
        """Whether it does not matter any more what the code comes to."""
        return self.calling.stopping or self.arrivals.runs.get(run.run_id) is not run

    def _differs(self, run: WorkflowRun) -> bool:
        """Whether the code ended without asking for all that the journal has; then the run halts."""
        left = [] if run.ending is not None or run.halted else run.journal.unasked()
        if left:
            run.halted = f"the code ends without asking for {left[0]!r}, which the journal has"
        if run.halted:
            self._halts(run)
        return bool(run.halted)

    def _halts(self, run: WorkflowRun) -> None:
        """Leave the run as it is recorded, for code that fits it."""
        _log.error("workflow run %s halts: %s", run.run_id, run.halted)
        run.task, run.lives = None, False
        self._make_room()
        self.write_halt(run)

    def write_halt(self, run: WorkflowRun) -> None:
        """Have the store, and whoever waits for the run, know that it has halted, and why."""
        self.resumed.acquitted(run)
        change = self._change(run, "halted")
        change.reason = run.halted
        releases, run_id, reason = self._services.releases, run.run_id, run.halted
        self._services.committer.add(lambda: releases.halted(run_id, reason)).runs.append(change)
        self.flow.leave(run_id)

    async def _bound_cleanup(self, run: WorkflowRun, within_s: float = 0.0) -> None:
        """Give the code of a run that is made to end some time to come to that, and to clean up."""
        clock = self._services.clock
        if within_s:
            await clock.sleep(within_s)
            run.deliver()
        await clock.sleep(CLEANUP_S)
        if self.arrivals.runs.get(run.run_id) is run:
            run.close()
            await clock.sleep(CLOSED_WITHIN_S)
        if self.arrivals.runs.get(run.run_id) is run and run.ending is not None:
            self._ends(run, run.ending.status, reason=f"{run.ending.reason}; its clean-up took too long")

    async def _bound_life(self, run: WorkflowRun, lifetime_s: float) -> None:
        clock = self._services.clock
        run.bound = asyncio.current_task()
        since_ms = max(run.cause.time_ms, run.journal.redriven_ms)  # who redrives it gives it its time anew
        left_s = (since_ms - clock.now_ms()) / 1000 + lifetime_s
        await clock.sleep(max(0.0, min(left_s, lifetime_s)))
        if self.arrivals.runs.get(run.run_id) is run and run.ending is None:
            run.bound = None
            ending = Ending(f"TimeoutError: no result within timeout_s={lifetime_s:g}", [], "failed")
            self._made_to_end(run.run_id, run.journal, ending)

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
        place = self._gone(run)
        if services.traces is not None:
            services.traces.ended(run.run_id, run.agent.name, cause, status)
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
            writes.dead.append(letter_of(change, place))
        self.arrivals.answer(run.agent.name, cause, run.run_id, body, reason, end=f"journal/{run.journal.stored}")
        for recorded in told:
            self.calling.on_appended(recorded)
        for step in [step for step, on_end in run.open.items() if on_end == "cancel"]:
            self.calling.abandon(run, step)
        for listening in run.journal.listening.values():
            self.calling.listen_no_more(run, listening)
        self.flow.leave(run.run_id)
        services.reached(WritePoint.AFTER_HANDLING)

    def _make_room(self) -> None:
        """One run less lives: the next one that waits for a place does."""
        self._living -= 1
        while self._parked and self._living < self.living_max:
            run = self._parked.popleft()
            if run.parked and self.arrivals.runs.get(run.run_id) is run:
                self._lives(run)

    def _change(self, run: WorkflowRun, status: Status) -> RunChange:
        cause, now_ms = run.cause, self._services.clock.now_ms()
        attempt = run.attempt + run.deaths
        change = RunChange(run.run_id, run.agent.name, cause.tenant, cause.key, status, attempt, now_ms)
        run.known = change
        return change
