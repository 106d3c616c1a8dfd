"""What state machines call beside agents and workflows, and where their Maps read and write: one Protocol each, found by name.

A service goes by what a resource names: `sqs:sendMessage`, `aws-sdk:sqs:sendMessage`, `activity:NAME`; or for all of a kind,
`sqs:*`, `aws-sdk:sqs:*`, `activity:*`. The exact name comes first.

- It is called when all that led to it is durable, and what it returns is recorded: then it is never called for that task again.
- A process that dies between the two leaves it unknown: it is called again, with the same `idempotency_key`.
- It raises `TaskFailed` to have its task fail, which Retry and Catch may take; any other exception fails it by its class's name.
- It is cancelled when nobody waits for its task any more: a time-out, a branch that was given up, a run that is stopped.
"""

from collections.abc import Mapping
from typing import Any, Final, Protocol, TypeVar

from msgspec import Struct, field

from penstock.core.asl.definition import ReaderConfig, WriterConfig
from penstock.core.asl.resources import Kind, Resource
from penstock.core.asl.results import Child
from penstock.core.asl.values import Json

T = TypeVar("T")
GIVEN_UP: Final = "given up"
"""What the cancellation of a service says when nobody waits for its task any more, and the engine goes on."""


class TaskFailed(Exception):
    """A task, a reading or a writing fails with this error and cause; agents raise it too: `raise TaskFailed("Order.Gone")`."""

    def __init__(self, error: str, cause: str = "") -> None:
        super().__init__(error, cause)
        self.error = error
        self.cause = cause

    def __str__(self) -> str:
        return f"{self.error}: {self.cause}"


class Asking(Struct, frozen=True, kw_only=True):
    """Who asks."""

    run_id: str
    machine: str
    tenant: str
    idempotency_key: str  # the same whenever this one thing is asked for again


class TaskCall(Asking, frozen=True, kw_only=True):
    """One task. `arguments` are its Parameters or Arguments, evaluated."""

    resource: Resource
    arguments: Json
    state: str
    token: str = ""  # whoever has it answers the task (`.waitForTaskToken`, activities)
    credentials: Any = None


class ReadCall(Asking, frozen=True, kw_only=True):
    """The items of a distributed Map are to be read: at most `items_max` of them."""

    resource: Resource
    arguments: Json
    config: ReaderConfig
    items_max: int | None = None


class WriteCall(Asking, frozen=True, kw_only=True):
    """The results of a distributed Map are to be written."""

    resource: Resource
    arguments: Json
    config: WriterConfig | None
    map_run: str
    children: tuple[Child, ...]


class TaskService(Protocol):
    """Does tasks. What it returns is the task's output, as JSON.

    With `.waitForTaskToken`, and for an activity, it returns as soon as the task was taken on: the holder of the token ends it.
    """

    async def __call__(self, call: TaskCall, /) -> Json: ...


class JobService(TaskService, Protocol):
    """One whose `.sync` tasks go on after they were taken on: `__call__` begins the job, and `ended` waits for its end.

    After a restart only `ended` is called again, with what `__call__` had returned.
    """

    async def ended(self, call: TaskCall, begun: Json, /) -> Json:
        """Wait for the job's end, and return the task's output; cancelled when nobody waits for it any more."""
        ...


class ItemSource(Protocol):
    """Reads the items of a Map, and returns them as a list (or an object, whose members are the items)."""

    async def __call__(self, call: ReadCall, /) -> Json: ...


class ResultSink(Protocol):
    """Writes the results of a Map, and returns what the Map has as its output instead of them."""

    async def __call__(self, call: WriteCall, /) -> Json: ...


class Outside(Struct):
    """All that the machines of an app reach outside of it, by the names above."""

    services: dict[str, TaskService] = field(default_factory=dict[str, TaskService])
    sources: dict[str, ItemSource] = field(default_factory=dict[str, ItemSource])
    sinks: dict[str, ResultSink] = field(default_factory=dict[str, ResultSink])
    activities: set[str] = field(default_factory=set[str])  # whose tasks workers come for
    kept: set[str] = field(default_factory=set[str])  # digests of the definitions that are in the store

    def add(self, other: "Outside") -> None:
        """Reach what another one reaches, too; it comes first."""
        self.services.update(other.services)
        self.sources.update(other.sources)
        self.sinks.update(other.sinks)
        self.activities.update(other.activities)


def found(known: Mapping[str, T], resource: Resource) -> T | None:
    """Return what a resource names."""
    kind, name = names_of(resource)
    return known.get(f"{kind}:{name}") or known.get(f"{kind}:*")


def names_of(resource: Resource) -> tuple[str, str]:
    """Return the two parts of the name by which a service is found."""
    if resource.kind is not Kind.SERVICE:
        return resource.kind.value, resource.name or resource.text
    return f"aws-sdk:{resource.service}" if resource.sdk else resource.service, resource.action
