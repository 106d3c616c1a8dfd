"""A world in which no time passes: a run of a state machine goes on at once, and its clock jumps to what comes next.

Who makes one says how tasks begin and where items are read: `begin` and `read` answer by `ends` and `fails`, at once or later.
"""

import heapq
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Final, cast

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
    TimerFired,
    WriteResults,
)
from penstock.core.asl.program import Program
from penstock.core.asl.reading import ReadingFailed, read_items_from
from penstock.core.asl.reducer import advance
from penstock.core.asl.run import Run
from penstock.core.asl.values import Json

BEGIN_MS: Final = 1_700_000_000_000
HAPPENINGS_MAX: Final = 100_000


class Endless(Exception):
    """A machine went on for longer than one may here."""


class JumpingWorld(ABC):
    """The outside of one run."""

    def __init__(self) -> None:
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

    @abstractmethod
    def object_at(self, bucket: str, key: str) -> bytes | None:
        """Return what an object in S3 holds; None when there is none."""

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
                    self.begin(command)
                case ReadItems():
                    self._read(command)
                case WriteResults():
                    self._write(command)

    def _read(self, reading: ReadItems) -> None:
        payload = cast("dict[str, Any]", reading.payload)
        body = self.object_at(str(payload.get("Bucket")), str(payload.get("Key")))
        if body is None:
            self.fails(reading.id, "S3.NoSuchKeyException", "The specified key does not exist.")
            return
        try:
            self.ends(reading.id, read_items_from(body, reading.config, reading.items_max))
        except ReadingFailed as error:
            self.fails(reading.id, None, str(error))

    def _write(self, writing: WriteResults) -> None:
        """Answer as if it had been written."""
        payload = cast("dict[str, Any]", writing.payload)
        folder = writing.map_run.rpartition(":")[2]
        written = {"Bucket": payload["Bucket"], "Key": f"{payload['Prefix']}/{folder}/manifest.json"}
        self.ends(writing.id, {"MapRunArn": writing.map_run, "ResultWriterDetails": cast("Json", written)})
