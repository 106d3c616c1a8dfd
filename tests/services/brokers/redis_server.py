"""A Redis for the tests: the one that PENSTOCK_REDIS names ("HOST:PORT"), or one of our own, of Debian's package."""

import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from own_process import NoServerError, OwnProcess, answers, free_port, installed_by_apt, require

DURABLE = ("--appendonly", "yes", "--appendfsync", "everysec")


class Redis:
    """A Redis that is there. `address` is what `log` and `store` name; `process` is None where it is not ours."""

    def __init__(self, hosts: str, process: OwnProcess | None = None) -> None:
        self.hosts = hosts
        self.address = f"redis://{hosts}"
        self.process = process


@contextmanager
def required_redis() -> Generator[Redis]:
    """Yield a running Redis; without one, skip, or fail when PENSTOCK_REQUIRE_SERVICES=1."""
    given = os.environ.get("PENSTOCK_REDIS")
    if given:
        yield Redis(given)
        return
    with own_redis(*DURABLE) as redis:
        yield redis


@contextmanager
def own_redis(*options: str, tls: bool = False) -> Generator[Redis]:
    """Yield a Redis of our own that is set up like this, which may be killed and started again; `tls`: it speaks no other."""
    folder = Path(tempfile.mkdtemp(prefix="penstock-redis-"))
    try:
        try:
            program = installed_by_apt("redis-server", "redis-server")
            port = free_port()
            ports = ["--port", "0", "--tls-port", str(port)] if tls else ["--port", str(port)]
            where = [*ports, "--bind", "127.0.0.1", "--dir", folder]
            command = [program, *where, "--save", "", "--daemonize", "no", *options]
            process = OwnProcess(command, folder, lambda: answers(port))
            process.start()
        except NoServerError as error:
            require("redis", error)
            raise
        try:
            yield Redis(f"127.0.0.1:{port}", process)
        finally:
            process.kill()
            process.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def started_redis(folder: Path) -> Redis:
    """Start a Redis whose data lie in a folder, as the tests of faults have it: it outlives a kill."""
    program = installed_by_apt("redis-server", "redis-server")
    port = free_port()
    where = ["--port", str(port), "--bind", "127.0.0.1", "--dir", folder]
    durable = ["--save", "", "--appendonly", "yes", "--appendfsync", "always", "--daemonize", "no"]
    process = OwnProcess([program, *where, *durable], folder, lambda: answers(port))
    process.start()
    return Redis(f"127.0.0.1:{port}", process)
