"""The way to one worker of a host: what its handlings say is gathered and said together, what is heard goes to each.

A worker is silent when it is dead, and only then: whoever waits for it is told, and does the same with another one.
"""

import asyncio
import logging
from contextlib import suppress
from typing import Protocol

from penstock.core.hosting.messages import FromWorker, Leave, Left, ToWorker, decode_from_worker, encode_batch
from penstock.errors import PenstockError, Unavailable
from penstock.ports.host import Worker
from penstock.runtime.tasks import Tasks

LEAVE_S = 4.0  # spans that are not sent by then are lost
SILENT_S = 60.0  # a worker tells each second that it is there
AWAY = (Unavailable, OSError, TimeoutError)
_log = logging.getLogger("penstock")


class Party(Protocol):
    """A handling that a worker executes."""

    def heard(self, message: FromWorker) -> None: ...
    def lost(self, error: PenstockError) -> None: ...


class Link:
    """One worker, as the handlings have it that it executes."""

    def __init__(self, worker: Worker, name: str, tasks: Tasks) -> None:
        self.name = name
        self.parties: dict[int, Party] = {}
        self.failure: PenstockError | None = None
        self._worker = worker
        self._waiting: list[ToWorker] = []
        self._some = asyncio.Event()
        self._count = 0
        self.is_traced = False
        self._left = asyncio.Event()
        self._tasks = [tasks.start(self._say()), tasks.start(self._hear())]

    def joined(self, party: Party) -> int:
        """Return the number of a handling that begins here; `Unavailable` when the worker is dead."""
        if self.failure is not None:
            raise self.failure
        self._count += 1
        self.parties[self._count] = party
        return self._count

    def left(self, number: int) -> None:
        self.parties.pop(number, None)

    def say(self, message: ToWorker) -> None:
        """Have it said, with whatever else there is to say."""
        self._waiting.append(message)
        self._some.set()

    async def end(self) -> None:
        """End the worker, whatever it does; one that does nothing first sends what it has noted of what it did."""
        if self.is_traced and not self.parties and self.failure is None:
            self.say(Leave())
            with suppress(TimeoutError):
                async with asyncio.timeout(LEAVE_S):
                    await self._left.wait()
        self.fail(Unavailable(self.name, "handle", "it was ended"))
        try:
            await self._worker.end()
        except AWAY as error:
            _log.warning("%s could not be ended: %s", self.name, error)

    def fail(self, error: PenstockError) -> None:
        """The worker is dead: tell all who wait for it."""
        if self.failure is not None:
            return
        self.failure = error
        self._left.set()
        for each in list(self.parties.values()):
            each.lost(error)
        for task in self._tasks:
            if task is not None and task is not asyncio.current_task():
                task.cancel()

    async def _say(self) -> None:
        while self.failure is None:
            await self._some.wait()
            self._some.clear()
            said, self._waiting = self._waiting, []
            try:
                await self._worker.say(encode_batch(said))
            except (PenstockError, *AWAY) as error:
                self._broken(error)

    async def _hear(self) -> None:
        while self.failure is None:
            try:
                async with asyncio.timeout(SILENT_S):
                    body = await self._worker.hear()
                for message in decode_from_worker(body) if body else ():
                    party = self.parties.get(message.handling)
                    if isinstance(message, Left):
                        self._left.set()
                    elif party is not None:
                        party.heard(message)
            except (PenstockError, *AWAY) as error:
                self._broken(error)

    def _broken(self, error: BaseException) -> None:
        ours = (
            error
            if isinstance(error, PenstockError)
            else Unavailable(self.name, "handle", str(error) or "it is silent")
        )
        if self.failure is None:
            _log.warning("a worker is gone, and what it did is done by another one: %s", ours)
        self.fail(ours)
