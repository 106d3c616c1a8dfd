"""Doing again what is asked for on the log: redrives, forks, and dead letters that are dropped.

- What is asked for is an event in the partition of the run, and it is done with when the handling that it led to is: nothing
  of it is lost or done twice, whatever crashes.
- A redriven run keeps its id, so receivers of its idempotency keys and of its emitted events know it again.
- It is handled after the events of its key that were read before it.
- A partition may be handed over at any `await`: nothing is written after that.
"""

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from penstock.core.agents.again import (
    TOPIC,
    DropLetter,
    ForkRun,
    RedriveRun,
    Said,
    culprits,
    lineage_of,
    records_before,
    redrive_decision,
    renewed,
    said_in,
    signed,
    unwrapped,
)
from penstock.core.agents.declaration import Agent
from penstock.core.agents.journal import Journal, StepRecord, decode_chunk, encode_chunk, forgotten, standing
from penstock.core.agents.listening import open_listenings
from penstock.core.agents.machine_records import redriven
from penstock.core.agents.progress import Progress
from penstock.core.agents.run_journal import CANCEL, RunJournal
from penstock.core.agents.unit import JournalChunk, RunChange, Status
from penstock.core.events.envelope import Recorded, event_of
from penstock.core.events.envelope import run_id as run_id_of
from penstock.errors import Invalid, Refused
from penstock.ports.retention import ENDED
from penstock.ports.state import StoredRun
from penstock.ports.store import Store
from penstock.runtime.appending import Appender
from penstock.runtime.lanes import Delivery, Lanes
from penstock.runtime.machines import machine_of
from penstock.runtime.services import Services
from penstock.runtime.subscriptions import Subscription
from penstock.runtime.workflows import Workflows

_log = logging.getLogger("penstock")


@dataclass(frozen=True, slots=True)
class Machine:
    """The parts of an engine that it works with."""

    store: Store
    services: Services
    appender: Appender
    workflows: Workflows
    appended: Callable[[Recorded], None]


class Redelivery(Delivery):
    """A delivery whose place in the log is that of what asked for it; `stored` is the event of the run as the log has it."""

    __slots__ = ("_stored", "model", "outside")
    alone = True

    def __init__(self, agent: Agent, asked: Recorded, stored: Recorded, lane: str) -> None:
        super().__init__(agent, [Recorded(asked.position, unwrapped(stored).event)], lane, known=True)
        self._stored = stored
        fork = lineage_of(stored)
        self.model = "" if fork is None else fork.model
        self.outside: Journal | None = None

    @property
    def original(self) -> Recorded:
        return self._stored


class Redriving(Subscription):
    """One agent at one partition of what is to be done again. It takes only what is durable, a page at a time."""

    def __init__(self, agent: Agent, partition: int, progress: Progress, lanes: Lanes, machine: Machine) -> None:
        super().__init__(agent, TOPIC, partition, progress, lanes)
        self._store = machine.store
        self._services = machine.services
        self._appender = machine.appender
        self._workflows = machine.workflows
        self._appended = machine.appended
        self._open: dict[str, int] = {}  # run -> the offset of what it is handled for
        self._changed: set[str] = set()  # runs whose change the store may not show yet

    def offer(self, recorded: Recorded) -> bool:
        """Read it from the log once it is durable."""
        _ = recorded
        self.behind = True
        self.turned.set()
        return False

    async def take(self, page: Sequence[Recorded]) -> None:
        """Do what is asked of this agent, and deliver what is to be handled, once all of that is durable."""
        asked: list[tuple[Recorded, Said]] = []
        for recorded in page:
            self.read_to = recorded.position.offset
            if self.read_to in self.progress:
                continue
            said = said_in(recorded)
            if said is None:
                _log.warning("%s at offset %d is left: it is of a newer version", recorded.event.type, self.read_to)
            if said is None or said.agent != self.agent.name:
                self._leave(recorded)
            elif self._is_open(run_of(recorded, said)):
                self._leave_alone(recorded, said, "it is under way")
            else:
                asked.append((recorded, said))
        if not asked or self.closed:
            return
        self._changed.clear()
        await self._services.committer.durable()  # the end of an earlier redrive must be seen
        ready = [each for recorded, said in asked if (each := await self._decided(recorded, said)) is not None]
        await self._services.committer.durable()
        for delivery in () if self.closed else ready:
            self.lanes.offer(delivery)

    def redrives(self, run_id: str) -> bool:
        offset = self._open.get(run_id)
        return offset is not None and offset not in self.progress

    def _is_open(self, run_id: str) -> bool:
        offset = self._open.get(run_id)
        if offset is not None and offset in self.progress:
            del self._open[run_id]
            return False
        return offset is not None or self._workflows.is_under_way(run_id)

    def _leave(self, recorded: Recorded) -> None:
        self.progress.mark(recorded.position.offset)
        self.on_skipped(self)

    def _leave_alone(self, recorded: Recorded, said: Said, why: str) -> None:
        """Do nothing of what somebody asked for: what became of the run says by whom it was dealt with."""
        _log.warning("%s of run %s%s is left: %s", recorded.event.type, said.run_id, signed("", said.by, said.why), why)
        self._leave(recorded)

    async def _decided(self, recorded: Recorded, said: Said) -> Redelivery | None:
        if said.run_id in self._changed and not isinstance(said, ForkRun):
            self._leave_alone(recorded, said, "another one was asked for just before")
            return None
        if said.run_id in self._changed:  # what was asked just before must be seen
            await self._services.committer.durable()
        match said:
            case RedriveRun():
                return await self._redriven(recorded, said)
            case DropLetter():
                await self._dropped(recorded, said)
                return None
            case ForkRun():
                return await self._forked(recorded, said)

    async def _redriven(self, recorded: Recorded, said: RedriveRun) -> Redelivery | None:
        stored = await self._store.run(said.run_id)
        event = await self._store.event(event_of(said.run_id)[0])
        if self.closed:
            return None
        decision = redrive_decision(None if stored is None else stored.change, said.died_ms)
        if event is None or stored is None or decision == "leave":
            self._tell_parent(recorded, said, stored, event)
            return None
        kind = unwrapped(event).event.type
        if kind not in self.lane_of:
            _log.warning("run %s is not redriven: %s does not take %s", said.run_id, self.agent.name, kind)
            self._leave(recorded)
            return None
        if self.agent.options.workflow:
            await self._workflow_redriven(recorded, said, stored, event)
            return None
        if decision == "begin":
            now_ms = self._services.clock.now_ms()
            forget = [forgotten(None, now_ms)] if said.fresh else renewed(stored.records, now_ms)
            self._begin(stored, "retrying", signed("redriven", said.by, said.why, stored.change.reason), forget)
        return await self._delivery(recorded, event)

    def _tell_parent(
        self, recorded: Recorded, said: RedriveRun, stored: StoredRun | None, event: Recorded | None
    ) -> None:
        """Leave a run that has ended meanwhile; a workflow that was redriven too, and waits for it, is told of the end."""
        self._leave_alone(recorded, said, _why_not(stored, event))
        if stored is None or event is None or stored.change.status not in ENDED:
            return
        change = stored.change
        reason = "" if change.status == "succeeded" else change.reason or change.status
        self._services.committer.add()
        place = recorded.position
        self._workflows.arrivals.answer(
            self.agent.name,
            unwrapped(event).event,
            said.run_id,
            change.result,
            reason,
            end=f"{place.topic}/{place.partition}/{place.offset}",
        )

    def _begin(self, stored: StoredRun, status: Status, reason: str, more: Sequence[StepRecord]) -> None:
        """Write that the run goes on: what its end had recorded with it becomes a chunk of its journal, with `more`."""
        change, now_ms = stored.change, self._services.clock.now_ms()
        self._changed.add(change.run_id)
        writes = self._services.committer.add()
        writes.settled.append(change.run_id)
        added = _added(stored, more)
        if added:
            writes.journal.append(JournalChunk(change.run_id, stored.chunks, encode_chunk(added)))
        attempt = 1 if status == "running" else 0
        at_ms = max(now_ms, change.at_ms + 1)  # the moment of its death names it: that is over, whatever clocks show
        writes.runs.append(
            replace(change, status=status, attempt=attempt, at_ms=at_ms, due_ms=now_ms, reason=reason, records=b"")
        )

    async def _workflow_redriven(
        self, recorded: Recorded, said: RedriveRun, stored: StoredRun, event: Recorded
    ) -> None:
        """Let a workflow go on from its journal, and the runs whose failure it failed of with it."""
        failed, children = await self._failed_with(stored)
        now_ms = self._services.clock.now_ms()
        listened = open_listenings(standing(stored.records))  # until the end of the run: it listens anew
        forget = [forgotten([*failed, *listened, CANCEL], now_ms), *renewed(stored.records, now_ms)]
        if machine_of(self.agent) is not None:
            forget.append(redriven(stored.records, now_ms))
        reason = signed("redriven", said.by, said.why, stored.change.reason)
        journal = _journal(stored, forget)
        run = await self._workflows.recalled(self.agent, event, stored, journal)
        if self.closed:
            return
        if run is None:
            _log.warning("run %s is not redriven: the app has its version no more", said.run_id)
            self._leave(recorded)
            return
        self._begin(stored, "running", reason, forget)
        for number, (child, known, cause) in enumerate(children):
            again = RedriveRun(
                run_id=child,
                agent=event_of(child)[1],
                died_ms=known.change.at_ms,
                by=said.by,
                why=f"with {said.run_id}",
            )
            placed = self._appender.submitted(
                again,
                id=f"{recorded.event.id}~{number}",
                tenant=cause.event.tenant,
                key=cause.event.key or cause.event.id,
                now_ms=now_ms,
            )
            self._services.committer.add().events.append(placed)
            self._appended(placed)
        self._leave(recorded)
        self._workflows.go_on(run, event)

    async def _failed_with(self, stored: StoredRun) -> tuple[Collection[str], list[tuple[str, StoredRun, Recorded]]]:
        """Return the calls that a workflow failed of, and their runs, as far as these are there: others would never answer."""
        steps: list[str] = []
        children: list[tuple[str, StoredRun, Recorded]] = []
        for step, child in culprits(stored.records, stored.change.reason).items():
            known, cause = await self._store.run(child), await self._store.event(event_of(child)[0])
            if known is not None and cause is not None:
                steps.append(step)
                children.append((child, known, cause))
        return steps, children

    async def _dropped(self, recorded: Recorded, said: DropLetter) -> None:
        stored = await self._store.run(said.run_id)
        if self.closed:
            return
        change = None if stored is None else stored.change
        if change is None or redrive_decision(change, said.died_ms) != "begin":
            self._leave_alone(recorded, said, _why_not(stored, recorded))
            return
        self._settle(change, "dropped", said)
        self._leave(recorded)

    async def _forked(self, recorded: Recorded, said: ForkRun) -> Redelivery | None:
        run_id = run_id_of(recorded.event.id, self.agent.name)
        known, parent = await self._store.run(run_id), await self._store.run(said.run_id)
        assert known is not None, "its event is durable"
        if known.change.status == "retrying":
            return await self._delivery(recorded, recorded)
        if self.closed:
            return None
        if known.change.status != "queued":
            self._leave_alone(recorded, said, f"the fork is {known.change.status} already")
        elif parent is None:
            self._refuse(recorded, known.change, f"the store has the run {said.run_id} no more")
        else:
            return await self._fork_begun(recorded, said, known, parent)
        return None

    async def _fork_begun(
        self, recorded: Recorded, said: ForkRun, known: StoredRun, parent: StoredRun
    ) -> Redelivery | None:
        run_id, run = known.change.run_id, None
        try:
            records = records_before(parent.records, said.at)
            self._require_possible(said, parent.change)
        except (Invalid, Refused) as error:
            self._refuse(recorded, known.change, str(error))
            return None
        if self.agent.options.workflow:
            run = await self._workflows.recalled(self.agent, recorded, known, _journal(known, records))
            if self.closed:
                return None
            if run is None:
                self._refuse(recorded, known.change, "the app has the version of this run no more")
                return None
        if said.died_ms:
            self._settle(parent.change, f"redriven as {run_id}", said)
        reason = signed(f"forked from {said.run_id}", said.by, said.why)
        self._begin(known, "retrying" if run is None else "running", reason, records)
        if run is None:
            return await self._delivery(recorded, recorded)
        self._leave(recorded)
        self._workflows.go_on(run, recorded)
        return None

    def _require_possible(self, said: ForkRun, parent: RunChange) -> None:
        if said.type not in self.lane_of:
            raise Refused(f"{self.agent.name!r} does not take {said.type}", "declare that it does, and fork again")
        if self.agent.options.workflow and (said.dry or said.model):
            raise Refused(f"{self.agent.name!r} is a workflow, which calls agents for real", "replay it instead")
        if said.died_ms and redrive_decision(parent, said.died_ms) != "begin":
            raise Refused(f"the dead letter of {said.run_id} was dealt with before", "see `penstock runs show`")

    def _settle(self, change: RunChange, what: str, said: Said) -> None:
        """Take the letter of a run from the list, and keep what became of it with the run."""
        self._changed.add(change.run_id)
        writes = self._services.committer.add()
        writes.settled.append(change.run_id)
        reason = signed(what, said.by, said.why, change.reason)
        writes.runs.append(replace(change, at_ms=max(self._services.clock.now_ms(), change.at_ms + 1), reason=reason))

    def _refuse(self, recorded: Recorded, change: RunChange, reason: str) -> None:
        """End a fork that cannot begin: whoever asked for it has the id of its run."""
        services, run_id, event = self._services, change.run_id, recorded.event
        correlation, now_ms = event.correlation_id or event.id, services.clock.now_ms()
        writes = services.committer.add(lambda: services.releases.failed(run_id, correlation, reason, "cancelled"))
        writes.runs.append(replace(change, status="cancelled", at_ms=now_ms, reason=reason))
        _log.warning("run %s, a fork, does not begin: %s", run_id, reason)
        self._leave(recorded)

    async def _delivery(self, asked: Recorded, stored: Recorded) -> Redelivery:
        event, fork = unwrapped(stored), lineage_of(stored)
        lane = f"{event.event.tenant}/{self.lane_of[event.event.type](event)}"
        delivery = Redelivery(self.agent, asked, stored, lane)
        self._open[delivery.run_id] = asked.position.offset
        self._changed.add(delivery.run_id)
        if fork is not None and fork.dry:
            parent = await self._store.run(fork.run_id)
            delivery.outside = Journal(() if parent is None else parent.records)
        return delivery


def _why_not(stored: StoredRun | None, event: Recorded | None) -> str:
    if stored is None or event is None:
        return "the store has it no more" if stored is None else "the store has its event no more"
    return f"it has gone on since, and is {stored.change.status}"


def run_of(recorded: Recorded, said: Said) -> str:
    """Return the run that goes on, or begins, by what is asked for."""
    return run_id_of(recorded.event.id, said.agent) if isinstance(said, ForkRun) else said.run_id


def _added(stored: StoredRun, more: Sequence[StepRecord]) -> list[StepRecord]:
    """Return what the run's end had recorded, with `more`. Large values in it are whole here, and lie apart in what is stored."""
    count = len(decode_chunk(stored.change.records)) if stored.change.records else 0
    return [*stored.records[len(stored.records) - count :], *more]


def _journal(stored: StoredRun, more: Sequence[StepRecord]) -> RunJournal:
    """Return the journal of a run once `_begin` is durable."""
    return RunJournal([*stored.records, *more], stored.chunks + bool(_added(stored, more)), recalled=True)
