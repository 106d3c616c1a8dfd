"""The events by which runs of state machines begin, and by which their tasks reach agents that take any JSON."""

from functools import lru_cache
from types import new_class
from typing import Any

from penstock.core.events.event import Event

TYPES_KEPT_MAX = 4096


class MachineInput(Event):
    """A run of a state machine begins with this input. Each machine has a type of its own: see `input_type`."""

    input: Any = None


class TaskInput(Event):
    """What a task gives to an agent, whatever JSON it is. Of several agents that take it, only the one that is called does."""

    input: Any = None


@lru_cache(maxsize=TYPES_KEPT_MAX)
def input_type(machine: str) -> type[MachineInput]:
    """Return the type of the events that begin runs of a machine."""
    about = {"__module__": __name__, "__doc__": f"A run of the state machine {machine!r} begins with this input."}
    return new_class(
        f"{machine}.input", (MachineInput,), {"topic": f"{machine}-input"}, lambda namespace: namespace.update(about)
    )


def event_name(machine: str, name: str, tenant: str = "default") -> str:
    """Return the id of the event that begins the run of a machine that has a name: so the name makes one run."""
    return f"{machine}~{name}" if tenant == "default" else f"{tenant}~{machine}~{name}"


def run_name(machine: str, event_id: str) -> str:
    """Return the name of the run that an event begins (the reverse of `event_name`): the event's id where it has no other."""
    _, found, name = event_id.rpartition(f"{machine}~")
    return name if found else event_id
