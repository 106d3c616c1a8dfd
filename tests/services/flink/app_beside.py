"""The app beside a job of its streams, as its users start it: `penstock run APP.PY --streams flink`. It can be killed."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

START_S = 60


class AppBeside:
    """`penstock run APP.PY --streams flink` as a process. What it says, and its store, lie in `folder`."""

    def __init__(self, app: Path, log: str, folder: Path) -> None:
        self.store = f"sqlite:{folder / 'beside.db'}"
        self._said = folder / "beside.log"
        death = ["setpriv", "--pdeathsig=KILL", "--"] if shutil.which("setpriv") else []
        command = [sys.executable, "-m", "penstock.cli", "run", app, "--streams", "flink", "--log", log]
        self._command = [*death, *map(str, command), "--store", self.store]
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and return once it works."""
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(self._command, stdout=said, stderr=said, env=self._environment)
        until_s = time.monotonic() + START_S
        while "runs on" not in self.said:
            assert self._process.poll() is None, self.said[-4000:]
            assert time.monotonic() < until_s, self.said[-4000:]
            time.sleep(0.1)

    @property
    def said(self) -> str:
        return self._said.read_text(errors="replace")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
