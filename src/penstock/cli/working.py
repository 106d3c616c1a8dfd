"""`penstock run`: an app without a door, alone or as one of several workers.

A worker lives while its input is open: it ends gently when we close it, and also when we are killed.
"""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

from penstock.app import App, Running
from penstock.cli.arguments import as_arguments
from penstock.cli.lags import lag_of
from penstock.cli.loading import loaded_app, warn_of_no_agents
from penstock.cli.scaling import Fleet, watched_fleet
from penstock.cli.supervising import BACKOFF, Worker, supervised
from penstock.errors import Fenced, Finding, Invalid, Unavailable
from penstock.runtime.dividing import divided
from penstock.runtime.process import run_tuned
from penstock.settings import Settings, settings, shown_url, store_url
from penstock.stores import held
from penstock.vector_stores import require_shareable
from penstock.wiring import opened

PARTITIONS = 16
WORKERS_MAX = 64
REST_WITHIN_S = 60.0


def run_app(
    file: Path,
    flags: Mapping[str, str | None],
    metrics: str | None = None,
    *,
    while_stdin_open: bool = False,
    beside: bool = False,
) -> None:
    """Run the app in a file until it is stopped; `beside`: as one of several workers. `metrics`: where it says how it does."""
    app = loaded_app(file)
    warn_of_no_agents(app)
    run_tuned(_run(app, settings(flags), metrics, while_stdin_open=while_stdin_open, beside=beside))


async def _run(app: App, chosen: Settings, metrics: str | None, *, while_stdin_open: bool, beside: bool) -> None:
    stopped, loop = asyncio.Event(), asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, stopped.set)
    if while_stdin_open:
        threading.Thread(target=_until_stdin_ends, args=(loop, stopped), daemon=True).start()
    async with _shown(app, metrics) as shown:

        async def work() -> None:
            async with app.running(chosen, beside=beside) as live:
                say_that_it_runs(app, chosen)
                with shown(live):
                    await stopped.wait()

        await (joining_again(work, stopped.is_set) if beside else work())


Shown = Callable[[Running], AbstractContextManager[None]]


@asynccontextmanager
async def _shown(app: App, metrics: str | None) -> AsyncGenerator[Shown]:
    """Open the door for those who watch, if there is to be one; what is yielded tells it what runs, while it does."""
    if metrics is None:
        yield lambda _: nullcontext()
        return
    from penstock.cli.watching import watch_door, watched

    async with watched(app.name, watch_door(metrics)) as state:

        @contextmanager
        def shown(live: Running) -> Generator[None]:
            state.running = live
            try:
                yield
                state.ending = True
            finally:
                state.running = None

        yield shown


async def joining_again(work: Callable[[], Awaitable[None]], is_stopped: Callable[[], bool]) -> None:
    """Work beside others until it is stopped, again after an end that is nobody's fault here."""
    failures = 0
    while not is_stopped():
        try:
            await work()
        except (Fenced, Unavailable) as error:
            # It was silent for too long, asleep perhaps, or the server is away: the others have its work.
            failures += 1
            print(f"penstock: {error}; it joins again", file=sys.stderr, flush=True)
            await asyncio.sleep(BACKOFF.wait_s(failures, 0.5))


def say_that_it_runs(app: App, chosen: Settings) -> None:
    """Tell people, and supervisors, which process works on which store."""
    where = shown_url(store_url(chosen, app.name))
    # One write: `print` makes two where output is not buffered, and lines of several workers would run into each other.
    sys.stderr.write(f"{app.name} runs on {where} as process {os.getpid()}\n")
    sys.stderr.flush()


def _until_stdin_ends(loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    while os.read(0, 4096):
        pass
    loop.call_soon_threadsafe(stopped.set)


def run_workers(file: Path, flags: Mapping[str, str | None], workers: str, metrics: str | None = None) -> int:
    """Run an app as several processes that share its store, until Ctrl-C; return the exit code.

    `workers`: how many, or "MIN-MAX" for as many as what waits asks for.
    """
    least, most = bounds_of(workers)
    app, chosen = loaded_app(file), settings(flags)
    command = worker_command("run", file, flags, "--beside")
    crew = [Worker([*command, *_door_of(metrics, number, most)]) for number in range(most)]
    with shared_store(app, chosen, workers):
        if least == most:
            return supervised(crew)
        with watched_fleet(Fleet(least, most), partial(waiting_events, app, chosen)) as fleet:
            return supervised(crew, lambda: fleet.wanted)


def waiting_events(app: App, chosen: Settings) -> int:
    """Return how many events wait for the agents of an app, in its store and in its broker."""
    return sum(asyncio.run(lag_of(app, chosen)).values())


def bounds_of(workers: str) -> tuple[int, int]:
    """Return the least and the most workers in "N" or "MIN-MAX"; `Invalid` for what is neither."""
    least, dash, most = workers.partition("-")
    parts = (least, most) if dash else (least, least)
    if not all(each.isascii() and each.isdigit() for each in parts) or int(parts[0]) > int(parts[1]):
        raise Invalid("the command", (Finding("--workers", f"is {workers!r}", "a number, or MIN-MAX as in 1-4"),))
    for each in parts:
        require_workers(int(each))
    return int(parts[0]), int(parts[1])


def _door_of(metrics: str | None, number: int, workers: int) -> list[str]:
    if metrics is None:
        return []
    from penstock.cli.watching import OPTION, watch_door

    return [OPTION, str(watch_door(metrics, workers).of(number))]


@contextmanager
def shared_store(app: App, chosen: Settings, workers: int | str) -> Generator[None]:
    """Keep other commands from the store of an app while workers share it; `Invalid` when they cannot."""
    require_shareable(chosen.vectors)
    with held(store_url(chosen, app.name)):
        partitions = asyncio.run(divide(app, chosen, PARTITIONS))
        print(
            f"penstock: {workers} workers share {partitions} partitions; Ctrl-C stops them", file=sys.stderr, flush=True
        )
        yield


def require_workers(workers: int) -> None:
    """Raise `Invalid` when so many processes make no sense."""
    if not 1 <= workers <= WORKERS_MAX:
        raise Invalid("the command", (Finding("--workers", f"is {workers}", f"1 to {WORKERS_MAX}"),))


def worker_command(command: str, file: Path, flags: Mapping[str, str | None], *more: str) -> list[str]:
    """Return what starts one worker of several."""
    return [sys.executable, "-m", "penstock.cli", command, str(file), *as_arguments(flags), *more, "--while-stdin-open"]


async def divide(app: App, chosen: Settings, partitions: int, *, within_s: float = REST_WITHIN_S) -> int:
    """Divide the store of an app for several workers, unless it is divided, and return how many partitions there are.

    `Refused` when it does not come to rest in time; `Invalid` for an app that several workers cannot share.
    """
    async with opened(app.declared, replace(chosen, host=""), shared=True) as parts:
        return await divided(parts, app.name, partitions, within_s=within_s)
