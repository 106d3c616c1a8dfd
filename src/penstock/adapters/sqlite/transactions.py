"""The one connection that writes to a file, in a thread of its own: a transaction at a time, each durable when it returns."""

import asyncio
import sqlite3
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from penstock.adapters.sqlite.beginning import WITHIN_S, begin
from penstock.adapters.sqlite.checkpoints import LENGTHS, Checkpoints, LogLengths
from penstock.adapters.sqlite.schema import UNSTORABLE, translated

T = TypeVar("T")


class Transactions:
    """Runs functions on the connection that writes. Made by `open_transactions`."""

    def __init__(self, writer: sqlite3.Connection, thread: ThreadPoolExecutor, checkpoints: Checkpoints) -> None:
        self._writer = writer
        self._thread = thread
        self._checkpoints = checkpoints
        self._turn = asyncio.Lock()  # one connection is one transaction: writers take turns
        self.undone: Callable[[], None] = _nothing  # called when a transaction was rolled back
        self.patience_s = WITHIN_S  # how long a write waits for those of other processes

    async def transact(
        self, work: Callable[[sqlite3.Connection], T], operation: str = "transaction", *, synced: bool = True
    ) -> T:
        """Run `work` within one transaction, in the writer's thread, and return once it is durable.

        Without `synced` others see it, and it need not survive a loss of power: that all workers are alive, for one.
        """

        def within() -> T:
            try:
                if not synced:
                    self._writer.execute("PRAGMA synchronous = NORMAL")
                begin(self._writer, self.patience_s)
                try:
                    result = work(self._writer)
                    self._writer.execute("COMMIT")
                except BaseException:
                    self.undone()
                    with suppress(sqlite3.Error):
                        self._writer.execute("ROLLBACK")
                    raise
            except (sqlite3.Error, *UNSTORABLE) as error:
                raise translated(error, operation) from error
            else:
                self._checkpoints.consider()
                return result
            finally:
                if not synced:
                    self._writer.execute("PRAGMA synchronous = FULL")

        async with self._turn:
            return await self._in_thread(within)

    async def apart(self, work: Callable[[sqlite3.Connection], T], operation: str) -> T:
        """Run `work` in the writer's thread, between two transactions."""

        def within() -> T:
            try:
                return work(self._writer)
            except (sqlite3.Error, *UNSTORABLE) as error:
                raise translated(error, operation) from error

        async with self._turn:
            return await self._in_thread(within)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Run it in the writer's thread. What has begun goes on also when its caller is cancelled: the thread cannot be stopped.

        Its end comes to who waits for it in two turns of the event loop; by `run_in_executor`, and a shield, it takes four.
        """
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[T] = loop.create_future()

        def run() -> None:
            try:
                tell = partial(_succeeded, ended, work())
            except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
                tell = partial(_failed, ended, error)
            with suppress(RuntimeError):  # nobody waits any more: the event loop is closed
                loop.call_soon_threadsafe(tell)

        self._thread.submit(run)
        return await ended


def _succeeded(ended: asyncio.Future[T], result: T) -> None:
    if not ended.done():
        ended.set_result(result)


def _failed(ended: asyncio.Future[T], error: BaseException) -> None:
    if not ended.done():
        ended.set_exception(error)


@contextmanager
def open_transactions(path: Path, writer: sqlite3.Connection, lengths: LogLengths = LENGTHS) -> Generator[Transactions]:
    """Let a connection write in a thread of its own, with checkpoints beside it, until the block ends."""
    writer.execute("PRAGMA busy_timeout = 0")  # `begin` waits instead
    with ThreadPoolExecutor(1, thread_name_prefix="penstock-sqlite") as thread:
        checkpoints = Checkpoints(path, writer, thread, lengths)
        try:
            yield Transactions(writer, thread, checkpoints)
        finally:
            checkpoints.close()


def _nothing() -> None:
    pass
