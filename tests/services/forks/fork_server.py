"""A fork server that has imported what lives of an app need: a process of one begins in milliseconds, not in seconds.

There is one in a process, so all who use it have it import the same, whoever comes first.
"""

import multiprocessing
import os
import subprocess
import sys
from multiprocessing.connection import Connection
from pathlib import Path

IMPORTED = [
    "numpy",
    "tokenizers",
    "penstock.adapters.sqlite.passages",
    "penstock.adapters.embedders.static",
    "penstock.wiring",
    "penstock.cli",
    "penstock.cli.serving",
    "penstock.cli.knowing",
    "ingesting",  # of tests/knowledge, where these are run
]
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(IMPORTED)


class Forked:
    """A command of penstock's in a process of its own; used as a `Popen` is. Its output is read from `stdout`."""

    def __init__(self, arguments: list[str], log: Path, environment: dict[str, str]) -> None:
        mine, theirs = FORKS.Pipe(duplex=False)
        self._process = FORKS.Process(target=_live, args=(arguments, theirs, str(log), environment))
        self._process.start()
        theirs.close()
        with mine:
            self.stdout = os.fdopen(os.dup(mine.fileno()))

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired("penstock", timeout or 0)
        return code


def _live(arguments: list[str], out: Connection, log: str, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    os.dup2(out.fileno(), 1)
    out.close()
    with Path(log).open("ab") as errors:
        os.dup2(errors.fileno(), 2)
    sys.argv = ["penstock", *arguments]
    from penstock.cli import main

    main()
