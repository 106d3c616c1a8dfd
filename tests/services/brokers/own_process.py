"""A server of the tests as a child process: on 127.0.0.1, ended by its own pid, and dead when its parent is."""

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest

START_S = 180  # on a machine that is busy with much else
STOP_S = 20
INSTALL_S = 400


class NoServerError(Exception):
    """There is no such server, and none can be had here; the message says why."""


def require(name: str, error: NoServerError) -> None:
    """Skip loudly what needs a server, or fail where servers are required."""
    if os.environ.get("PENSTOCK_REQUIRE_SERVICES") == "1":
        pytest.fail(str(error))
    pytest.skip(f"NOT TESTED ON {name.upper()}: {error}")


class OwnProcess:
    """A server that belongs to the tests: it can be killed, frozen and started again on the same data."""

    def __init__(
        self, command: Sequence[str | Path], folder: Path, ready: Callable[[], bool], *, start_s: float = START_S
    ) -> None:
        self._command = [str(each) for each in command]
        self._start_s = start_s
        self.folder = folder
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None
        # "Dies with us" means with the thread that made it: this one lasts, the caller's may not.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="server")

    def start(self, environment: Mapping[str, str] | None = None) -> None:
        """Start, and return once it answers."""
        death = ["setpriv", "--pdeathsig=KILL", "--"] if shutil.which("setpriv") else []
        with (self.folder / "server.log").open("ab") as log:
            given = {"stdout": log, "stderr": log, "stdin": subprocess.DEVNULL, "cwd": self.folder}
            started = self._starter.submit(
                subprocess.Popen, [*death, *self._command], env={**os.environ, **(environment or {})}, **given
            )
            self._process = started.result(START_S)
        until_s = time.monotonic() + self._start_s
        while time.monotonic() < until_s:
            if self._ready():
                return
            if self._process.poll() is not None:
                break
            time.sleep(0.05)
        self.kill()
        raise NoServerError(f"it did not start: {(self.folder / 'server.log').read_text(errors='replace')[-800:]}")

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """Stop at once, as SIGKILL does."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Stop as it should, and let go of what starting needs."""
        self._end(signal.SIGTERM)
        self._starter.shutdown()

    @contextmanager
    def frozen(self) -> Generator[None]:
        """Let nothing of the server go on, while its connections stay open, as when a network drops every packet."""
        assert self._process is not None
        process = psutil.Process(self._process.pid)
        process.suspend()
        try:
            yield
        finally:
            process.resume()

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_S)


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        return free.getsockname()[1]


def answers(port: int) -> bool:
    """Whether somebody listens."""
    with closing(socket.socket()) as one:
        one.settimeout(1)
        return one.connect_ex(("127.0.0.1", port)) == 0


def services_folder() -> Path:
    """Return where servers are installed that no package manager of the machine knows; it outlives the tests."""
    folder = Path(os.environ.get("PENSTOCK_SERVICES_DIR") or Path.home() / ".cache" / "penstock" / "services")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def alone(name: str) -> Generator[None]:
    """Let one worker of the tests install at a time."""
    with (Path(tempfile.gettempdir()) / f"penstock-{name}-install.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield


def installed_by_apt(package: str, program: str) -> Path:
    """Return a program, of Debian's package where it is not there yet."""
    with alone(package):
        found = shutil.which(program)
        if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
            _install(package)
            found = shutil.which(program)
    if found is None:
        raise NoServerError(f"no {program} here: install {package}")
    return Path(found)


def run(
    command: Sequence[str | Path], *, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> None:
    """Run what installs something."""
    try:
        subprocess.run(
            [str(each) for each in command],
            cwd=cwd,
            env={**os.environ, **(environment or {})},
            capture_output=True,
            timeout=INSTALL_S,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.CalledProcessError as error:
        raise NoServerError(
            f"{command[0]} failed: {(error.stderr or error.stdout).decode(errors='replace')[-500:]}"
        ) from error
    except (subprocess.SubprocessError, OSError) as error:
        raise NoServerError(f"{command[0]} failed: {error}") from error


def _install(package: str) -> None:
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    # What the package starts by itself would be a service of the machine: a policy forbids it.
    policy = Path("/usr/sbin/policy-rc.d")
    made = not policy.exists()
    if made:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=60", package]
    try:
        try:
            run(command, environment=environment)
        except NoServerError:
            run(["apt-get", "update", "-q"], environment=environment)
            run(command, environment=environment)
    finally:
        if made:
            policy.unlink()
