"""A job on Flink as its users start it, and what it reads and writes in Kafka, from outside."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path

from penstock.adapters.clock.system import SystemClock
from penstock.adapters.kafka.broker import open_kafka
from penstock.core.events.envelope import DEFAULT_TENANT, Envelope
from penstock.core.events.event import Event
from penstock.core.events.messages import Carried, Lane, to_event, to_message
from penstock.core.events.messages import Place as Found
from penstock.core.events.partitions import partition_of
from penstock.errors import Unavailable
from penstock.ports.broker import Broker
from penstock.testing.conformance.depot import NAME
from penstock.testing.conformance.places import PARTITIONS

START_S = 120.0
STOP_S = 60.0
LOOK_AGAIN_S = 0.05
FETCHED_MAX = 1000
CHECKPOINT_EVERY_MS = 500
PARALLELISM = 2
RUNS = "runs on Flink"
FOLLOWED = "has begun: it goes on, and this one ends"
_numbers = count()


class Job:
    """`penstock flink run`, in a group of processes of its own: the command, the JVM, and the workers of Python."""

    def __init__(self, file: Path, log: str, folder: Path) -> None:
        options = {
            "--log": log,
            "--parallelism": str(PARALLELISM),
            "--checkpoint-every-ms": str(CHECKPOINT_EVERY_MS),
            "--checkpoints": str(folder / "checkpoints"),
        }
        flags = [part for option in options.items() for part in option]
        self._command = [sys.executable, "-m", "penstock.cli", "flink", "run", str(file), *flags]
        self._said = folder / f"job-{next(_numbers)}.log"
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start it, and return when Flink has taken it; `Unavailable` says what it died of."""
        self._process = process = await asyncio.to_thread(self._begun)
        for _ in range(int(START_S / LOOK_AGAIN_S)):
            if RUNS in self._text():
                return
            if process.poll() is not None:
                break
            await asyncio.sleep(LOOK_AGAIN_S)
        await self.kill()
        raise Unavailable("Flink", "take the job", self._text()[-1000:].strip() or "it said nothing")

    @property
    def is_over(self) -> bool:
        """Whether it has ended, or was never started."""
        return self._process is None or self._process.poll() is not None

    async def kill(self) -> None:
        """Kill all of its processes at once."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await asyncio.to_thread(process.wait)

    def freeze(self) -> None:
        """Stop all of its processes where they are."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGSTOP)

    async def thaw(self, within_s: float) -> bool:
        """Have them go on, and return whether the job ends by itself because another one has begun."""
        process = self._process
        assert process is not None
        os.killpg(process.pid, signal.SIGCONT)
        with suppress(subprocess.TimeoutExpired):
            return await asyncio.to_thread(process.wait, within_s) == 0 and FOLLOWED in self._text()
        return False

    async def stop(self) -> int | None:
        """Stop it as its users do, with a savepoint; None when it does not end."""
        process = self._process
        assert process is not None
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(process.wait, STOP_S)
        code = process.returncode
        await self.kill()
        return code

    def _begun(self) -> "subprocess.Popen[bytes]":
        nothing = subprocess.DEVNULL
        with self._said.open("wb") as said:
            return subprocess.Popen(self._command, stdin=nothing, stdout=said, stderr=said, process_group=0)  # noqa: S603 - ours

    def _text(self) -> str:
        return self._said.read_text(errors="replace")


class Topics:
    """What goes in, and all that came out for those who read what is committed."""

    def __init__(self, broker: Broker, topics: Iterable[str]) -> None:
        self._broker = broker
        self._at: dict[Lane, int] = {(topic, part): 0 for topic in topics for part in range(PARTITIONS)}
        self._clock = SystemClock()
        self.carried: list[Carried] = []
        self.acknowledged: set[str] = set()

    async def send(self, event: Event, id: str, *, tenant: str = DEFAULT_TENANT, depth: int = 0) -> None:
        """Publish an event, and return when Kafka has acknowledged it."""
        key = str(getattr(event, event.key_ or ""))
        now_ms = self._clock.now_ms()
        envelope = Envelope(
            id, f"/{NAME}", event.type_, key, now_ms, event.encoded(), tenant, correlation_id=id, depth=depth
        )
        place = (event.topic_, partition_of(tenant, key, PARTITIONS), to_message(envelope))
        await self._broker.publish([place])
        self.acknowledged.add(id)

    def events(self, topic: str) -> list[Envelope]:
        """Return the events of a topic that were seen so far."""
        return [_event(each) for each in self.carried if each.topic == topic]

    def messages(self, topic: str) -> list[Carried]:
        """Return the messages of a topic that were seen so far."""
        return [each for each in self.carried if each.topic == topic]

    async def look(self) -> None:
        """Take what has come."""
        while found := await self._broker.fetch(self._at, limit=FETCHED_MAX):
            self.carried += found
            for each in found:
                self._at[each.topic, each.partition] = each.position

    async def until(self, holds: Callable[[], bool], within_s: float) -> bool:
        """Look until something holds, and return whether it does in time."""
        for _ in range(int(within_s / LOOK_AGAIN_S)):
            await self.look()
            if holds():
                return True
            await asyncio.sleep(LOOK_AGAIN_S)
        return holds()


@asynccontextmanager
async def open_topics(log: str, read: Sequence[str], made: Iterable[str]) -> AsyncGenerator[Topics]:
    """Make topics, and yield what reads some of them."""
    async with open_kafka(log) as broker:
        await broker.require({*read, *made}, PARTITIONS)
        yield Topics(broker, read)


def _event(carried: Carried) -> Envelope:
    return to_event(carried.message, Found(carried.topic, carried.partition, carried.position))
