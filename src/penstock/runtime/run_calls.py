"""How workflow runs reach others: each event that a run emits is appended together with the record that it was.

The number of an emitted event comes from the step, so a run that is resumed gives its events the same ids again.
"""

import re
from collections.abc import Callable, Mapping
from hashlib import blake2b

from penstock.core.agents.control import Cancel
from penstock.core.agents.declaration import Agent
from penstock.core.agents.exposing import OWNER as EXPOSED
from penstock.core.agents.journal import encode_value
from penstock.core.agents.listening import Listening
from penstock.core.agents.unit import ValueWrite
from penstock.core.events.envelope import Recorded, emitted_id
from penstock.core.events.envelope import run_id as run_id_of
from penstock.core.events.event import Event
from penstock.errors import Missing, Refused
from penstock.runtime.appending import Appender
from penstock.runtime.services import Services
from penstock.runtime.tasks import Tasks
from penstock.runtime.topology import Topology
from penstock.runtime.workflow_run import WorkflowRun

_CALLED = re.compile(r"(?:^|/)(?:call|start):(.*)#\d+$", re.DOTALL)


class RunCalls:
    """What runs emit."""

    def __init__(self, topology: Topology, services: Services, appender: Appender, tasks: Tasks) -> None:
        self._topology = topology
        self._services = services
        self._appender = appender
        self._tasks = tasks
        self.on_appended: Callable[[Recorded], None] = _nowhere
        self.on_continued: Callable[[WorkflowRun, Event], None] = (
            _nowhere  # a run goes on with a journal that begins anew
        )

    def go_on_as(self, run: WorkflowRun, event: Event) -> None:
        self._appender.check(event, None, run.cause)
        self.on_continued(run, event)

    @property
    def stopping(self) -> bool:
        return self._tasks.ending or self._services.committer.failure is not None

    @property
    def agents(self) -> Mapping[str, Agent]:
        return self._topology.agents

    def taker(self, agent: str, event: Event) -> Agent:
        found = self._topology.agents.get(agent)
        if found is None:
            raise Missing(f"the agent {agent!r}", f"this app has {', '.join(self._topology.agents)}")
        if type(event) not in found.accepts or found.options.batch:
            raise Refused(f"{agent!r} does not take {event.type_} one by one", "emit the event instead")
        return found

    def send(self, run: WorkflowRun, step: str, agent: str, event: Event) -> None:
        recorded = self._called(run, step, agent, event, reply_to=step)
        run.open[step] = "cancel"
        self._append(run, recorded, f"{step}/sent", step)

    def start(self, run: WorkflowRun, step: str, agent: str, event: Event, on_end: str) -> None:
        recorded = self._called(run, step, agent, event, reply_to=f"{step}/result")
        run.open[f"{step}/result"] = on_end
        self._append(run, recorded, step, on_end)

    def emit(self, run: WorkflowRun, step: str, event: Event, key: str | None) -> None:
        now_ms, number = self._services.clock.now_ms(), _number_of(run, step)
        outgoing = self._appender.check(event, key, run.cause)
        recorded = self._appender.placed(outgoing, run=run.run_id, cause=run.cause, number=number, now_ms=now_ms)
        self._append(run, recorded, step, step)

    def listen(self, run: WorkflowRun, each: Listening) -> None:
        self._services.listeners.begin(run, each)

    def listen_no_more(self, run: WorkflowRun, each: Listening) -> None:
        self._services.listeners.end(run, each)

    def expose(self, run: WorkflowRun, name: str, body: bytes) -> None:
        writes = self._services.committer.add()
        writes.values.append(ValueWrite(run.cause.tenant, EXPOSED, run.run_id, name, body))

    def called(self, run: WorkflowRun, step: str) -> str:
        """Return the id of the run that a call or a start of this step leads to."""
        correlation = run.cause.correlation_id or run.cause.id
        step = step.removesuffix("/result")
        found = _CALLED.search(step)
        assert found is not None, step
        return run_id_of(emitted_id(run.run_id, correlation, _number_of(run, step)), found[1])

    def abandon(self, run: WorkflowRun, step: str) -> None:
        """Have the handling end that a call or a start led to; it is told by an event of the same commit."""
        run.open.pop(step, None)
        cancel = Cancel(run_id=self.called(run, step), reason=f"{run.run_id}, which called it, does not wait for it")
        now_ms, number = self._services.clock.now_ms(), _number_of(run, f"{step}/cancel")
        recorded = self._appender.emitted(cancel, None, run=run.run_id, cause=run.cause, number=number, now_ms=now_ms)
        self._services.committer.add().events.append(recorded)
        self.on_appended(recorded)

    def _called(self, run: WorkflowRun, step: str, agent: str, event: Event, *, reply_to: str) -> Recorded:
        return self._appender.called(
            self._appender.check(event, None, run.cause),
            run=run.run_id,
            cause=run.cause,
            number=_number_of(run, step),
            now_ms=self._services.clock.now_ms(),
            reply_step=f"{agent} {reply_to}",
        )

    def _append(self, run: WorkflowRun, recorded: Recorded, step: str, value: str) -> None:
        """Append an event together with the record that it was."""
        self._services.committer.add().events.append(recorded)
        run.journal.record(step, encode_value(value, step), recorded.event.time_ms)
        self._services.committer.recorded(run.run_id, run.journal)
        self.on_appended(recorded)


def _number_of(run: WorkflowRun, step: str) -> int:
    """Return a number for a step: the same each time the run is resumed, and another one in each of its rounds."""
    return int.from_bytes(blake2b(run.journal.named(step).encode(), digest_size=6).digest(), "big")


def _nowhere(*_: object) -> None:
    """Stand in for an engine that is not running yet."""
