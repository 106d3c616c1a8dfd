"""How a long-living workflow run goes on with a journal that begins anew, so that it stays bounded (C9).

- One commit lets the journal go, and begins the next one with the event of the next round and the signals that nobody took.
- The run keeps its id: signals, cancellations and those who wait for its result find it. What it does in the next round has
  other idempotency keys, and its events other ids; what still comes for an operation of an earlier round is no answer.
"""

import asyncio
from typing import NoReturn

from msgspec.structs import replace

from penstock.core.agents.declaration import Agent
from penstock.core.agents.run_journal import VERSION
from penstock.core.agents.unit import JournalCut
from penstock.core.events.event import Event
from penstock.errors import Refused
from penstock.runtime.operations import Operations
from penstock.runtime.run_calls import RunCalls
from penstock.runtime.services import Services
from penstock.runtime.steps import WorkflowSteps
from penstock.runtime.workflow_run import WorkflowRun


async def continued(operations: Operations, event: Event) -> NoReturn:
    """Have the run go on with another event, and end what is executed here."""
    operations.enter()
    run = operations.run
    if not isinstance(event, Event):  # pyright: ignore[reportUnnecessaryIsInstance] - users without a type checker
        raise Refused(f"{type(event).__name__} is no event", "continue as an event that the workflow takes")
    if run.ending is not None:
        raise Refused(f"run {run.run_id} is made to end", "it cannot go on as another one")
    left = run.journal.unasked()
    if left:
        operations.halt(f"the code continues as another without asking for {left[0]!r}, which the journal has")
    operations.calls.go_on_as(run, event)
    raise asyncio.CancelledError


def next_round(run: WorkflowRun, newest: Agent, event: Event, calling: RunCalls, services: Services) -> WorkflowRun:
    """Return the run as it goes on, together with the commit that is being collected; its code is that of now."""
    if type(event) not in newest.accepts:
        takes = ", ".join(each.type_ for each in newest.accepts)
        raise Refused(f"{newest.name!r} does not take {event.type_}", f"continue as {takes}")
    journal, cause = run.journal, run.cause
    for step in [step for step, on_end in run.open.items() if on_end == "cancel"]:
        calling.abandon(run, step)
    for listening in journal.listening.values():
        calling.listen_no_more(run, listening)
    writes = services.committer.add()
    writes.journal[:] = [chunk for chunk in writes.journal if chunk.run_id != run.run_id]
    writes.cuts.append(JournalCut(run.run_id, journal.stored))
    begins = replace(cause, type=event.type_, data=event.encoded())
    fresh = journal.next_round(begins, services.streams.next_round(run.run_id), services.clock.now_ms())
    services.committer.recorded(run.run_id, fresh)
    if newest.options.version != 1:
        WorkflowSteps(run.run_id, fresh, cause, services).record(VERSION, newest.options.version)
    return WorkflowRun(run.run_id, newest, begins, fresh)
