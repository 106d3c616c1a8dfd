"""Who waits for what: replies and live streams, told only after the commit (C7).

Pieces of a model's answer are the exception: they are told at once, marked as provisional. A listener who does not keep up
loses the oldest pieces, and is told so; it never slows a handling down.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection, Generator, Sized
from contextlib import contextmanager
from typing import Any, TypeAlias

from penstock.core.agents.pieces import Piece
from penstock.core.agents.unit import Status
from penstock.core.events.envelope import Recorded
from penstock.errors import Diverged, PenstockError, RunCancelled, RunFailed

PIECES_MAX = 1024
Replies: TypeAlias = "dict[str, list[tuple[Collection[str], asyncio.Future[Recorded]]]]"


class Listener:
    """One who listens to all that follows from one event."""

    def __init__(self) -> None:
        self._pieces: deque[Piece] = deque()
        self._arrived = asyncio.Event()
        self._lost = 0

    def tell(self, piece: Piece) -> None:
        if len(self._pieces) >= PIECES_MAX:
            self._pieces.popleft()
            self._lost += 1
        self._pieces.append(piece)
        self._arrived.set()

    async def pieces(self) -> AsyncGenerator[Piece]:
        """Yield pieces as they come, without end."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            if self._lost:
                lost, self._lost = self._lost, 0
                yield Piece("lagged", text=f"{lost} pieces were lost: you read too slowly")
            while self._pieces:
                yield self._pieces.popleft()


class AwaitedReply:
    """One who waits for a reply, within a `with`: it yields what the reply is set on."""

    __slots__ = ("_correlation_id", "_entry", "_replies")

    def __init__(self, replies: "Replies", correlation_id: str, types: Collection[str]) -> None:
        self._replies = replies
        self._correlation_id = correlation_id
        self._entry = types, asyncio.get_running_loop().create_future()

    def __enter__(self) -> "asyncio.Future[Recorded]":
        self._replies.setdefault(self._correlation_id, []).append(self._entry)
        return self._entry[1]

    def __exit__(self, *_: object) -> None:
        _forget(self._entry[1])
        waiting = self._replies[self._correlation_id]
        waiting.remove(self._entry)
        if not waiting:
            del self._replies[self._correlation_id]


class Releases:
    """The waiters of an engine."""

    def __init__(self) -> None:
        self._runs: dict[str, list[asyncio.Future[bytes]]] = {}
        self._replies: Replies = {}
        self._listeners: dict[str, list[Listener]] = {}
        self.streamed: Sized = ()  # runs that tell something, or are followed
        self.on_over: Callable[[str], None] = _nobody

    @contextmanager
    def run(self, run_id: str) -> Generator[asyncio.Future[bytes]]:
        """Wait for the JSON that a run returns."""
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        waiting = self._runs.setdefault(run_id, [])
        waiting.append(future)
        try:
            yield future
        finally:
            _forget(future)
            waiting.remove(future)
            if not waiting:
                self._runs.pop(run_id, None)

    def reply(self, correlation_id: str, types: Collection[str]) -> "AwaitedReply":
        """Wait for the first event of one of these types that follows from an event."""
        return AwaitedReply(self._replies, correlation_id, types)

    @contextmanager
    def listening(self, correlation_id: str) -> Generator[Listener]:
        """Listen to all that follows from an event."""
        listener = Listener()
        listeners = self._listeners.setdefault(correlation_id, [])
        listeners.append(listener)
        try:
            yield listener
        finally:
            listeners.remove(listener)
            if not listeners:
                self._listeners.pop(correlation_id, None)

    def heard(self, correlation_id: str) -> bool:
        """Whether anybody listens to what follows from this event."""
        return correlation_id in self._listeners

    def tell(self, correlation_id: str, piece: Piece) -> None:
        for listener in self._listeners.get(correlation_id, ()):
            listener.tell(piece)

    def succeeded(self, run_id: str, correlation_id: str, result: bytes, emitted: list[Recorded]) -> None:
        """A run's end is durable."""
        for future in self._runs.get(run_id, ()):
            if not future.done():
                future.set_result(result)
        self.emitted(correlation_id, emitted, run_id)
        if self.heard(correlation_id):
            self.tell(correlation_id, Piece("succeeded", run_id, data=result))
        if self.streamed:
            self.on_over(run_id)

    def emitted(self, correlation_id: str, emitted: list[Recorded], run_id: str = "") -> None:
        """Events that followed from another one are durable."""
        waiting = self._replies.get(correlation_id)
        for recorded in emitted if waiting else ():
            for types, future in waiting or ():
                if recorded.event.type in types and not future.done():
                    future.set_result(recorded)
        if self.heard(correlation_id):
            for recorded in emitted:
                self.tell(correlation_id, Piece("event", run_id, recorded.event.type, data=recorded.event.data))

    def failed(self, run_id: str, correlation_id: str, reason: str, status: Status = "failed") -> None:
        """A run's failure, or that it was cancelled, is durable."""
        error = RunCancelled(run_id, reason) if status == "cancelled" else RunFailed(run_id, reason)
        for future in [*self._runs.get(run_id, ()), *(each for _, each in self._replies.get(correlation_id, ()))]:
            if not future.done():
                future.set_exception(error)
        self.tell(correlation_id, Piece("failed", run_id, text=reason))
        if self.streamed:
            self.on_over(run_id)

    def halted(self, run_id: str, reason: str) -> None:
        """That a run cannot go on with the code that there is, is durable: nobody need wait for its end."""
        for future in self._runs.get(run_id, ()):
            if not future.done():
                future.set_exception(Diverged(reason))

    def broken(self, error: PenstockError) -> None:
        """Nothing more will come."""
        runs = [future for waiting in self._runs.values() for future in waiting]
        replies = [future for waiting in self._replies.values() for _, future in waiting]
        for future in [*runs, *replies]:
            if not future.done():
                future.set_exception(error)
        for listeners in self._listeners.values():
            for listener in listeners:
                listener.tell(Piece("failed", text=str(error)))


def _nobody(run_id: str) -> None:
    """Stand in for nobody who follows streams."""


def _forget(future: "asyncio.Future[Any]") -> None:
    """A failure that reached a waiter who was cancelled at the same time is nobody's error any more."""
    if future.done() and not future.cancelled():
        future.exception()
