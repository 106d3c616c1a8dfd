"""From stored events to what handlers take: of each version that the app can read, and an error that says why it cannot."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeAlias

from penstock.core.agents.declaration import Agent
from penstock.core.events.envelope import Envelope
from penstock.core.events.event import Event
from penstock.core.events.versions import parsed, unreadable

Decoders: TypeAlias = Mapping[str, Callable[[bytes], Event]]


def decoders_of(agent: Agent) -> Decoders:
    """Return how each event type that an agent reads is decoded."""
    older = {each: partial(event.decoded_as, each) for event in agent.accepts for each in event.reads_()}
    return {**older, **{event.type_: event.decoded for event in agent.accepts}}


def decoded_by(decoders: Decoders, agent: Agent, event: Envelope) -> Event:
    """Return what is in an event; `Invalid` when this code cannot read its version, or what is in it."""
    decode = decoders.get(event.type)
    if decode is None:
        raise unreadable(event.type, _namesake(agent, event.type) or ", ".join(each.type_ for each in agent.accepts))
    return decode(event.data)


def is_of_another_version(agent: Agent, type: str) -> bool:
    """Whether an agent takes events of this name, but not of this version: they must not be passed over."""
    return _namesake(agent, type) is not None


def _namesake(agent: Agent, type: str) -> str | None:
    named = parsed(type)
    return next((each.type_ for each in agent.accepts if named is not None and each.__name__ == named[0]), None)
