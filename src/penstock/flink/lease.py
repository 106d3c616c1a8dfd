"""Of the jobs of one name on one Kafka the newest alone goes on (C5). Who is there, Kafka's own groups say.

Each job that is run from here is a member of a group, under a name that says how new it is. One that comes later causes a
rebalance: those before it see it, stop with a savepoint, and leave, and it begins once they have left, from there. One that is
silent, killed or frozen, Kafka drops after `SILENT_MS`. When it wakes up it is told so, finds the newer one, and ends; what it
had not committed the transactions of the newer one have fenced by then.

Kafka's rebalance protocol is that of its consumer groups ("classic"); nothing is read, and no offset is committed.
"""

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from penstock.adapters.kafka.errors import Complaints, is_right, of_exception
from penstock.errors import PenstockError, Unavailable

SILENT_MS = 6_000  # what Kafka's brokers allow at least
BEAT_MS = 1_000
ENDS_MS = 120_000  # within which a job that a newer one follows has to stop
TAKEN_S = (ENDS_MS + SILENT_MS) / 1000 + 10
LOOK_S = 0.2
ASK_S = 10.0
CLIENT = "penstock-job"


class Place(NamedTuple):
    """How new a job is: the highest is the newest."""

    number: int
    tie: str  # decides between two that came at the same time

    @property
    def client(self) -> str:
        """What Kafka knows the job by."""
        return f"{CLIENT}-{self.number}-{self.tie}"


class Lease:
    """The place of one job among those of its name.

    `on_newer` is called once, in a thread of its own, when a newer one has come; until `release` that one waits. It is told
    whether the job still has its place (True: it may leave a savepoint), or was dropped meanwhile.
    """

    def __init__(self, settings: Mapping[str, str], group: str, topic: str, on_newer: Callable[[bool], None]) -> None:
        """`topic`: one of the job's, that there is; nothing is read from it."""
        self._complaints = Complaints()
        self._settings: dict[str, Any] = {"error_cb": self._complaints}
        self._settings |= {name: value for name, value in settings.items() if not name.startswith("group.")}
        self._group, self._topic, self._on_newer = group, topic, on_newer
        self._admin: Any = AdminClient(self._settings)
        self._place = Place(0, secrets.token_hex(4))
        self._trouble: Any = None  # what Kafka's client said last of our being a member
        self._has_place = threading.Event()
        self._released = threading.Event()
        self._followed = False
        self._thread = threading.Thread(target=self._live, daemon=True, name="penstock-lease")

    def take(self, tell: Callable[[str], object], within_s: float = TAKEN_S) -> None:
        """Become the newest, and return once all before it have left: `tell` is told when there are any.

        `Unavailable` when one of them does not leave, or Kafka does not answer; `NotLetIn` names the right that lacks. Then, too,
        `release` it.
        """
        others = self._others()
        if others:
            tell("another job of this name is there: it is asked to stop, and this one goes on from where it was")
        self._place = Place(1 + max((each.number for each in others), default=0), self._place.tie)
        self._thread.start()
        until_s = time.monotonic() + within_s
        while not (self._has_place.wait(LOOK_S) and not any(each < self._place for each in self._others())):
            if time.monotonic() < until_s:
                continue
            if self._trouble is not None and not self._has_place.is_set():
                raise self._complaints.error("begin as the only job of its name", self._trouble, self._topic)
            raise Unavailable("the job", "begin", "one of the same name does not end: stop it")

    def release(self) -> None:
        """Leave: whoever is newer begins now."""
        self._released.set()
        if self._thread.ident is not None:
            self._thread.join(ASK_S)

    def _live(self) -> None:
        consumer: Any = Consumer(
            self._settings
            | {
                "client.id": self._place.client,
                "group.id": self._group,
                "group.protocol": "classic",
                "partition.assignment.strategy": "range",  # all are asked to give up what they have, at each change
                "session.timeout.ms": SILENT_MS,
                "heartbeat.interval.ms": BEAT_MS,
                "max.poll.interval.ms": ENDS_MS,
                "enable.auto.commit": False,
                "auto.offset.reset": "latest",
            }
        )
        try:
            moved = {"on_assign": self._given, "on_revoke": self._asked, "on_lost": self._dropped}
            consumer.subscribe([self._topic], **moved)
            while not self._released.is_set():
                found = consumer.poll(LOOK_S)
                self._trouble = self._trouble if found is None else found.error()  # the client tries again by itself
        finally:
            self._released.set()  # no callback waits while it closes
            consumer.close()

    def _given(self, consumer: Any, parts: list[Any]) -> None:
        consumer.assign(parts)
        consumer.pause(parts)
        self._has_place.set()

    def _asked(self, *_: Any) -> None:
        self._look(is_there=True)

    def _dropped(self, *_: Any) -> None:
        self._look(is_there=False)

    def _look(self, *, is_there: bool) -> None:
        """Where a newer one has come, have the job end, and hold the group's rebalance up until it has."""
        if self._released.is_set() or self._followed:
            return
        with suppress(PenstockError):  # nobody can be asked: nobody can have begun either
            if any(each > self._place for each in self._others()):
                self._followed = True
                self._on_newer(is_there)
                self._released.wait()

    def _others(self) -> list[Place]:
        """Return the other jobs of the name that Kafka knows; `Unavailable`, `NotLetIn` when it does not say it."""
        until_s = time.monotonic() + ASK_S
        while True:
            try:
                asked = self._admin.describe_consumer_groups([self._group], request_timeout=ASK_S)
                members = asked[self._group].result(ASK_S).members
            except KafkaException as error:
                told = error.args[0]
                if told.code() == KafkaError.GROUP_ID_NOT_FOUND:
                    return []
                if is_right(told) or self._complaints.is_sure or time.monotonic() > until_s:
                    raise of_exception(self._complaints, "say which jobs there are", error) from error
                time.sleep(LOOK_S)  # a broker that has just begun knows no groups yet
            else:
                places = [_place(each.client_id) for each in members]
                return [each for each in places if each is not None and each != self._place]


def _place(client: str) -> Place | None:
    number, _, tie = client.removeprefix(f"{CLIENT}-").partition("-")
    return Place(int(number), tie) if number.isdecimal() and tie else None
