"""Who is measured in a pipeline, what each promises, and how one is started, watched and ended."""

import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import psutil
from hops_load import Usage
from processes import end
from sides import NotMeasured, environment, last_lines

HERE = Path(__file__).resolve().parent
APP = HERE / "hops_app.py"
FASTSTREAM = HERE / "hops_peers" / "faststream"
SETTLE_S = 8.0
BROKERS = ("nats", "kafka", "redis")
PENSTOCK, PEER, RAW = "penstock", "FastStream", "by hand"


class Promise(NamedTuple):
    """What a side promises, in words."""

    effects: str
    order: str
    kill: str
    more: str


PROMISES = {
    "penstock": Promise(
        "exactly once: state, progress and what is sent on are one commit",
        "yes",
        "goes on where it was",
        "retries, dead letters, runs that can be looked at and replayed",
    ),
    "FastStream": Promise("at least once", "as it is consumed", "what was not acknowledged comes again", "no state"),
    "FastStream, NATS": Promise(
        "at least once",
        "no: those of a fetch are handled side by side",
        "what was not acknowledged comes again",
        "no state",
    ),
    "by hand": Promise(
        "at least once", "yes", "what was not acknowledged comes again", "no state, no retries, no dead letters"
    ),
    "by hand, Redis": Promise(
        "once within Redis: sent on and acknowledged as one",
        "yes",
        "what was read and not acknowledged waits until somebody claims it (not written here)",
        "no state, no retries, no dead letters",
    ),
    "by hand, transactions": Promise(
        "exactly once within Kafka, for who reads committed",
        "yes",
        "an open transaction is aborted, after its time-out",
        "no state, no retries, no dead letters",
    ),
}


class Place(NamedTuple):
    """Where a side works: the addresses of servers, a prefix of its own there, and a folder of its own."""

    address: Callable[[str], str]
    prefix: str
    folder: Path


class Command(Protocol):
    def __call__(self, broker: str, place: Place) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class Side:
    """Somebody who is measured on a broker."""

    broker: str
    who: str
    title: str
    promise: str
    command: Command
    servers: tuple[str, ...] = ()  # beside the broker
    settle_s: float = 0.0  # until several workers have divided the keys

    @property
    def name(self) -> str:
        return f"{self.broker}: {self.title}"

    @property
    def form(self) -> str:
        """How it has its messages in Redis."""
        return {PENSTOCK: "penstock", PEER: "faststream", RAW: "plain"}[self.who]


def store_address(store: str, place: Place) -> str:
    """Return the address of a store that nobody has used."""
    if store == "sqlite":
        return f"sqlite:{place.folder / 'pipeline.db'}"
    if store == "redis":
        return f"{place.address('redis')}/0?prefix={place.prefix}store"
    dsn = place.address("postgres")
    return f"{dsn}{'&' if '?' in dsn else '?'}schema=bench_{secrets.token_hex(4)}"


def log_address(broker: str, place: Place) -> str:
    return f"{place.address(broker)}?prefix={place.prefix}&partitions=8"


def run_command(store: str, log: str, *more: str) -> list[str]:
    """Return what runs the pipeline on penstock, as a user does. `store` and `log` are addresses."""
    where = ["--store", store, "--log", log]
    return [sys.executable, "-m", "penstock.cli", "run", str(APP), *where, "--while-stdin-open", *more]


def ours(broker: str, store: str, workers: int = 1) -> Side:
    def command(broker: str, place: Place) -> list[str]:
        more = ["--workers", str(workers)] if workers > 1 else []
        return run_command(store_address(store, place), log_address(broker, place), *more)

    shown = {"sqlite": "SQLite", "redis": "Redis", "postgres": "Postgres"}[store]
    title = f"penstock, {shown}" + (f", {workers} workers" if workers > 1 else "")
    settle_s = SETTLE_S if workers > 1 else 0.0
    return Side(broker, PENSTOCK, title, "penstock", command, () if store == "sqlite" else (store,), settle_s)


def faststream(broker: str, way: str) -> Side:
    def command(broker: str, place: Place) -> list[str]:
        python = environment(FASTSTREAM) / "venv" / "bin" / "python"
        return [str(python), str(FASTSTREAM / "run.py"), broker, place.address(broker), place.prefix, way]

    title = {"one": "FastStream", "batches": "FastStream, batches"}[way]
    return Side(broker, PEER, title, "FastStream, NATS" if broker == "nats" else "FastStream", command)


def by_hand(broker: str, *, transactions: bool = False) -> Side:
    def command(broker: str, place: Place) -> list[str]:
        kind = f"{broker}-transactions" if transactions else broker
        return [sys.executable, str(HERE / "hops_raw.py"), kind, place.address(broker), place.prefix]

    client = {"kafka": "confluent-kafka", "nats": "nats-py", "redis": "redis-py"}[broker]
    title = f"{client} by hand" + (", transactions" if transactions else "")
    promise = "by hand, transactions" if transactions else "by hand, Redis" if broker == "redis" else "by hand"
    return Side(broker, RAW, title, promise, command)


def sides_of(broker: str) -> list[Side]:
    """Return who is measured on a broker."""
    found = [ours(broker, "sqlite")]
    found += [ours(broker, "redis")] if broker in {"kafka", "redis"} else []
    found += [ours("kafka", "redis", workers=2)] if broker == "kafka" else []
    found += [faststream(broker, "one")]
    found += [faststream(broker, "batches")] if broker != "nats" else []
    found += [by_hand(broker)]
    found += [by_hand("kafka", transactions=True)] if broker == "kafka" else []
    return found


class Started:
    """A side that runs: its processes can be measured, and what it said can be read."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.process = process
        self._log = log

    def runs(self) -> bool:
        """Whether it has said that it runs: `penstock run` does."""
        return " as process " in self._log.read_text(encoding="utf-8", errors="replace")

    def complaint(self) -> str:
        return last_lines(self._log.read_text(encoding="utf-8", errors="replace"))[-400:]


@contextmanager
def started(command: list[str], log: Path) -> Iterator[Started]:
    """Run a command for as long as the block lasts, and end all of it; it dies with us, too."""
    death = ["setpriv", "--pdeathsig=KILL", "--"] if shutil.which("setpriv") else []
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*death, *command], cwd=HERE.parent, stdin=subprocess.PIPE, stdout=file, stderr=subprocess.STDOUT
        )
        try:
            yield Started(process, log)
        finally:
            end(process)
            assert process.stdin is not None
            process.stdin.close()


def usage(side: "subprocess.Popen[bytes]", broker: psutil.Process | None) -> Usage:
    """Read what was used so far. Raises `NotMeasured` when the side has ended."""
    if side.poll() is not None:
        raise NotMeasured(f"it ended with {side.returncode}")
    own = _tree(psutil.Process(side.pid))
    servers = [] if broker is None else _tree(broker)
    return Usage(_cpu_s(own), _cpu_s(servers), _rss_mb(own))


def _tree(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def _cpu_s(processes: list[psutil.Process]) -> float:
    used = 0.0
    for each in processes:
        with suppress(psutil.NoSuchProcess):  # it ended just now
            times = each.cpu_times()
            used += times.user + times.system
    return used


def _rss_mb(processes: list[psutil.Process]) -> float:
    held = 0
    for each in processes:
        with suppress(psutil.NoSuchProcess):
            held += each.memory_info().rss
    return round(held / 2**20, 1)
