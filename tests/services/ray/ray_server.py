"""A Ray for the tests: a cluster of our own in a network namespace, since Ray listens at every address; its drivers run in there.

Ray has a venv of its own (`requirements.lock`), in which penstock is installed from this checkout.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from own_process import NoServerError, OwnProcess, alone, require, run, services_folder

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
VERSION = "2.60.0"
GCS, CLIENT = 6399, 10001
DRIVER_S = 240
START_S = 150  # 3 s on a quiet machine, and more than 60 s on one with ten times too much to do
STARTS_MAX = 4  # Ray gives up by itself when its parts do not find one another within 30 s
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
    # The door of Ray Client forks while threads of its gRPC are at work: with its handlers the child may die, or hang, before it
    # is another program.
    "GRPC_ENABLE_FORK_SUPPORT": "0",
}
# A node whose process is gone refuses, and is dead after three seconds. One that is only slow has a minute: on a machine with ten
# times too much to do Ray would else declare its only node dead, and end.
HEALTH = {
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "20000",
    "RAY_health_check_failure_threshold": "3",
}


class Ray:
    """A cluster of one node that is there; drivers find it at `client` and `direct`."""

    client = f"ray://127.0.0.1:{CLIENT}"
    direct = f"ray:127.0.0.1:{GCS}"

    def __init__(self, process: OwnProcess, python: Path, folder: Path, *, apart: bool = True) -> None:
        self.process = process
        self.python = python
        self._folder = folder
        self._apart = apart

    def workers(self) -> list[psutil.Process]:
        """Return the processes in which handlers run."""
        family = psutil.Process(self.process.pid).children(recursive=True)
        return [each for each in family if "ray::HandlingActor" in " ".join(_command(each))]

    def stop(self) -> None:
        """Kill all that belongs to it; `ray stop` would stop other people's too."""
        family = psutil.Process(self.process.pid).children(recursive=True)
        self.process.kill()
        self.process.stop()
        for each in family:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        psutil.wait_procs(family, timeout=10)

    def driver(
        self, *arguments: str | Path, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a Python of Ray's in the cluster's network, and return how it ended."""
        paths = os.pathsep.join((str(HERE), paths_of(self.python)))
        given = {
            **os.environ,
            **QUIET,
            "PYTHONPATH": paths,
            "RAY_TEST_FOLDER": str(self._folder),
            **(environment or {}),
        }
        command = self.inside(self.python, *arguments)
        return subprocess.run(
            command, env=given, capture_output=True, text=True, timeout=DRIVER_S, check=False, cwd=ROOT
        )

    def inside(self, *command: str | Path) -> list[str]:
        """Return a command that is executed in the cluster's network."""
        there = ["nsenter", "-t", str(self.process.pid), "-n"] if self._apart else []
        return [*there, *map(str, command)]


@contextmanager
def required_ray() -> Generator[Ray]:
    """Yield a running Ray; without one, skip, or fail when PENSTOCK_REQUIRE_SERVICES=1."""
    folder = Path(tempfile.mkdtemp(prefix="pr-", dir="/tmp"))  # Ray's sockets have long names: the folder must be short
    try:
        try:
            ray = own_ray(folder)
        except NoServerError as error:
            require("ray", error)
            raise
        try:
            yield ray
        finally:
            ray.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def own_ray(folder: Path, *, apart: bool = True, environment: Mapping[str, str] | None = None) -> Ray:
    """Start a cluster of one node, whose logs and sockets lie in a folder.

    `apart`: in a network of its own; else in that of this process, which then must be one itself. `environment`: of its workers.
    """
    if apart and subprocess.run(["unshare", "-n", "true"], capture_output=True, check=False).returncode:
        raise NoServerError("no network namespace may be made here, and Ray would listen at every address: run as root")
    python = installed()
    start = [
        python.parent / "ray",
        "start",
        "--block",
        "--head",
        "--node-ip-address=127.0.0.1",
        f"--port={GCS}",
        f"--ray-client-server-port={CLIENT}",
        "--num-cpus=6",
        "--object-store-memory=80000000",
        "--include-dashboard=false",
        "--disable-usage-stats",
        f"--temp-dir={folder / 'r'}",
    ]
    script = ["unshare", "-n", "bash", "-c", f"ip link set lo up; exec {' '.join(map(str, start))}"]
    probe = f"import socket; [socket.create_connection(('127.0.0.1', port), 1) for port in ({GCS}, {CLIENT})]"

    def ready() -> bool:
        inside = ["nsenter", "-t", str(process.pid), "-n"] if apart else []
        command = [*inside, str(python), "-S", "-c", probe]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    process = OwnProcess(script if apart else start, folder, ready, start_s=START_S)
    paths = os.pathsep.join((str(HERE), paths_of(python)))
    for left in reversed(range(STARTS_MAX)):
        try:
            process.start({**QUIET, **HEALTH, "PYTHONPATH": paths, **(environment or {})})
            break
        except NoServerError:
            if not left:
                raise
    return Ray(process, python, folder, apart=apart)


def installed() -> Path:
    """Return the Python of Ray's venv, which is made when it is missing, or its lock has changed."""
    lock = HERE / "requirements.lock"
    home = services_folder() / f"ray-{VERSION}"
    done = home / ".done"
    with alone("ray"):
        if not done.exists() or done.read_text() != lock.read_text():
            shutil.rmtree(home, ignore_errors=True)
            run([sys.executable, "-m", "venv", home])
            uv = Path(sys.executable).parent / "uv"
            arguments = ["pip", "install", "--quiet", "--no-deps", "--require-hashes", "-r", lock]
            run([uv, *arguments], environment={"VIRTUAL_ENV": str(home)})
            done.write_text(lock.read_text())
    return home / "bin" / "python"


def paths_of(python: Path) -> str:
    """Return a PYTHONPATH by which a Python of Ray's venv finds this checkout, and, after its own, what only our venv has.

    So a driver has the clients of brokers and stores too, and Ray's lock need not hold them.
    """
    own, ours = (sysconfig.get_path("purelib", vars={"base": str(each)}) for each in (python.parents[1], sys.prefix))
    return os.pathsep.join((str(ROOT / "src"), own, ours))


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:  # it has ended
        return []


def values(text: str, name: str) -> Sequence[str]:
    """Return the lines that a driver printed as `name: value`."""
    return [line.removeprefix(f"{name}: ") for line in text.splitlines() if line.startswith(f"{name}: ")]
