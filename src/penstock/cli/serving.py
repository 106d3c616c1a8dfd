"""Running an app behind its web door until somebody stops it.

- The port is taken before the store: who cannot serve leaves the store to who does. Several workers listen at one socket, which
  their supervisor opened: whoever is free takes the next connection.
- The app outlives its server: requests end first, then handlers get their grace, then the store is closed.
- The first signal says what is waited for; the second ends the process at once. Nothing is lost by that: what was accepted
  goes on at the next start.
"""

import asyncio
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from types import FrameType
from typing import Any, Self

import msgspec
from fastapi import FastAPI

from penstock.app import App
from penstock.cli.counting import count_handlings
from penstock.cli.doors import Server, listening_at, url_of
from penstock.cli.loading import loaded_app, warn_of_no_agents
from penstock.cli.reporting import INTERRUPTED
from penstock.cli.supervising import START_AGAIN, Worker, supervised
from penstock.cli.working import require_workers, say_that_it_runs, shared_store, worker_command
from penstock.errors import Fenced, Unavailable
from penstock.gateway import let_go, web_app
from penstock.runtime.process import run_tuned
from penstock.settings import Settings, settings, shown_url, store_url

GRACE_S = 5  # what requests get to end, once they are let go
SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Door:
    """Where to serve. `while_stdin_open`: a supervisor ends it by closing its input, or by dying.

    `inherited`: the file number of a socket at which several workers listen together.
    """

    host: str
    port: int
    as_json: bool = False
    while_stdin_open: bool = False
    inherited: int | None = None


def serve_app(file: Path, door: Door, flags: Mapping[str, str | None]) -> None:
    """Serve the app in a file. `Refused` when the port is taken, or the store is another process's."""
    app = loaded_app(file)
    warn_of_no_agents(app)
    chosen = settings(flags)
    with _listening(door) as shared:
        if door.inherited is not None:
            _serve_beside(app, chosen, door, shared)
            return
        announcement = _announcement(app, chosen, door, shared)
        run_tuned(_serve(app, chosen, door, shared, lambda: print(announcement, flush=True)))


def serve_workers(file: Path, door: Door, flags: Mapping[str, str | None], workers: int) -> int:
    """Serve an app as several processes that share its store and its port, until Ctrl-C; return the exit code."""
    require_workers(workers)
    app, chosen = loaded_app(file), settings(flags)
    with _listening(door) as shared, shared_store(app, chosen, workers):
        number = shared.fileno()
        command = worker_command("serve", file, flags, "--inherited", str(number))
        print(_announcement(app, chosen, door, shared), flush=True)  # who comes early waits at the door
        return supervised([Worker(command, [number]) for _ in range(workers)])


def _serve_beside(app: App, chosen: Settings, door: Door, shared: socket.socket) -> None:
    """Serve as one of several workers; what it is asked for may be done by another one."""
    try:
        run_tuned(_serve(app, chosen, door, shared, lambda: say_that_it_runs(app, chosen), beside=True))
    except (Fenced, Unavailable) as error:  # it was silent for too long, or the server is away: nobody's fault here
        print(f"penstock: {error}", file=sys.stderr, flush=True)
        raise SystemExit(START_AGAIN) from error


async def _serve(
    app: App,
    chosen: Settings,
    door: Door,
    shared: socket.socket,
    on_started: Callable[[], None],
    *,
    beside: bool = False,
) -> None:
    under_way = count_handlings(app)
    with _Signals() as signals:
        async with app.running(chosen, beside=beside) as running:
            api = web_app(running)
            server = Server(api, on_started, grace_s=GRACE_S)
            stop = _stop(server, api, under_way)
            signals.stop = stop
            if door.while_stdin_open:
                threading.Thread(target=_wait_for_end_of_stdin, args=(stop,), daemon=True).start()
            await server.serve([shared])


class _Signals:
    """Calls `stop` at each signal, once it is set; before that, signals do what they did."""

    def __init__(self) -> None:
        self.stop: Callable[[], None] | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for each in SIGNALS:
            self._before[each] = signal.signal(each, self._came)
        return self

    def __exit__(self, *_: object) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)

    def _came(self, number: int, _: FrameType | None) -> None:
        if self.stop is not None:
            self.stop()
            return
        signal.signal(number, self._before[number])
        signal.raise_signal(number)


def _stop(server: Server, api: FastAPI, under_way: Callable[[], int]) -> Callable[[], None]:
    """Return what stops the server: gently at first, and at once the second time. It may be called from any thread."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        if server.should_exit:
            os._exit(INTERRUPTED)
        server.should_exit = True
        # Said by the loop: a signal may come while this very process is writing.
        loop.call_soon_threadsafe(_say_what_is_waited_for, under_way())
        loop.call_soon_threadsafe(let_go, api)

    return stop


def _say_what_is_waited_for(handlings: int) -> None:
    if handlings:
        what = "1 handling" if handlings == 1 else f"{handlings} handlings"
        print(f"penstock: finishing {what}; Ctrl-C again to leave now", file=sys.stderr, flush=True)


def _wait_for_end_of_stdin(stop: Callable[[], None]) -> None:
    while os.read(0, 4096):  # not sys.stdin, whose lock a thread must not hold when the interpreter ends
        pass
    stop()


@contextmanager
def _listening(door: Door) -> Generator[socket.socket]:
    if door.inherited is not None:
        with socket.socket(fileno=door.inherited) as shared:
            yield shared
        return
    with listening_at(door.host, door.port, "--port") as listening:
        yield listening


def _announcement(app: App, chosen: Settings, door: Door, listening: socket.socket) -> str:
    url = url_of(door.host, listening)
    if not _is_local(door.host):
        print("penstock: others can reach this: put a proxy in front that asks who they are", file=sys.stderr)
    if door.as_json:
        known = {"app": app.name, "url": url, "pid": os.getpid(), "store": shown_url(store_url(chosen, app.name))}
        return msgspec.json.encode(known).decode()
    return f"{app.name} is at {url} (what it offers: {url}/docs); Ctrl-C stops it"


def _is_local(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
