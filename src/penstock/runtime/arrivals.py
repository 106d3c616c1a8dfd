"""What comes for workflow runs: signals, cancellations, answers of those that they called.

It is recorded in the journal of the run by the same commit that is done with its cause, and only then the run goes on: nothing
reaches it twice, and nothing is lost, also when it has not begun yet, waits for a place, or has halted.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from penstock.core.agents.again import TOPIC as AGAIN
from penstock.core.agents.again import unwrapped
from penstock.core.agents.control import AnswerTask, EventHeard, StopMachine
from penstock.core.agents.declaration import Agent
from penstock.core.agents.journal import encode_value
from penstock.core.agents.listening import CHANNEL
from penstock.core.agents.machine_records import ANSWER, STOP
from penstock.core.agents.run_journal import CANCEL, RunJournal
from penstock.core.agents.unit import Status
from penstock.core.events.envelope import Envelope, Recorded, event_of
from penstock.errors import LimitReached, Missing, Refused, Unavailable
from penstock.ports.store import Store
from penstock.runtime.appending import Appended
from penstock.runtime.decoding import decoders_of
from penstock.runtime.lanes import Delivery
from penstock.runtime.listeners import Listeners
from penstock.runtime.machine_answers import NO_RUN, NO_TASK, TASK_IS_OVER, refusal_of
from penstock.runtime.machines import machine_of
from penstock.runtime.passing_on import PassingOn
from penstock.runtime.services import Services
from penstock.runtime.steps import WorkflowSteps
from penstock.runtime.topology import Topology
from penstock.runtime.waiting import took_now
from penstock.runtime.workflow_run import Ending, WorkflowRun

UNDER_WAY: tuple[Status, ...] = ("queued", "running", "retrying", "asking", "halted")
PLACED_WITHIN_S = 20.0  # then it is tried again, as often as any event is
SIGNALS_SHARE_MAX = 1.1  # of what a journal may hold: beyond, signals are refused


class Arrivals:
    """The doors of the runs under way, and of those that have still to begin."""

    def __init__(self, topology: Topology, services: Services, store: Store, passing_on: PassingOn) -> None:
        self._topology = topology
        self._services = services
        self._store = store
        self.passing_on = passing_on
        self.on_appended: Appended = _nowhere
        self.runs: dict[str, WorkflowRun] = {}  # begun, and not ended
        self.early: dict[str, RunJournal] = {}  # of runs that something came for before they began
        self._early_in: dict[str, int] = {}  # their partitions
        self.called: Callable[[WorkflowRun, str], str] = _nobody  # the run that an operation of a run leads to
        self.on_ending: Callable[[str, RunJournal, Ending], None] = _nowhere  # a workflow run is to end
        self.on_cancelled: Callable[[Agent, Recorded, str], bool] = _nothing_done  # a handling of an agent is to end

    async def recall(self, run_id: str) -> None:
        """Learn what came for a run before it begins, when an earlier process may have recorded something."""
        stored = await self._store.run(run_id)
        if stored is not None and (stored.records or stored.chunks):
            self.early.setdefault(run_id, RunJournal(stored.records, stored.chunks, recalled=True))

    def begun(self, run_id: str) -> RunJournal | None:
        """Return what came for a run that begins now."""
        self._early_in.pop(run_id, None)
        return self.early.pop(run_id, None)

    def drop(self, partition: int) -> None:
        """Forget what came for runs of a partition before they began: its next owner finds it in the store."""
        for run_id in [each for each, partition_of in self._early_in.items() if partition_of == partition]:
            self.begun(run_id)

    @property
    def listeners(self) -> Listeners:
        """Those who listen to events; for the control agent."""
        return self._services.listeners

    async def signal(self, run_id: str, tenant: str, name: str, payload: Any) -> None:
        """Record a signal in the run's journal, together with the commit that is done with it."""
        if name.startswith(CHANNEL):
            raise Refused(f"the signal {name!r} begins with {CHANNEL!r}", "events that a run listens to come so")
        journal = await self._journal_of(run_id, tenant)
        if journal is None:
            raise Missing(f"the run {run_id!r} under way", "it has ended: see `penstock runs show`")
        self.take(run_id, journal, name, payload)

    async def heard(self, said: EventHeard, tenant: str) -> None:
        """Record an event that a run listens to, if it still does, as a signal of the channel's name."""
        await self._services.committer.durable()
        recorded = await self._store.event(said.event_id)
        journal = await self._journal_of(said.run_id, tenant)
        if journal is None or recorded is None or not journal.hears(said.channel):
            return
        event = recorded.event
        self._take(said.run_id, journal, said.channel, {"type": event.type, "data": event.data.decode()})

    def take(self, run_id: str, journal: RunJournal, name: str, payload: Any) -> None:
        """Record a signal in the journal of a run, and give it to who waits for it."""
        self._take(run_id, journal, name, {"payload": payload})

    def _take(self, run_id: str, journal: RunJournal, name: str, value: dict[str, Any]) -> None:
        if journal.share > SIGNALS_SHARE_MAX:
            raise LimitReached(f"the journal of run {run_id}, in parts of what it may hold,", journal.share, 1)
        step = journal.arrived(name)
        self.record(run_id, journal, step, value)
        run = self.runs.get(run_id)
        if run is not None:
            run.arrived(step)
            took_now(run, name, lambda step, value: self.record(run_id, journal, step, value))

    async def cancel(self, run_id: str, tenant: str, reason: str) -> None:
        """Have a run end where it is, with those that it waits for. One that has ended stays as it is."""
        agent = self._topology.agents.get(event_of(run_id)[1])
        if agent is not None and not agent.options.workflow and run_id not in self.runs:
            if agent.options.batch:
                raise Refused(f"{agent.name!r} handles its events in batches", "none of them can be cancelled")
            await self._cancel_handling(agent, run_id, tenant, reason)
            return
        journal = await self._journal_of(run_id, tenant)
        run = self.runs.get(run_id)
        if journal is not None and machine_of(agent) is not None and not (run is not None and run.halted):
            self.take(run_id, journal, STOP, {"error": None, "cause": reason})
        elif journal is not None and journal.find(CANCEL) is None:
            self.on_ending(run_id, journal, Ending(reason or "cancelled", []))

    async def _cancel_handling(self, agent: Agent, run_id: str, tenant: str, reason: str) -> None:
        for _ in range(2):
            recorded = await self._event_of(run_id, tenant)
            stored = await self._store.run(run_id)
            if stored is None or stored.change.status not in UNDER_WAY or self.on_cancelled(agent, recorded, reason):
                return
        # It had ended, and is to be tried again: who took its partition over has still to read that.
        raise Unavailable(f"the run {run_id!r}", "cancel", "it is about to be redriven")

    async def to_machine(self, said: StopMachine | AnswerTask, tenant: str) -> str:
        """Record what is said to a state machine's run, or to one of its tasks; return AWS's code when it comes to nothing."""
        try:
            journal = await self._journal_of(said.run_id, tenant)
        except Missing:
            return NO_RUN if isinstance(said, StopMachine) else NO_TASK
        run = self.runs.get(said.run_id)
        if isinstance(said, StopMachine):
            if journal is not None:
                self.take(said.run_id, journal, STOP, {"error": said.error, "cause": said.cause})
            return ""
        if journal is None or run is None:
            return (
                TASK_IS_OVER if journal is None else NO_TASK
            )  # without a journal it has ended, without a run not begun
        refusal = await refusal_of(journal, run, said, self._services)
        if self.runs.get(said.run_id) is not run:
            return TASK_IS_OVER
        if not refusal:
            answer = {"kind": said.kind, "output": said.output, "error": said.error, "cause": said.cause}
            self.take(said.run_id, journal, f"{ANSWER}{said.task}", answer)
        return refusal

    async def cancel_timer(self, timer_id: str, tenant: str) -> bool:
        """Cancel a timer with the commit that is being collected; False when it has fired, or never was."""
        timers = self._services.timers
        timer = await timers.waiting(timer_id, tenant)
        if timer is not None:
            timers.cancel(timer_id, self._services.committer.add())
        return timer is not None

    def followed(self, run_id: str) -> None:
        """Have what a run tells come to the store soon, for those who follow it through other workers."""
        self._services.streams.followed_elsewhere(run_id)

    def handled(self, delivery: Delivery, body: bytes, failed: str = "") -> None:
        """Tell the run that waits for this handling how it ended, if one does, together with the commit of that end."""
        recorded = delivery.events[0]
        place = recorded.position  # of what it was handled for: a redrive has another one
        end = f"{place.topic}/{place.partition}/{place.offset}"
        self.answer(delivery.agent.name, recorded.event, delivery.run_id, body, failed, end=end)

    def answer(self, agent: str, cause: Envelope, run_id: str, body: bytes, failed: str = "", *, end: str) -> None:
        """Tell the run that waits for another one how that ended, together with the commit of that end, which `end` names."""
        wanted = f"{agent} "  # names may have blanks too
        if not cause.reply_step.startswith(wanted):
            return
        step, run = cause.reply_step.removeprefix(wanted), self.runs.get(cause.reply_run)
        if run is None:
            self.passing_on.answer(cause, step, run_id, end, self.on_appended)
        else:
            self._answered(run, step, run_id, {"failed": failed, "run_id": run_id} if failed else {"result": body})

    async def answered(self, run_id: str, step: str, by: str) -> None:
        """Tell a run how another one ended, with another worker, that it waits for, if it still does."""
        stored = await self._store.run(by)
        run = self.runs.get(run_id)
        if (
            run is not None and stored is not None and stored.change.status not in UNDER_WAY
        ):  # else it was redriven since
            change = stored.change
            has_failed = change.status != "succeeded"
            value = {"failed": change.reason, "run_id": by} if has_failed else {"result": change.result}
            self._answered(run, step, by, value)

    def _answered(self, run: WorkflowRun, step: str, by: str, value: dict[str, Any]) -> None:
        if run.journal.round and step in run.open and self.called(run, step) != by:
            return  # it answers an earlier round
        if run.open.pop(step, None) is not None and (run.ending is None or step not in run.ending.cut):
            self.record(run.run_id, run.journal, step, value)
            run.arrived(step)

    async def _journal_of(self, run_id: str, tenant: str) -> RunJournal | None:
        """Return where to record what comes for a workflow run; None when it has ended, `Missing` when there is none."""
        run = self.runs.get(run_id)
        if run is not None:
            if run.cause.tenant != tenant:
                raise _no_run(run_id)
            return run.journal
        recorded = await self._event_of(run_id, tenant)
        stored = await self._store.run(run_id)
        agent = self._topology.agents.get(event_of(run_id)[1])
        type_ = unwrapped(recorded).event.type
        if agent is None or not agent.options.workflow or stored is None or not takes(agent, type_):
            raise _no_run(run_id)
        run = self.runs.get(run_id)  # it may have begun meanwhile
        if run is not None:
            return run.journal
        if stored.change.status != "queued":
            return None
        if recorded.position.topic == AGAIN:  # a fork begins with what its parent recorded, and no other journal
            raise Unavailable(f"the run {run_id!r}", "hear", "it is a fork that is about to begin")
        self._early_in[run_id] = recorded.position.partition
        return self.early.setdefault(run_id, RunJournal(stored.records, stored.chunks, recalled=True))

    async def _event_of(self, run_id: str, tenant: str) -> Recorded:
        await self._services.committer.durable()  # an event that was appended before is in the store then
        recorded = await self._store.event(event_of(run_id)[0])
        if recorded is None or recorded.event.tenant != tenant:
            raise _no_run(run_id)
        return recorded if recorded.position.is_given else await self._placed(run_id)

    async def _placed(self, run_id: str) -> Recorded:
        """Wait until the event of a run has come back from its broker: who takes over looks for nothing that came before it."""
        event_id = event_of(run_id)[0]
        try:
            async with asyncio.timeout(PLACED_WITHIN_S):
                found = await self._services.committer.until(
                    lambda: self._store.event(event_id), lambda each: each is not None and each.position.is_given
                )
        except TimeoutError as error:
            raise Unavailable(f"the run {run_id!r}", "hear", "its event has no place in the log yet") from error
        assert found is not None
        return found

    def record(self, run_id: str, journal: RunJournal, step: str, value: Any) -> None:
        """Have the next commit record something in the journal of a run."""
        run = self.runs.get(run_id)
        if run is not None:
            WorkflowSteps(run_id, journal, run.cause, self._services).record(step, value)
            return
        journal.record(step, encode_value(value, step), self._services.clock.now_ms())
        self._services.committer.recorded(run_id, journal)


def takes(agent: Agent, type: str) -> bool:
    """Whether events of this type begin runs of the agent."""
    return type in decoders_of(agent)


def _no_run(run_id: str) -> Missing:
    return Missing(f"the workflow run {run_id!r}", "see `penstock runs list`")


def _nobody(*_: object) -> str:
    """Stand in for an engine that is not running yet."""
    return ""


def _nowhere(*_: object) -> None:
    """Stand in for an engine that is not running yet."""


def _nothing_done(*_: object) -> bool:
    """Stand in for an engine that is not running yet."""
    return False
