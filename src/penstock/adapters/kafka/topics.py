"""The topics of a Kafka: that they are there, divided and led as they should be, and that our user may read and write them.

What a user lacks is asked for at the start, all of it: later it would be one topic after the other, or silence.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicCollection, admin

from penstock.adapters.kafka.address import BROKER_DEFAULT, Address
from penstock.adapters.kafka.errors import RIGHTS, Complaints, of_exception
from penstock.errors import Finding, Invalid, NotLetIn, PenstockError, Unavailable

ANSWER_S = 8.0  # within which a server that is there answers
ASK_S = 1.0  # after which it is looked at what the client complains of
ATTEMPTS_MAX = 60  # at a partition that has no leader yet: it was made just now, or a server is away
PAUSE_S = 0.3
NEEDED = ("READ", "WRITE")
_IMPOSSIBLE = {
    KafkaError.INVALID_REPLICATION_FACTOR,
    KafkaError.INVALID_PARTITIONS,
    KafkaError.INVALID_CONFIG,
    KafkaError.POLICY_VIOLATION,
    KafkaError.TOPIC_EXCEPTION,
}
# What the client itself says when nobody has answered it for ANSWER_S.
AWAY = {
    KafkaError._TIMED_OUT,  # pyright: ignore[reportPrivateUsage] # noqa: SLF001 - librdkafka's own codes begin so
    KafkaError._TRANSPORT,  # pyright: ignore[reportPrivateUsage] # noqa: SLF001
    KafkaError._ALL_BROKERS_DOWN,  # pyright: ignore[reportPrivateUsage] # noqa: SLF001
}
T = TypeVar("T")


class Topics:
    """The topics that an address names, asked for by a client of its own."""

    def __init__(self, client: Any, address: Address, complaints: Complaints) -> None:
        self._client = client
        self._address = address
        self._complaints = complaints

    async def require(self, topics: Collection[str], partitions: int) -> None:
        """Have these topics; `Invalid` with all that is wrong with them, or with what our user may do there."""
        names = {self._address.topic(each): each for each in topics}
        there = {name: len(topic.partitions) for name, topic in (await self._all()).items()}
        findings = [
            Finding(
                names[name],
                f"has {there[name]} partitions, not {partitions}",
                f"set log=kafka://...?partitions={there[name]}",
            )
            for name in sorted(names)
            if there.get(name, partitions) != partitions
        ]
        missing = {name: names[name] for name in sorted(names) if name not in there}
        if missing and not self._address.creates:
            findings += [
                Finding(topic, "is not there, and is not made (create=no)", _making(name, partitions))
                for name, topic in missing.items()
            ]
        if findings:
            raise Invalid("the topics", tuple(findings))
        if missing:
            findings += await asyncio.to_thread(self._made, missing, partitions)
        if findings:
            raise Invalid("the topics", tuple(findings))
        await self._led(names)
        findings += await self.lacking(names)
        if findings:
            raise Invalid("the rights of our user", tuple(findings))

    async def lacking(self, names: Mapping[str, str]) -> list[Finding]:
        """Return what our user may not do with topics, as far as the broker tells; `names`: each with what is shown of it."""
        return await asyncio.to_thread(self._forbidden, names)

    async def _led(self, names: Collection[str]) -> None:
        """Wait until each partition has a leader: one that was made just now has none for a moment."""
        for _ in range(ATTEMPTS_MAX):
            topics = (await self._all()).values()
            leaders = {topic.topic: [part.leader >= 0 for part in topic.partitions.values()] for topic in topics}
            if all(leaders.get(each) and all(leaders[each]) for each in names):
                return
            await asyncio.sleep(PAUSE_S)
        raise Unavailable("Kafka", "lead partitions", "some have no leader: see the state of its brokers")

    async def _all(self) -> dict[str, Any]:
        found = await asyncio.to_thread(self._asked, "list topics", lambda: self._client.list_topics(timeout=ASK_S))
        return {name: topic for name, topic in found.topics.items() if topic.error is None}

    def _asked(self, operation: str, ask: Callable[[], T]) -> T:
        """Ask until somebody answers, or it is sure that nobody will."""
        for attempt in range(round(ANSWER_S / ASK_S)):
            try:
                answer = ask()
            except KafkaException as error:
                if self._complaints.is_sure or attempt + 1 == round(ANSWER_S / ASK_S):
                    raise of_exception(self._complaints, operation, error) from error
            else:
                self._complaints.heard()
                return answer
        raise AssertionError  # the last attempt raises

    def _made(self, missing: Mapping[str, str], partitions: int) -> list[Finding]:
        """Make topics; return those that cannot be made, or may not."""
        topics: Any = admin  # parts of it are not typed
        wanted = [
            topics.NewTopic(name, partitions, self._address.replication, config=self._address.config_of(topic))
            for name, topic in missing.items()
        ]
        asked = self._client.create_topics(wanted, operation_timeout=ANSWER_S, request_timeout=ANSWER_S)
        findings: list[Finding] = []
        for name, made in asked.items():
            try:
                made.result(2 * ANSWER_S)
            except KafkaException as error:
                code = error.args[0].code()
                if code in RIGHTS:
                    problem = "is not there, and our user may not make it (or not see it)"
                    findings.append(Finding(missing[name], problem, _making(name, partitions)))
                elif code in _IMPOSSIBLE:
                    findings.append(Finding(missing[name], f"cannot be made: {error.args[0].str()}", self._hint()))
                elif code != KafkaError.TOPIC_ALREADY_EXISTS:  # another worker made it
                    raise of_exception(self._complaints, "make topics", error) from error
        return findings

    def _hint(self) -> str:
        given = "" if self._address.replication == BROKER_DEFAULT else f" ({self._address.replication} now)"
        return f"mend log=kafka://...?replication={given}, partitions= or the broker's own settings"

    def _forbidden(self, names: Mapping[str, str]) -> list[Finding]:
        """Return what our user may not do with these topics, as far as the broker tells."""
        asked = self._client.describe_topics(
            TopicCollection(list(names)), include_authorized_operations=True, request_timeout=ANSWER_S
        )
        findings: list[Finding] = []
        for name, told in asked.items():
            try:
                allowed: Any = told.result(2 * ANSWER_S).authorized_operations
            except KafkaException as error:
                if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                    continue  # made just now, and not known to this node yet
                if error.args[0].code() not in RIGHTS:
                    raise of_exception(self._complaints, "ask for our rights", error) from error
                allowed = []
            if allowed is None:
                continue  # a broker that is too old to say
            lacking = [each for each in NEEDED if each not in {operation.name for operation in allowed}]
            if lacking:
                hint = " ".join(f"--operation {each}" for each in lacking)
                problem = f"our user may not {' and '.join(lacking)}"
                findings.append(Finding(names[name], problem, f"kafka-acls --add {hint} --topic {name}"))
        return findings


def ends_of(
    client: Any, complaints: Complaints, parts: Mapping[Any, T], pause: Callable[[float], None]
) -> dict[T, int]:
    """Return the ends of partitions that hold anything, under the names that they are given."""
    topics: Any = admin
    left, found = dict(parts), dict[T, int]()
    for attempt in range(1, ATTEMPTS_MAX + 1):
        wanted = {part: topics.OffsetSpec.latest() for part in left}
        for part, asked in client.list_offsets(wanted, request_timeout=ANSWER_S).items():
            try:
                found[left[part]] = asked.result(2 * ANSWER_S).offset
            except KafkaException as error:
                meant: PenstockError = of_exception(complaints, "ask for the ends", error)
                is_away = error.args[0].code() in AWAY  # a partition without a leader is waited for, and no server
                is_for_good = complaints.is_sure or isinstance(meant, NotLetIn | Invalid)
                if is_away or attempt == ATTEMPTS_MAX or is_for_good:
                    raise meant from error
        left = {part: name for part, name in left.items() if name not in found}
        if not left:
            break
        pause(PAUSE_S)
    return {name: offset for name, offset in found.items() if offset}


def _making(name: str, partitions: int) -> str:
    return f"kafka-topics --create --topic {name} --partitions {partitions}, or let our user DESCRIBE and CREATE it"
