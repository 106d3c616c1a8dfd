"""A world in which no time passes: a run of a state machine goes on at once, and its clock jumps to what comes next.

Who makes one says how tasks begin, and where Maps read and write: `begin` answers by `ends` and `fails`, at once or later.
"""

import asyncio
import heapq
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Sequence
from typing import Any, Final

from penstock.adapters.memory.objects import MemoryObjects
from penstock.adapters.tables.arrow import ArrowTables
from penstock.core.asl.happenings import (
    AnyCommand,
    AnyHappening,
    CancelTask,
    CancelTimer,
    Failed,
    ReadItems,
    ScheduleTask,
    Started,
    StartTimer,
    Succeeded,
    TaskSubmitted,
    TimerFired,
    WriteResults,
)
from penstock.core.asl.program import Program
from penstock.core.asl.reducer import advance
from penstock.core.asl.run import Run
from penstock.core.asl.task_kinds import task_kind
from penstock.core.asl.tasks import ACTIVITY
from penstock.core.asl.values import Json
from penstock.ports.objects import Objects
from penstock.runtime.machine_tasks import TaskFailed
from penstock.runtime.map_files import ItemFiles, ResultFiles, Results

BEGIN_MS: Final = 1_700_000_000_000
HAPPENINGS_MAX: Final = 100_000


class Endless(Exception):
    """A machine went on for longer than one may here."""


class JumpingWorld(ABC):
    """The outside of one run."""

    def __init__(self, objects: Objects | None = None) -> None:
        self.objects = objects or MemoryObjects()
        self.now_ms = BEGIN_MS
        self._coming: list[tuple[int, int, AnyHappening]] = []
        self._cancelled: set[int] = set()
        self._count = 0

    def run(self, program: Program, started: Started) -> Run:
        """Run a machine to its end, or until nothing more would ever come. Raise `Endless` after 100,000 happenings."""
        run = Run(program)
        self._do(advance(run, started))
        while self._coming and not run.is_over:
            at_ms, _, happening = heapq.heappop(self._coming)
            if getattr(happening, "id", 0) in self._cancelled:
                continue
            self.now_ms = at_ms
            self._do(advance(run, happening))
            if self._count > HAPPENINGS_MAX:
                raise Endless(f"more than {HAPPENINGS_MAX} things happened in it")
        return run

    @abstractmethod
    def begin(self, task: ScheduleTask) -> None:
        """Do a task, or begin to."""

    def comes(self, happening: AnyHappening) -> None:
        self._count += 1
        heapq.heappush(self._coming, (happening.at_ms, self._count, happening))

    def ends(self, id: int, output: Json, *, after_ms: int = 1) -> None:
        self.comes(Succeeded(at_ms=self.now_ms + after_ms, id=id, output=output))

    def fails(self, id: int, error: str | None, cause: str | None) -> None:
        self.comes(Failed(at_ms=self.now_ms + 1, id=id, error=error, cause=cause))

    def _do(self, commands: Sequence[AnyCommand]) -> None:
        for command in commands:
            match command:
                case StartTimer():
                    self.comes(TimerFired(at_ms=command.at_ms, id=command.id))
                case CancelTimer() | CancelTask():
                    self._cancelled.add(command.id)
                case ScheduleTask():
                    if task_kind(command.resource).events == ACTIVITY:  # a worker takes it at once
                        self.comes(TaskSubmitted(at_ms=self.now_ms, id=command.id))
                    self.begin(command)
                case ReadItems():
                    self._read(command)
                case WriteResults():
                    self._write(command)

    def _read(self, reading: ReadItems) -> None:
        files = ItemFiles(self.objects, ArrowTables())
        self._answer(reading.id, files.read(reading.resource, reading.payload, reading.config, reading.items_max))

    def _write(self, writing: WriteResults) -> None:
        results = Results(writing.payload, writing.config, writing.map_run, writing.children)
        self._answer(writing.id, ResultFiles(self.objects).write(results))

    def _answer(self, id: int, work: "Coroutine[Any, Any, Json]") -> None:
        try:
            self.ends(id, asyncio.run(work))
        except TaskFailed as error:
            self.fails(id, error.error or None, error.cause)
