"""Keyed turns for a caller without an event loop, as Flink's threads are.

The loop has a thread of its own, so that what is under way goes on between two calls.
"""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError
from typing import Any, TypeVar

from penstock.core.events.envelope import Envelope
from penstock.errors import Unavailable
from penstock.flink.begun import Begun
from penstock.flink.keyed_turns import Kept, KeyedTurns, Turn, open_turns
from penstock.flink.marks import Mark
from penstock.runtime.process import loop_factory
from penstock.settings import Settings
from penstock.wiring import Declared

T = TypeVar("T")
PATIENT_S, HASTY_S = 0.02, 0.001  # how long a call waits for handlers to end
END_S = 10.0


class Subtask:
    """The turns of one subtask. Called by one thread at a time."""

    def __init__(
        self, declared: Declared, chosen: Settings, *, steps_wait: bool = True, begun: Begun | None = None
    ) -> None:
        self._declared, self._chosen, self._steps_wait = declared, chosen, steps_wait
        self._begun = begun or Begun()
        self._loop: asyncio.AbstractEventLoop
        self._turns: KeyedTurns
        self._leaving: asyncio.Event
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._patience_s = PATIENT_S
        self._thread = threading.Thread(target=self._live, name="penstock-turns", daemon=True)

    def start(self) -> None:
        """Begin; raise what stands in the way."""
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """End what is under way as a kill would."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._leaving.set)
            self._thread.join(END_S)
        self._begun.close()

    def handled(self, topic: str, event: Envelope, kept: Kept) -> Turn:
        """Return the turn of an event. Where handlers are slow it is not waited for: they go on beside the next turns."""
        turn = self._called(self._turns.handled(topic, event, kept, within_s=self._patience_s))
        self._patience_s = PATIENT_S if turn.is_done else HASTY_S
        return turn

    def look(self, name: str, kept: Kept) -> Turn:
        """Return what became of a key meanwhile."""
        return self._called(self._turns.look(name, kept))

    def marked(self, name: str, mark: Mark, kept: Kept) -> Turn:
        """Return what became of a key for which a mark came back."""
        return self._called(self._turns.marked(name, mark, kept, within_s=self._patience_s))

    def _called(self, work: Coroutine[Any, Any, T]) -> T:
        if not self._thread.is_alive():
            work.close()
            raise self._failure or Unavailable("the engine", "take a turn", "it has ended")
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop).result()
        except CancelledError as error:
            self._thread.join(END_S)
            raise self._failure or Unavailable("the engine", "take a turn", "it has ended") from error

    def _live(self) -> None:
        try:
            with asyncio.Runner(loop_factory=loop_factory()) as runner:
                runner.run(self._until_left())
        except BaseException as error:  # noqa: BLE001 - whoever calls next raises it
            self._failure = error
        finally:
            self._ready.set()

    async def _until_left(self) -> None:
        self._loop, self._leaving = asyncio.get_running_loop(), asyncio.Event()
        async with open_turns(
            self._declared, self._chosen, steps_wait=self._steps_wait, begun=self._begun
        ) as self._turns:
            self._ready.set()
            await self._leaving.wait()
