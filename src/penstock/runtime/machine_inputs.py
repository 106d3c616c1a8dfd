"""From the JSON of a task to the event that its agent takes."""

import msgspec

from penstock.core.agents.declaration import Agent
from penstock.core.agents.machine_events import MachineInput, TaskInput
from penstock.core.asl.values import Json
from penstock.core.events.event import Event
from penstock.errors import Finding, Invalid, Missing, Refused


def event_for(agent: Agent | None, name: str, payload: Json) -> Event:
    """Return the event that brings a payload to an agent: one that takes any JSON gets it whole, others what it fits.

    `Invalid`, with all findings, when it fits none of those that the agent takes.
    """
    if agent is None:
        raise Missing(f"the agent {name!r}", "declare it, or name another one in the state machine")
    if agent.options.batch:
        raise Refused(f"{name!r} takes its events in batches", "call an agent that takes one at a time")
    for kind in agent.accepts:
        if issubclass(kind, MachineInput | TaskInput):
            return kind.model_construct(input=payload)
    body, findings = msgspec.json.encode(payload), list[Finding]()
    for kind in agent.accepts:
        try:
            return kind.decoded(body)
        except Invalid as error:
            several = f"{kind.__name__}." if len(agent.accepts) > 1 else ""
            findings += [Finding(f"{several}{each.path}", each.problem, each.hint) for each in error.findings]
    raise Invalid(f"what the state machine gives to {name!r}", tuple(findings))
