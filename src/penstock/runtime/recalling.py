"""What a handling begins with, and what it leaves: the journal of earlier attempts, and the events in what was returned."""

from typing import Any

from penstock.core.agents.declaration import Agent
from penstock.core.agents.journal import Journal
from penstock.core.events.envelope import Recorded
from penstock.core.events.event import Event
from penstock.ports.state import StateStore
from penstock.runtime.appending import Appender
from penstock.runtime.context import Context, teller_of
from penstock.runtime.lanes import Delivery
from penstock.runtime.outcomes import body_of, events_of, require_annotated
from penstock.runtime.services import Services

UNENDED = ("asking", "running")  # what a run's attempt is that has neither failed nor succeeded


async def recall(delivery: Delivery, store: StateStore, services: Services) -> float:
    """Learn from the store how far an earlier process came with the run, and return how long its next attempt waits."""
    delivery.known = False
    if delivery.waited:
        return 0.0
    stored = await store.run(delivery.run_id)
    if stored is None:
        return 0.0
    if stored.change.status == "cancelled":
        delivery.stop(stored.change.reason or "cancelled")
        return 0.0
    delivery.journal = Journal(stored.records, stored.chunks, recalled=True)
    delivery.attempt = stored.change.attempt + (stored.change.status not in UNENDED)
    if stored.streamed:
        await services.streams.recall(teller_of(delivery))
    wait_s = (stored.change.due_ms - services.clock.now_ms()) / 1000
    delivery.known = delivery.waited = wait_s > 0  # what has waited is looked at again before it begins
    # A clock that was set back must not make it longer than any wait of the policy.
    return min(wait_s, delivery.agent.options.retry.delay_max_s)


def nowhere(recorded: Recorded) -> None:
    """Stand in for an engine that is not running yet."""


def collected(context: Context, result: Any, agent: Agent, appender: Appender, services: Services) -> bytes:
    """Take the events in what a handler returned, and return it as JSON."""
    require_annotated(agent, result)
    for each in events_of(result):
        context.emit(each)
    cause = context.event
    context.outgoing = [appender.check(event, key, cause) for event, key in context.emitted]
    if context.delays is not None:
        context.delays.check(appender, services.timers, cause)
    return context.outgoing[-1].data if isinstance(result, Event) else body_of(result)
