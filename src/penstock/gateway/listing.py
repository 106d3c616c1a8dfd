"""Which agents an app has, what they take, and what they return, as JSON schemas."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field, PydanticUserError, TypeAdapter

from penstock.core.agents.declaration import Agent

Schema = dict[str, Any]


class EventShown(BaseModel):
    """An event type that an agent takes."""

    type: str
    json_schema: Schema = Field(description="The JSON schema of the event's fields.")


class AgentShown(BaseModel):
    """An agent of the app."""

    name: str
    about: str = Field(description="What its author says of it.")
    kind: Literal["agent", "workflow"]
    takes: list[EventShown]
    returns: Schema | None = Field(description="The JSON schema of its results; null when it has none.")
    emits: list[str] = Field(description="The types of the events that it returns.")
    pattern: Schema | None = Field(description="The event pattern that the fields of its events match; null: any do.")
    batch: int = Field(description="How many events it takes at once; 0: one at a time. Batches have no runs to call.")


class Agents(BaseModel):
    """The agents of the app, as they were declared."""

    agents: list[AgentShown]


def agents_shown(agents: Mapping[str, Agent]) -> Agents:
    """Return all agents as the outside sees them."""
    return Agents(agents=[_shown(agent) for agent in agents.values()])


def about(agent: Agent) -> str:
    """Return what the agent's author says of it, or nothing."""
    return (agent.handler.__doc__ or "").strip()


def _shown(agent: Agent) -> AgentShown:
    return AgentShown(
        name=agent.name,
        about=about(agent),
        kind="workflow" if agent.options.workflow else "agent",
        takes=[EventShown(type=event.type_, json_schema=event.model_json_schema()) for event in agent.accepts],
        returns=_schema_of(agent.returns),
        emits=[event.type_ for event in agent.emits],
        pattern=None if agent.options.pattern is None else dict(agent.options.pattern.document),
        batch=agent.options.batch,
    )


def _schema_of(annotation: Any) -> Schema | None:
    try:
        return TypeAdapter(annotation).json_schema()
    except (PydanticUserError, NameError):  # a type that pydantic does not know, or a name that is not there yet
        return None
