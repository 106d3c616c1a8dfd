"""`penstock run`: an app without a door, alone or as one of several workers.

- Workers are processes: one that dies is started again, and meanwhile the others take over what it owned.
- A worker lives while its input is open: it ends gently when we close it, and also when we are killed.
"""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from penstock.app import App
from penstock.cli.loading import loaded_app, warn_of_no_agents
from penstock.core.agents.policy import Retry
from penstock.errors import Fenced, Finding, Invalid, Unavailable
from penstock.runtime.dividing import divided
from penstock.runtime.process import run_tuned
from penstock.stores import held
from penstock.wiring import Settings, opened, settings, shown_url, store_url

PARTITIONS = 16
WORKERS_MAX = 64
REST_WITHIN_S = 60.0
STOP_S = 15.0
LOOK_EVERY_S = 0.2
LASTED_S = 30.0  # a worker that lived so long was well: its next end begins the count anew
BACKOFF = Retry(delay_s=0.2, delay_max_s=10.0)
UNUSABLE = 2  # the exit code of an error that a second start would find again


def run_app(
    file: Path, flags: Mapping[str, str | None], *, while_stdin_open: bool = False, beside: bool = False
) -> None:
    """Run the app in a file until it is stopped; `beside`: as one of several workers of its store."""
    app = loaded_app(file)
    warn_of_no_agents(app)
    run_tuned(_run(app, settings(flags), while_stdin_open=while_stdin_open, beside=beside))


async def _run(app: App, chosen: Settings, *, while_stdin_open: bool, beside: bool) -> None:
    stopped, loop = asyncio.Event(), asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, stopped.set)
    if while_stdin_open:
        threading.Thread(target=_until_stdin_ends, args=(loop, stopped), daemon=True).start()
    failures = 0
    while not stopped.is_set():
        try:
            async with app.running(chosen, beside=beside):
                where = shown_url(store_url(chosen, app.name))
                print(f"{app.name} runs on {where} as process {os.getpid()}", file=sys.stderr, flush=True)
                await stopped.wait()
        except (Fenced, Unavailable) as error:
            if not beside:
                raise
            # It was silent for too long, asleep perhaps, or the server is away: the others have its work.
            failures += 1
            print(f"penstock: {error}; it joins again", file=sys.stderr, flush=True)
            await asyncio.sleep(BACKOFF.wait_s(failures, 0.5))


def _until_stdin_ends(loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    while os.read(0, 4096):
        pass
    loop.call_soon_threadsafe(stopped.set)


def run_workers(file: Path, flags: Mapping[str, str | None], workers: int) -> int:
    """Run an app as several processes that share its store, until Ctrl-C; return the exit code."""
    if not 1 <= workers <= WORKERS_MAX:
        raise Invalid("the command", (Finding("--workers", f"is {workers}", f"1 to {WORKERS_MAX}"),))
    app, chosen = loaded_app(file), settings(flags)
    given = {f"--{name}": value for name, value in flags.items() if value is not None}
    arguments = [part for name, value in given.items() for part in (name, value)]
    command = [sys.executable, "-m", "penstock.cli", "run", str(file), *arguments, "--beside", "--while-stdin-open"]
    with held(store_url(chosen, app.name)):
        partitions = asyncio.run(divide(app, chosen, PARTITIONS))
        print(
            f"penstock: {workers} workers share {partitions} partitions; Ctrl-C stops them", file=sys.stderr, flush=True
        )
        return _supervised([_Worker(command) for _ in range(workers)])


async def divide(app: App, chosen: Settings, partitions: int, *, within_s: float = REST_WITHIN_S) -> int:
    """Divide the store of an app for several workers, unless it is divided, and return how many partitions there are.

    `Refused` when it does not come to rest in time; `Invalid` for an app that several workers cannot share.
    """
    async with opened(app.declared, chosen, shared=True) as parts:
        return await divided(parts, app.name, partitions, within_s=within_s)


class _Worker:
    """One process, started again when it ends by itself."""

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._failures = 0
        self._start_at_s = 0.0
        self._began_s = 0.0
        self.process: subprocess.Popen[bytes] | None = None

    def look(self, now_s: float) -> int | None:
        """Start the process when it is time; return its exit code when another start would end the same way."""
        if self.process is None:
            if now_s >= self._start_at_s:
                # A session of its own: Ctrl-C reaches us alone, and we decide what follows.
                self.process = subprocess.Popen(self._command, stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603
                self._began_s = now_s
            return None
        code = self.process.poll()
        if code is None:
            return None
        if code == UNUSABLE:
            return code
        self._failures = 1 if now_s - self._began_s >= LASTED_S else self._failures + 1
        wait_s = BACKOFF.wait_s(self._failures, 0.5)
        self._start_at_s = now_s + wait_s
        said = f"worker {self.process.pid} ended with {code}"
        print(
            f"penstock: {said}; the others take over, and it starts again in {wait_s:.1f} s",
            file=sys.stderr,
            flush=True,
        )
        self.process = None
        return None

    def close(self) -> None:
        """Ask it to end."""
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()

    def wait(self, until_s: float) -> None:
        """See it to its end."""
        if self.process is None:
            return
        try:
            self.process.wait(max(0.1, until_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _supervised(workers: list[_Worker]) -> int:
    stop = threading.Event()

    def stopped(*_: object) -> None:
        stop.set()

    before = {each: signal.signal(each, stopped) for each in (signal.SIGINT, signal.SIGTERM)}
    code = 0
    try:
        while not stop.is_set() and not code:
            for worker in workers:
                code = code or worker.look(time.monotonic()) or 0
            stop.wait(LOOK_EVERY_S)
    finally:
        for worker in workers:
            worker.close()
        until_s = time.monotonic() + STOP_S
        for worker in workers:
            worker.wait(until_s)
        for each, handler in before.items():
            signal.signal(each, handler)
    return code
