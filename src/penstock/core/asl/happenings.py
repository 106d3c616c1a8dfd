"""What comes to a run from outside, and what it wants done there: the whole of its dealings with the world.

- A run starts with `Started`; then each `Happening` that is given to `advance` answers a `Command` that came out of it before.
- The same happenings in the same order give the same run, history and commands: keep them, and a run can be resumed anywhere.
- Times are milliseconds since 1970. `id`s are given out by the run and count upwards.
"""

from typing import Any, Literal, TypeAlias

from msgspec import Struct

from penstock.core.asl.definition import ReaderConfig, WriterConfig
from penstock.core.asl.results import Child
from penstock.core.asl.values import Json

Status: TypeAlias = Literal["RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]


class Happening(Struct, frozen=True, kw_only=True, tag=True):
    """Something that came at a time."""

    at_ms: int


class Started(Happening, frozen=True, kw_only=True):
    """The run begins. The context object and ARNs are made of `name` and `machine`; the tokens of tasks begin with `tokens`."""

    input: Json
    name: str
    machine: str = "machine"
    role: str = ""
    tokens: str = ""


class TaskSubmitted(Happening, frozen=True, kw_only=True):
    """What a task with `.sync` or `.waitForTaskToken` asked for was taken on, or an activity by a worker; its end follows."""

    id: int
    output: Json = None


class Succeeded(Happening, frozen=True, kw_only=True):
    """A task, a reading or a writing ended well."""

    id: int
    output: Json = None


class Failed(Happening, frozen=True, kw_only=True):
    """A task, a reading or a writing ended with an error, which may have no name and no cause."""

    id: int
    error: str | None = None
    cause: str | None = None


class Heartbeat(Happening, frozen=True, kw_only=True):
    """A task is still being worked on."""

    id: int


class TimerFired(Happening, frozen=True, kw_only=True):
    """The time of a timer has come."""

    id: int


class Stopped(Happening, frozen=True, kw_only=True):
    """Somebody stops the run."""

    error: str | None = None
    cause: str | None = None


class Redriven(Happening, frozen=True, kw_only=True):
    """A run that did not succeed goes on with the states that failed, or were cut off, in the place of its end."""


AnyHappening: TypeAlias = Started | TaskSubmitted | Succeeded | Failed | Heartbeat | TimerFired | Stopped | Redriven


class ScheduleTask(Struct, frozen=True, kw_only=True, tag=True):
    """Do a task. `token` is what `.waitForTaskToken` hands out; its holder answers with `Succeeded`, `Failed` or `Heartbeat`."""

    id: int
    resource: str
    payload: Json
    state: str
    token: str
    credentials: Any = None


class CancelTask(Struct, frozen=True, kw_only=True, tag=True):
    """Nobody waits for a task any more: it ran out of time, its branch was given up, or the run was stopped."""

    id: int


class StartTimer(Struct, frozen=True, kw_only=True, tag=True):
    """Say `TimerFired` at a time."""

    id: int
    at_ms: int


class CancelTimer(Struct, frozen=True, kw_only=True, tag=True):
    """Do not say it."""

    id: int


class ReadItems(Struct, frozen=True, kw_only=True, tag=True):
    """Read the items of a distributed Map: `Succeeded` brings them as a list, `Failed` becomes States.ItemReaderFailed."""

    id: int
    resource: str
    payload: Json
    config: ReaderConfig
    items_max: int | None


class WriteResults(Struct, frozen=True, kw_only=True, tag=True):
    """Write the results of a distributed Map; `Succeeded` brings what the Map returns instead of them."""

    id: int
    resource: str
    payload: Json
    config: WriterConfig | None
    map_run: str
    children: tuple[Child, ...]


AnyCommand: TypeAlias = ScheduleTask | CancelTask | StartTimer | CancelTimer | ReadItems | WriteResults
