"""A job of Flink as its users start it, and what it reads and writes in a real Kafka."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from flink_installed import Flink
from shop_on_flink import Ordered

from penstock.core.events.envelope import Envelope
from penstock.core.events.messages import Message, Place, to_event, to_message

APP = Path(__file__).with_name("shop_on_flink.py")
START_S = 120


class Job:
    """`penstock flink run` as a process."""

    def __init__(self, flink: Flink, hosts: str, folder: Path, *more: str) -> None:
        self._said = folder / "job.log"
        log = f"kafka://{hosts}?partitions=6"
        options = ["--parallelism", "2", "--checkpoint-every-ms", "500", "--checkpoints", str(folder / "checkpoints")]
        self._command = [
            str(flink.python),
            "-m",
            "penstock.cli",
            "flink",
            "run",
            str(APP),
            "--log",
            log,
            *options,
            *more,
        ]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
        self._environment = inherited | flink.environment
        self._process: subprocess.Popen[bytes]

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
    def resident_mb(self) -> int:
        """How much memory all of its processes take."""
        return sum(each.memory_info().rss for each in self._all()) >> 20

    def kill(self) -> None:
        """Kill all of its processes at once: this one, the JVM, and the workers of Python."""
        for each in self._all():
            each.kill()
        self._process.wait()

    def stop(self) -> int:
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(60)

    def _all(self) -> Sequence[psutil.Process]:
        if self._process.poll() is not None:
            return ()
        this = psutil.Process(self._process.pid)
        return [this, *this.children(recursive=True)]


class Topics:
    """What a job reads and writes."""

    def __init__(self, hosts: str) -> None:
        self._hosts = hosts

    def publish(self, events: Sequence[Envelope]) -> None:
        producer = Producer({"bootstrap.servers": self._hosts, "enable.idempotence": True, "linger.ms": 5})
        for event in events:
            message = to_message(event)
            headers = list(message.headers)
            producer.produce("ordered", message.value, message.key, headers=headers)  # type: ignore[arg-type]
            producer.poll(0)
        assert producer.flush(30) == 0

    def committed(self, topic: str, count: int, within_s: float) -> list[Message]:
        """Return what those see who read committed: `count` messages, or what there was in time."""
        settings = {
            "bootstrap.servers": self._hosts,
            "group.id": f"test-{time.monotonic_ns()}",
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
        }
        consumer, found = Consumer(settings), list[Message]()
        consumer.subscribe([topic])
        until_s = time.monotonic() + within_s
        while len(found) < count and time.monotonic() < until_s:
            for each in consumer.consume(2000, 0.5):
                assert each.error() is None
                found.append(Message(each.value(), each.key() or b"", tuple(each.headers() or ())))
        consumer.close()
        return found

    def delete(self) -> None:
        admin = AdminClient({"bootstrap.servers": self._hosts})
        for each in admin.delete_topics(["ordered", "counted", "shop-dead-letters"]).values():
            each.result()


def orders(count: int, keys: int, *, first: int = 0) -> list[Envelope]:
    """Return orders in the order in which they are made; each hundredth is one that no agent can handle."""
    made: list[Envelope] = []
    for number in range(first, first + count):
        order = Ordered(customer=f"c{number % keys}", number=-1 if number % 100 == 99 else number)
        made.append(
            Envelope(
                f"order-{number}",
                "/tests",
                order.type_,
                order.customer,
                1_767_225_600_000 + number,
                order.encoded(),
                correlation_id=f"order-{number}",
            )
        )
    return made


def by_key(messages: Sequence[Message]) -> dict[str, list[tuple[str, dict[str, object]]]]:
    """Return ids and data of events by their keys, in order."""
    found: dict[str, list[tuple[str, dict[str, object]]]] = {}
    for number, message in enumerate(messages):
        event = to_event(message, Place("counted", 0, number))
        found.setdefault(event.key, []).append((event.id, json.loads(event.data)))
    return found
