"""The door of a process that runs a job of Flink (`--metrics`): what Flink says of the job, and whether it works.

It has a thread and a loop of its own: the process itself waits for Java.
"""

import asyncio
import threading
from collections.abc import Generator
from contextlib import contextmanager

from penstock.cli.watching import WatchDoor, door_open
from penstock.core.telemetry.meters import Family
from penstock.errors import PenstockError
from penstock.flink.looking import RUNS, JobSeen
from penstock.gateway.probes import ENDING
from penstock.runtime.measuring import of_process, unmeasured


class WatchedJob:
    """A job, as its door says it."""

    def __init__(self, app: str) -> None:
        self.app = app
        self.job: JobSeen | None = None
        self.ending = False

    def show(self, job: JobSeen | None) -> None:
        """Show a job; None: it ends."""
        self.job, self.ending = job, job is None

    async def problem(self) -> str:
        """Say why it is not ready; empty when it is."""
        if self.ending:
            return ENDING
        if self.job is None:
            return "Flink has not taken the job yet"
        try:
            state = await asyncio.to_thread(self.job.state)
        except PenstockError as error:
            return str(error)
        return "" if state == RUNS else f"the job is {state or 'not known to Flink'}"

    async def families(self) -> list[Family]:
        """Return what is known of the job."""
        if self.job is None:
            return unmeasured()
        return [*await asyncio.to_thread(self.job.families), *of_process()]


@contextmanager
def watching_job(app: str, door: WatchDoor) -> Generator[WatchedJob]:
    """Have the door open while the block is executed; `Refused` when the port is taken."""
    state, opened = WatchedJob(app), threading.Event()
    failures: list[BaseException] = []
    ends: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def live() -> None:
        left = asyncio.Event()
        async with door_open(state, door):
            ends.append((asyncio.get_running_loop(), left))
            opened.set()
            await left.wait()

    def work() -> None:
        try:
            asyncio.run(live())
        except BaseException as error:  # noqa: BLE001 - whoever waits for the door raises it
            failures.append(error)
        finally:
            opened.set()

    thread = threading.Thread(target=work, name="penstock-door", daemon=True)
    thread.start()
    opened.wait()
    if failures:
        raise failures[0]
    try:
        yield state
    finally:
        state.ending = True
        for loop, left in ends:
            loop.call_soon_threadsafe(left.set)
        thread.join(2.0)
