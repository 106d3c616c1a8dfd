"""Servers that are started when they are first asked for, and end with the block: what benchmarks and trials of whole tiers use.

A server that cannot be had is a `LookupError` that says why, not a skip: who asks goes on without it, and says so.
"""

import os
import sys
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from subprocess import SubprocessError
from typing import Any

import _pytest.outcomes
import psutil
from kafka_server import required_kafka
from nats_server import required_nats
from redis_server import required_redis

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "postgres"))

from postgres_server import NoServerError, postgres_server

STARTERS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "postgres": lambda: postgres_server(fsync=True),
    "kafka": required_kafka,
    "nats": required_nats,
    "redis": required_redis,
}


@contextmanager
def started_servers() -> Generator["Servers"]:
    """Yield servers that are started when they are asked for, and end them all."""
    os.environ["PENSTOCK_REQUIRE_SERVICES"] = "1"  # a server that cannot be had is said, not skipped
    with ExitStack() as stack:
        yield Servers(stack)


class Servers:
    """Servers by name: "kafka", "nats", "redis" and "postgres"."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._addresses: dict[str, str] = {}
        self._processes: dict[str, psutil.Process] = {}

    @property
    def started(self) -> set[str]:
        """The names of those that were asked for."""
        return set(self._addresses)

    def address(self, name: str) -> str:
        """Return the address of a server; `LookupError` where it cannot be had."""
        if name not in self._addresses:
            before = {each.pid for each in psutil.Process().children()}
            try:
                server = self._stack.enter_context(STARTERS[name]())
            except (_pytest.outcomes.Failed, NoServerError, OSError, RuntimeError, SubprocessError) as error:
                raise LookupError(f"no {name} here: {error}") from error
            self._addresses[name] = server.dsn if name == "postgres" else server.address
            if ours := [each for each in psutil.Process().children() if each.pid not in before]:
                self._processes[name] = ours[0]
        return self._addresses[name]

    def process(self, name: str) -> psutil.Process | None:
        """Return the process of a server of ours that was asked for."""
        return self._processes.get(name)
