"""A run of a state machine as data: where each of its branches stands, and what it waits for.

A run is changed by `advance` alone. It can be made again from the happenings that it was given.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from penstock.core.asl.happenings import AnyCommand, Status
from penstock.core.asl.history import History
from penstock.core.asl.program import Program, Step
from penstock.core.asl.results import Child
from penstock.core.asl.scope import Scope
from penstock.core.asl.values import Json


class Failure(Struct, frozen=True):
    """Why a state, a branch or a run did not end well. `also` are other names that a Retry or a Catch may use for it."""

    error: str | None
    cause: str | None
    also: tuple[str, ...] = ()
    is_fatal: bool = False  # States.Runtime: no Retry and no Catch sees it, and it ends the whole run
    lacks_as_text: bool = (
        False  # what it lacks is an empty text in an error output, where null comes from a token's holder
    )

    @property
    def output(self) -> dict[str, Json]:
        """What a Catch gets of it."""
        lacking = "" if self.lacks_as_text else None
        return {
            "Error": lacking if self.error is None else self.error,
            "Cause": lacking if self.cause is None else self.cause,
        }


class Thread:
    """One flow of control: the run's own, a branch of a Parallel, an iteration of a Map."""

    __slots__ = (
        "context",
        "effective",
        "entered",
        "entered_ms",
        "history",
        "index",
        "last",
        "over",
        "owner",
        "program",
        "raw",
        "retries",
        "scope",
        "step",
        "variables",
        "work",
    )

    def __init__(self, program: Program, raw: Json, variables: Mapping[str, Json], history: History, last: int) -> None:
        self.program = program
        self.step: Step = program.steps[program.start_at]
        self.raw = raw
        self.effective: Json = None
        self.variables = variables
        self.history = history
        self.last = last  # the event that the next one follows
        self.entered = 0  # the event with which the present state was entered
        self.entered_ms = 0
        self.scope: Scope | None = (
            None  # what the present state's expressions see; made when the first one is evaluated
        )
        self.context: dict[str, Any] = {}
        self.retries: list[int] = []  # how often each retrier of the present state had it tried again
        self.owner: Fan | None = None
        self.index = 0  # among the owner's threads
        self.work: Work | Fan | None = None  # what it waits for
        self.over = False


class Work:
    """Something outside that a thread waits for: a task, a timer, a reading, a writing."""

    __slots__ = ("failure", "has_started", "heartbeat_s", "id", "kind", "map_run", "thread", "timeout_s", "timers")

    def __init__(self, id: int, kind: str, thread: Thread) -> None:
        self.id = id
        self.kind = kind  # "task", "wait", "retry", "read", "write"
        self.thread = thread
        self.timers: dict[str, int] = {}  # "timeout", "heartbeat" -> id of the timer
        self.timeout_s: float | None = None
        self.heartbeat_s: float | None = None
        self.has_started = False  # of a task: whether that was told
        self.map_run = ""  # whose results are written, and why it has failed, if it has
        self.failure: Failure | None = None


class Fan:
    """What a Parallel or a Map runs side by side."""

    __slots__ = (
        "at_once",
        "children",
        "failures",
        "failures_max",
        "inputs",
        "map_run",
        "next_index",
        "outputs",
        "running",
        "thread",
        "told",
        "total",
    )

    def __init__(self, thread: Thread, total: int, at_once: int) -> None:
        self.thread = thread  # whose state it is
        self.total = total
        self.at_once = at_once
        self.inputs: Iterator[tuple[Json, dict[str, Any]]] = iter(())  # of a Map: each item's input and context
        self.next_index = 0
        self.running = 0
        self.children: dict[int, Thread] = {}
        self.outputs: list[Json] = [None] * total
        self.failures = 0
        self.failures_max = 0  # more of them fail the Map
        self.map_run = ""  # the ARN of a distributed Map's run
        self.told: list[Child] | None = None  # what a ResultWriter is to tell of each child


class Run:
    """The whole of a run."""

    __slots__ = (
        "base",
        "commands",
        "failure",
        "history",
        "left",
        "name",
        "now_ms",
        "number",
        "pending",
        "program",
        "queue",
        "result",
        "root",
        "status",
        "timers",
        "tokens",
        "works",
    )

    def __init__(self, program: Program) -> None:
        self.program = program
        self.tokens = ""  # how the tokens of its tasks begin
        self.status: Status = "RUNNING"
        self.result: Json = None
        self.failure: Failure | None = None
        self.history = History()
        self.base: dict[str, Any] = {}  # the context object, but for the state
        self.name = ""
        self.now_ms = 0
        self.number = 0  # of the last command that waits for an answer
        self.root: Thread | None = None
        self.works: dict[int, Work] = {}
        self.timers: dict[int, tuple[Work | None, str]] = {}  # what each timer is for; no work: the run's own time
        self.queue: deque[tuple[str, Thread, Any]] = deque()  # what is to be done before the run waits again
        self.commands: list[AnyCommand] = []
        self.left: list[Thread] = []  # where a failure found the run: the threads that it ended, the failed one first
        self.pending: dict[Thread, tuple[str, Any]] = {}  # what was still to be done for them then

    @property
    def is_over(self) -> bool:
        return self.status != "RUNNING"

    def next_id(self) -> int:
        self.number += 1
        return self.number
