"""A job of Flink as its users start it, `penstock flink run`: it can be killed, stopped, and started again."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil
from flink_installed import Flink

START_S = 300  # on a machine that is busy with much else


class Job:
    """`penstock flink run APP.PY` as a process. What it says, and its checkpoints, lie in `folder`."""

    def __init__(
        self, flink: Flink, app: Path, log: str, folder: Path, *more: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self._said = folder / "job.log"
        checkpoints = ["--checkpoint-every-ms", "500", "--checkpoints", str(folder / "checkpoints")]
        command = [flink.python, "-m", "penstock.cli", "flink", "run", app, "--log", log, "--parallelism", "2"]
        # Its JVM ends when it does; it ends when we do.
        death = ["setpriv", "--pdeathsig=KILL", "--"] if shutil.which("setpriv") else []
        self._command = [*death, *map(str, command), *checkpoints, *more]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
        self._environment = {**inherited, **flink.environment, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Start it, and return after how many seconds Flink had taken it."""
        began_s = time.monotonic()
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(self._command, stdout=said, stderr=said, env=self._environment)
        while time.monotonic() < began_s + START_S:
            if "runs on Flink" in self.said:
                return time.monotonic() - began_s
            assert self._process.poll() is None, self.said[-4000:]
            time.sleep(0.1)
        raise AssertionError(f"it did not start within {START_S} s: {self.said[-4000:]}")

    @property
    def said(self) -> str:
        return self._said.read_text(errors="replace")

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def resident_mb(self) -> int:
        """How much memory all of its processes take."""
        return sum(each.memory_info().rss for each in self._all()) >> 20

    def kill(self) -> int:
        """Kill all of its processes at once: this one, the JVM, and the workers of Python; return how many there were."""
        family = self._all()
        for each in family:
            each.kill()
        if self._process is not None:
            self._process.wait()
        return len(family)

    def kill_worker(self) -> int:
        """Kill one of the processes that handle events in Python, and return its id: the job restarts from a checkpoint."""
        found = [each for each in self._all() if "pyflink.fn_execution.beam.beam_boot" in " ".join(each.cmdline())]
        assert found, "no worker of Python is there"
        found[-1].kill()
        return found[-1].pid

    def stop(self) -> int:
        """Stop it with a savepoint, and return its exit code."""
        assert self._process is not None, "it was not started"
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(60)

    def _all(self) -> Sequence[psutil.Process]:
        if self._process is None or self._process.poll() is not None:
            return ()
        this = psutil.Process(self._process.pid)
        return [this, *this.children(recursive=True)]
