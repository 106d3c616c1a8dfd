"""A Postgres for the tests: the one that is given, or one of our own in a temporary folder.

- `PENSTOCK_POSTGRES_DSN` names a server that is there; tests make schemas of their own in it, and remove them.
- Otherwise Postgres is found, or on Debian installed as root (in bounded time, with no cluster and no service of its own).
- Our own server listens on 127.0.0.1 only, as an unprivileged user, since Postgres refuses root. It is a child of the test
  process, is ended by its own pid, and dies with its parent, also when that one is killed.
"""

import asyncio
import fcntl
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

VERSION = "15"
INSTALL_S = 240
START_S = 30
STOP_S = 10
USER = "postgres"
CLUSTERS = Path("/etc/postgresql-common/createcluster.conf")


class NoServerError(Exception):
    """There is no Postgres, and none can be had here; the message says why."""


@contextmanager
def required_server() -> Generator["Server"]:
    """Yield a running server; without one, skip, or fail when PENSTOCK_REQUIRE_SERVICES=1."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(postgres_server())
        except NoServerError as error:
            if os.environ.get("PENSTOCK_REQUIRE_SERVICES") == "1":
                pytest.fail(str(error))
            pytest.skip(f"NOT TESTED ON POSTGRES: {error}")
        yield server


@contextmanager
def postgres_server(*, fsync: bool = False) -> Generator["Server"]:
    """Yield a running server, and end it again if it is ours; `NoServerError` when there is none to be had.

    Tests crash the server and its clients, never the machine: without `fsync` that shows no difference. A server that is given
    is as it is.
    """
    given = os.environ.get("PENSTOCK_POSTGRES_DSN")
    if given:
        yield Server(given)
        return
    programs = _found() or _installed()
    with tempfile.TemporaryDirectory(prefix="penstock-postgres-") as name:
        folder = Path(name)
        if os.geteuid() == 0:
            account = pwd.getpwnam(USER)
            os.chown(folder, account.pw_uid, account.pw_gid)
        server = OwnServer(programs, folder, fsync=fsync)
        server.make()
        server.start()
        try:
            yield server
        finally:
            server.crash()  # the quickest: the folder goes anyway
            server.forget()


class Server:
    """A server that is there. `dsn` leads to its database."""

    ours = False

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn


class OwnServer(Server):
    """A server that belongs to the tests: it can be stopped and started."""

    ours = True

    def __init__(self, programs: Path, folder: Path, *, fsync: bool = False) -> None:
        self._fsync = fsync
        self._programs = programs
        self._folder = folder
        self._data = folder / "data"
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="postgres-server")
        # It speaks no TLS. A connection that asks for it all the same and is given up meanwhile leaves an error of asyncpg's
        # behind, which nobody can take, and which fails the test in which it comes up.
        super().__init__(f"postgresql://{USER}@127.0.0.1:{self.port}/postgres?sslmode=disable")

    def make(self) -> None:
        """Make the cluster."""
        options = ("--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", f"--username={USER}", "--no-sync")
        command = [*self._as_user(), self._programs / "initdb", "-D", self._data, *options]
        made = subprocess.run(command, capture_output=True, text=True, timeout=START_S, check=False, cwd=self._folder)
        if made.returncode:
            raise NoServerError(f"initdb failed: {made.stderr.strip()[-500:]}")

    def start(self) -> None:
        """Start, and return once it answers."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "100",
            "fsync": "on" if self._fsync else "off",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = [*self._as_user(dies_with_us=True), self._programs / "postgres", "-D", self._data, *options]
        with (self._folder / "log").open("ab") as log:
            # "Dies with us" means with the thread that made it: this one lasts, the caller's may not.
            started = self._starter.submit(subprocess.Popen, command, stdout=log, stderr=log, cwd=self._folder)
            self._process = started.result(START_S)
        ready = [self._programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port), "-U", USER, "-t", "1"]
        for _ in range(START_S * 20):
            if subprocess.run(ready, timeout=START_S, check=False).returncode == 0:
                return
            if self._process.poll() is not None:
                break
            _wait(self._process, 0.05)  # a pause, unless it ends
        self.crash()
        raise NoServerError(f"postgres did not start: {(self._folder / 'log').read_text()[-500:]}")

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @contextmanager
    def frozen(self) -> Generator[None]:
        """Let nothing of the server go on, while its connections stay open, as when a network drops every packet."""
        assert self._process is not None
        first = psutil.Process(self._process.pid)
        processes = [first, *first.children(recursive=True)]
        for each in processes:
            each.suspend()
        try:
            yield
        finally:
            for each in reversed(processes):
                each.resume()

    def crash(self) -> None:
        """Stop at once, as `pg_ctl stop -m immediate` does; the next start recovers from the log."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGQUIT)
            if not _wait(process, STOP_S):
                process.kill()
                process.wait(STOP_S)

    def forget(self) -> None:
        """Let go of what starting needs."""
        self._starter.shutdown()

    def _as_user(self, *, dies_with_us: bool = False) -> list[str]:
        """Return what goes before a command, so that it runs as an unprivileged user, and ends with us."""
        user = [f"--reuid={USER}", f"--regid={USER}", "--clear-groups"] if os.geteuid() == 0 else []
        death = ["--pdeathsig=QUIT"] if dies_with_us else []
        if shutil.which("setpriv") is None:
            if user:
                raise NoServerError("Postgres refuses root, and there is no setpriv: set PENSTOCK_POSTGRES_DSN")
            return []
        return ["setpriv", *user, *death, "--"] if user or death else []


async def ask(dsn: str, *statements: str) -> list[tuple[Any, ...]]:
    """Do something in a database beside the store, and return what the last statement says."""
    import asyncpg

    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        found = []
        for statement in statements:
            found = await connection.fetch(statement)
        return [tuple(row) for row in found]
    finally:
        await connection.close(timeout=10)


@contextmanager
def fresh(server: "Server") -> Generator[str]:
    """Yield the address of a store that is not made yet; what was made is removed from a server that is not ours."""
    address = f"{server.dsn}{'&' if '?' in server.dsn else '?'}schema=test_{secrets.token_hex(6)}"
    yield address
    if not server.ours:
        asyncio.run(ask(server.dsn, f"DROP SCHEMA IF EXISTS {schema_of(address)} CASCADE"))


def schema_of(url: str) -> str:
    """Return the schema in the address of a store."""
    return url.rpartition("schema=")[2]


def _wait(process: "subprocess.Popen[bytes]", seconds: float) -> bool:
    """Whether the process ended within some seconds."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        return free.getsockname()[1]


def _found() -> Path | None:
    """Return the folder of the newest server's programs."""
    debian = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parent.parent.name), reverse=True
    )
    elsewhere = shutil.which("postgres")
    programs = [*debian, *([Path(elsewhere).resolve()] if elsewhere else [])]
    return next((path.parent for path in programs if (path.parent / "initdb").exists()), None)


def _installed() -> Path:
    """Install Debian's package, and return the folder of its programs."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise NoServerError("no Postgres here: install it, or set PENSTOCK_POSTGRES_DSN=postgresql://...")
    lock = Path(tempfile.gettempdir()) / "penstock-postgres-install.lock"
    with lock.open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # each worker of the tests comes here
        if (programs := _found()) is None:
            _install("postgresql-common")
            if CLUSTERS.exists():  # what the package brings: without it, the next one would make and start a cluster
                text = re.sub(
                    r"(?m)^#?\s*create_main_cluster\b.*$", "create_main_cluster = false", CLUSTERS.read_text()
                )
                CLUSTERS.write_text(text)
            _install(f"postgresql-{VERSION}")
            programs = _found()
    if programs is None:
        raise NoServerError("apt-get has installed Postgres, and it is not there")
    return programs


def _install(package: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=60", package]
    for before in ([], ["apt-get", "update", "-q"]):  # the lists may be old, or not there yet
        try:
            if before:
                subprocess.run(before, env=environment, capture_output=True, timeout=INSTALL_S, check=True)
            subprocess.run(command, env=environment, capture_output=True, timeout=INSTALL_S, check=True)
        except (subprocess.SubprocessError, OSError) as error:
            failure = error
        else:
            return
    raise NoServerError(f"{package} could not be installed ({failure}): set PENSTOCK_POSTGRES_DSN=postgresql://...")
