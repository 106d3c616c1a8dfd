"""The door of `penstock run` for those who watch it: metrics and probes, where `--metrics` says so.

It opens before the store, and closes after it: a worker that joins again, or ends, can be asked all the while.
"""

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import NamedTuple

from penstock.cli.doors import Server, listening_at, url_of
from penstock.errors import Finding, Invalid
from penstock.gateway.probes import Shows, Watched, probes_app

OPTION = "--metrics"
HOST = "127.0.0.1"
PORT_MAX = 65535
ASKING_MAX = 32  # who asks at once; a scraper and the probes are three
GRACE_S = 1


class WatchDoor(NamedTuple):
    """Where a process says how it does."""

    host: str
    port: int

    def of(self, number: int) -> "WatchDoor":
        """Return the door of one of several workers: each has its own, one port after the other (0: any that is free)."""
        return self._replace(port=self.port + number if self.port else 0)

    def __str__(self) -> str:
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def watch_door(text: str, workers: int = 1) -> WatchDoor:
    """Return the door in `[HOST:]PORT`; `Invalid` when it is none, or when there are not enough ports above it."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or HOST
    hint = "[HOST:]PORT, as in 9464 or 0.0.0.0:9464"
    if not (port.isascii() and port.isdigit()) or int(port) > PORT_MAX:
        raise Invalid("the command", (Finding(OPTION, f"is {text!r}", hint),))
    if int(port) and int(port) + workers - 1 > PORT_MAX:
        problem = f"is {text!r}, and {workers} workers need as many ports from there on"
        raise Invalid("the command", (Finding(OPTION, problem, f"{PORT_MAX - workers + 1} at most"),))
    return WatchDoor(host, int(port))


@asynccontextmanager
async def watched(app: str, door: WatchDoor) -> AsyncGenerator[Watched]:
    """Have the door of an app open while the block is executed, which says what it does."""
    state = Watched(app)
    async with door_open(state, door):
        yield state


@asynccontextmanager
async def door_open(state: Shows, door: WatchDoor) -> AsyncGenerator[None]:
    """Have a door open while the block is executed. `Refused` when the port is taken."""
    failure = None
    with listening_at(door.host, door.port, OPTION) as listening:
        url = url_of(door.host, listening)

        def announce() -> None:
            sys.stderr.write(f"penstock: metrics are at {url}/metrics\n")
            sys.stderr.flush()

        server = Server(probes_app(state), announce, grace_s=GRACE_S, concurrency_max=ASKING_MAX)
        async with asyncio.TaskGroup() as group:
            group.create_task(server.serve([listening]))
            try:
                yield
            except BaseException as error:  # noqa: BLE001 - it leaves as it came, outside of any group
                failure = error
            server.should_exit = True
    if failure is not None:
        raise failure
