"""`penstock` as a person runs it, and the workers that it starts."""

import re
import signal
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

COUNTING = Path(__file__).parent / "counting.py"
TOGETHER = Path(__file__).parent / "together.py"


@contextmanager
def command(*arguments: str, environment: Mapping[str, str] | None = None) -> Generator[subprocess.Popen[str]]:
    """Run `penstock`, and interrupt it at the end."""
    program = [sys.executable, "-m", "penstock.cli", *arguments]
    process = subprocess.Popen(
        program,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=None if environment is None else dict(environment),
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        finally:
            process.kill()
            process.stderr.close()


def workers_in(process: subprocess.Popen[str], count: int) -> list[int]:
    """Return the process ids of the next workers that say that they run."""
    pids: list[int] = []
    while len(pids) < count:
        line = process.stderr.readline()
        assert line, f"it ended with {process.poll()}"
        if said := re.search(r"runs on .* as process (\d+)", line):
            pids.append(int(said[1]))
    return pids
