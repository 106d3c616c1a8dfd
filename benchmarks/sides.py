"""Who is measured, and how one run of one side is started, bounded and ended.

- A side is a command that prints one JSON object as its last line; each run has a fresh folder on the repository's disk.
- Whatever a run started is ended by process id when it is over, also when it took too long or was interrupted.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent
SETUP_WITHIN_S = 900.0
RUN_WITHIN_S = 240.0  # beyond its warm-up and its window
ENDED_WITHIN_S = 10.0
REASON_LINES = 6


@dataclass(frozen=True, slots=True)
class Load:
    """What every side of one comparison is given."""

    in_flight: int
    seconds: float
    warmup: float


@dataclass(frozen=True, slots=True)
class Side:
    """Somebody who is measured. `steps`: what waits for the disk."""

    name: str
    title: str
    steps: str
    command: Callable[[Path], list[str]]
    is_ours: bool = False


class NotMeasured(Exception):
    """A side could not be set up or run; the message says why."""


def ours(*, each_step: bool) -> Side:
    """penstock itself, in this environment."""
    more = ["--each-step"] if each_step else []

    def command(folder: Path) -> list[str]:
        return [sys.executable, "-m", "penstock.bench", "--json", "--store", f"sqlite:{folder / 'turns.db'}", *more]

    if each_step:
        return Side("penstock-each-step", "penstock, `ctx.step`", "every step", command, is_ours=True)
    return Side("penstock", "penstock, `ctx.read`", "the reply", command, is_ours=True)


def yardstick() -> Side:
    """The loop by hand, in this environment."""

    def command(folder: Path) -> list[str]:
        return [sys.executable, str(HERE / "reference" / "loop.py"), "--folder", str(folder)]

    return Side("reference", "loop by hand (no engine)", "the reply", command)


def peer(name: str, title: str) -> Side:
    """A peer in an environment of its own, which is made first if it is not there. Raises `NotMeasured`."""
    script = str(HERE / "peers" / "setup.sh")
    try:
        made = subprocess.run(
            ["bash", script, name], capture_output=True, text=True, timeout=SETUP_WITHIN_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotMeasured(f"its setup did not end: {error}") from error
    if made.returncode:
        raise NotMeasured(f"its setup failed: {_last_lines(made.stderr)}")
    python = Path(made.stdout.strip().splitlines()[-1]) / "venv" / "bin" / "python"

    def command(folder: Path) -> list[str]:
        return [str(python), str(HERE / "peers" / name / "run.py"), "--folder", str(folder)]

    return Side(name, title, "every step", command)


def run(side: Side, load: Load) -> dict[str, Any]:
    """Run one side once, and return its figures. Raises `NotMeasured`."""
    place = REPOSITORY / ".penstock"
    place.mkdir(exist_ok=True)
    options = ["--in-flight", str(load.in_flight), "--seconds", str(load.seconds), "--warmup", str(load.warmup)]
    with TemporaryDirectory(prefix="bench-", dir=place, ignore_cleanup_errors=True) as folder:
        within_s = load.warmup + load.seconds + RUN_WITHIN_S
        with _started([*side.command(Path(folder)), *options]) as process:
            try:
                printed, complaints = process.communicate(timeout=within_s)
            except subprocess.TimeoutExpired as error:
                raise NotMeasured(f"a run did not end within {within_s:g} s") from error
    try:
        return json.loads(printed.strip().splitlines()[-1])
    except (IndexError, ValueError) as error:
        raise NotMeasured(f"a run ended with {process.returncode}: {_last_lines(complaints)}") from error


@contextmanager
def _started(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(
            (str(HERE), str(REPOSITORY / "src"))
        ),  # `workload`, and the modules it takes from us
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    with subprocess.Popen(
        command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            _end_tree(process)


def _end_tree(process: subprocess.Popen[str]) -> None:
    """End a process that is still there, with all its children."""
    import psutil

    if process.poll() is not None:
        return
    try:
        parent = psutil.Process(process.pid)
        tree = [*parent.children(recursive=True), parent]
    except psutil.NoSuchProcess:
        return
    for each in tree:
        try:
            each.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(tree, timeout=ENDED_WITHIN_S)


def _last_lines(text: str) -> str:
    return " / ".join(text.strip().splitlines()[-REASON_LINES:]) or "it said nothing"
