"""Who is measured, and how one run of one side is started, bounded and ended.

- A side is a command that prints one JSON object as its last line; each run has a fresh folder on the repository's disk.
- Whatever a run started is ended by process id when it is over, also when it took too long or was interrupted.
"""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from processes import end
from workloads import Load

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent
SETUP_WITHIN_S = 900.0
RUN_WITHIN_S = 120.0  # beyond its warm-up and its window
COLD_STARTS = 3
COLD_WITHIN_S = 60.0
REASON_LINES = 6
BARE = "import asyncio, sqlite3; print('hello world', flush=True)"
W1, W2, W3, W4 = "w1", "w2", "w3", "w4"
Command = Callable[[Load, Path], list[str]]


@dataclass(frozen=True, slots=True)
class Side:
    """Somebody who is measured. `waits`: what waits for the disk; `compared`: the others are compared with it.

    `least_s`: its window, when it is longer than what is asked for. Then one round has to do.
    """

    name: str
    title: str
    waits: str
    workloads: tuple[str, ...]
    command: Command
    compared: bool = False
    is_ours: bool = False
    least_s: float = 0.0
    in_flight_least: int = 1

    def takes(self, load: Load) -> bool:
        return load.workload.name in self.workloads and load.in_flight >= self.in_flight_least

    def rounds(self, rounds: int) -> int:
        return 1 if self.least_s else rounds


class NotMeasured(Exception):
    """A side could not be set up or run; the message says why."""


def ours() -> list[Side]:
    """penstock itself, in this environment, on SQLite."""

    def command(*more: str) -> Command:
        return lambda load, folder: _penstock(load, f"sqlite:{folder / 'runs.db'}", *more)

    def alone(name: str, title: str, waits: str, workloads: tuple[str, ...], *more: str) -> Side:
        return Side(name, title, waits, workloads, command(*more), compared=True, is_ours=True)

    return [
        alone("penstock", "penstock, `ctx.read`", "the reply", (W1, W2, W3)),
        alone("penstock-each-step", "penstock, `ctx.step`", "every step", (W1, W2, W3), "--each-step"),
        alone("penstock-child-runs", "penstock, child runs", "every step", (W2,), "--each-step", "--child-runs"),
        Side("penstock-cold", "penstock", "every step", (W4,), _cold_penstock, compared=True, is_ours=True),
        Side("penstock-workers", "penstock, 2 workers", "the reply", (W1,), _workers, is_ours=True, in_flight_least=2),
        Side(
            "penstock-workers-any",
            "penstock, 2 workers, sent to either",
            "the reply",
            (W1,),
            lambda load, folder: [*_workers(load, folder), "--to-either"],
            is_ours=True,
            in_flight_least=2,
        ),
    ]


def ours_on_postgres(schema: Callable[[], str]) -> list[Side]:
    """penstock on a Postgres. `schema` returns the address of a fresh one."""

    def alone(load: Load, _folder: Path) -> list[str]:
        return _penstock(load, schema())

    def workers(load: Load, folder: Path) -> list[str]:
        return _workers(load, folder, schema())

    title = "penstock, `ctx.read`, Postgres"
    return [
        Side("penstock-postgres", title, "the reply", (W1,), alone, is_ours=True),
        Side(
            "penstock-postgres-workers",
            "penstock, 2 workers, Postgres",
            "the reply",
            (W1,),
            workers,
            is_ours=True,
            in_flight_least=2,
        ),
    ]


def yardsticks() -> list[Side]:
    """The loop by hand, and a bare interpreter, in this environment."""

    def by_hand(load: Load, folder: Path) -> list[str]:
        return [sys.executable, str(HERE / "reference" / "loop.py"), "--folder", str(folder), *_options(load)]

    return [
        Side("reference", "loop by hand (no engine)", "the reply", (W1, W2, W3), by_hand),
        Side(
            "python", "bare interpreter (asyncio, sqlite3)", "nothing", (W4,), lambda *_: [sys.executable, "-c", BARE]
        ),
    ]


def peer(name: str, title: str, waits: str = "every step", least_s: float = 0.0) -> Side:
    """A peer in an environment of its own, which is made first if it is not there. Raises `NotMeasured`."""
    python = environment(HERE / "peers" / name) / "venv" / "bin" / "python"

    def command(load: Load, folder: Path) -> list[str]:
        if load.workload.name == W4:
            return [str(python), str(HERE / "peers" / name / "cold.py"), str(folder / "cold.db")]
        return [str(python), str(HERE / "peers" / name / "run.py"), "--folder", str(folder), *_options(load)]

    return Side(name, title, waits, (W1, W2, W3, W4), command, least_s=least_s)


def environment(of: Path) -> Path:
    """Make the environment that a folder's locks describe, unless it is there, and return its place."""
    script = str(HERE / "setup.sh")
    try:
        made = subprocess.run(
            ["bash", script, str(of)], capture_output=True, text=True, timeout=SETUP_WITHIN_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotMeasured(f"its setup did not end: {error}") from error
    if made.returncode:
        raise NotMeasured(f"its setup failed: {last_lines(made.stderr)}")
    return Path(made.stdout.strip().splitlines()[-1])


def run(side: Side, load: Load) -> dict[str, Any]:
    """Run one side once, and return its figures. Raises `NotMeasured`."""
    if load.workload.name == W4:
        found = sorted(_first_line_ms(side, load) for _ in range(COLD_STARTS))
        return {"cold_ms": found[COLD_STARTS // 2], "errors": 0}
    within_s = load.warmup + load.seconds + RUN_WITHIN_S
    with fresh_folder() as folder, started(side.command(load, folder)) as process:
        return last_json(process, within_s)


def last_json(process: "subprocess.Popen[str]", within_s: float) -> Any:
    """Wait for a process's end, and return what its last line says. Raises `NotMeasured`."""
    try:
        printed, complaints = process.communicate(timeout=within_s)
    except subprocess.TimeoutExpired as error:
        raise NotMeasured(f"a run did not end within {within_s:g} s") from error
    try:
        return json.loads(printed.strip().splitlines()[-1])
    except (IndexError, ValueError) as error:
        said = f"{len(printed)} characters of output, no figures in its last line; {last_lines(complaints)}"
        raise NotMeasured(f"a run ended with {process.returncode}: {said}") from error


@contextmanager
def fresh_folder() -> Iterator[Path]:
    """Yield an empty folder on the repository's disk."""
    place = REPOSITORY / ".penstock"
    place.mkdir(exist_ok=True)
    with TemporaryDirectory(prefix="bench-", dir=place, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextmanager
def started(command: list[str], *, stdin: int | None = None) -> "Iterator[subprocess.Popen[str]]":
    """Run a command for as long as the block lasts."""
    environment = os.environ | {
        # `workload`, and the modules it takes from us
        "PYTHONPATH": os.pathsep.join((str(HERE), str(REPOSITORY / "src"))),
    }
    with subprocess.Popen(
        command, cwd=REPOSITORY, env=environment, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                end(process)


def new_schema(dsn: str) -> str:
    """Return the address of a schema that nobody has used."""
    return f"{dsn}{'&' if '?' in dsn else '?'}schema=bench_{secrets.token_hex(4)}"


def _first_line_ms(side: Side, load: Load) -> float:
    """Start a process on an empty folder, and return how long it took to say that its first result is durable."""
    with fresh_folder() as folder:
        command = side.command(load, folder)
        began_s = perf_counter()
        with started(command) as process, bounded(process, COLD_WITHIN_S):
            assert process.stdout is not None
            said = process.stdout.readline()
            took_ms = (perf_counter() - began_s) * 1000
            if said.strip() != "hello world":
                _, complaints = process.communicate()
                raise NotMeasured(f"it said {said!r}: {last_lines(complaints)}")
    return round(took_ms, 1)


@contextmanager
def bounded(process: "subprocess.Popen[str]", within_s: float) -> Iterator[None]:
    """End the process if the block lasts longer."""
    from threading import Timer

    timer = Timer(within_s, end, [process])
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _options(load: Load) -> list[str]:
    numbers = {"--in-flight": load.in_flight, "--seconds": load.seconds, "--warmup": load.warmup}
    return ["--workload", load.workload.name, *(part for name, of in numbers.items() for part in (name, str(of)))]


def _penstock(load: Load, store: str, *more: str) -> list[str]:
    return [sys.executable, "-m", "penstock.bench", "--json", "--store", store, *_options(load), *more]


def _cold_penstock(_load: Load, folder: Path) -> list[str]:
    return [sys.executable, "-m", "penstock.bench.cold", str(folder / "cold.db")]


def _workers(load: Load, folder: Path, store: str = "") -> list[str]:
    store = store or f"sqlite:{folder / 'turns.db'}"
    return [sys.executable, str(HERE / "two_workers.py"), "--store", store, *_options(load)[2:]]


def last_lines(text: str) -> str:
    return " / ".join(text.strip().splitlines()[-REASON_LINES:]) or "it said nothing"
