"""A broker in memory, for tests and simulations. What would lie on its disks is `Topics`, which outlives the processes."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from penstock.core.events.messages import Carried, Lane, Message
from penstock.core.events.watchers import Watchers
from penstock.errors import Finding, Invalid

BYTES_MAX = 16 * 1024 * 1024


@dataclass
class Topics:
    """What was published, and who is told of it."""

    messages: dict[Lane, list[Message]] = field(default_factory=dict[Lane, list[Message]])
    let_go: dict[Lane, int] = field(default_factory=dict[Lane, int])  # through which position nothing is held any more
    watchers: Watchers = field(default_factory=Watchers)


class MemoryBroker:
    """A `Broker` on some `Topics`."""

    def __init__(self, topics: Topics | None = None, *, bytes_max: int = BYTES_MAX, structured: bool = False) -> None:
        self.topics = Topics() if topics is None else topics
        self.bytes_max = bytes_max
        self.structured = structured

    async def require(self, topics: Collection[str], partitions: int) -> None:
        there = {topic: sum(lane[0] == topic for lane in self.topics.messages) for topic in sorted(topics)}
        findings = [
            Finding(topic, f"has {count} partitions, not {partitions}", f"set log=...?partitions={count}")
            for topic, count in there.items()
            if count not in {0, partitions}
        ]
        if findings:
            raise Invalid("the topics", tuple(findings))
        for topic in topics:
            for partition in range(partitions):
                self.topics.messages.setdefault((topic, partition), [])

    async def publish(self, messages: Sequence[tuple[str, int, Message]]) -> None:
        for topic, partition, message in messages:
            self.topics.messages.setdefault((topic, partition), []).append(message)
        self.topics.watchers.wake()

    async def fetch(self, after: Mapping[Lane, int], *, limit: int) -> Sequence[Carried]:
        found: list[Carried] = []
        for lane, position in after.items():
            held = self.topics.messages.get(lane, [])
            first = max(position, self.topics.let_go.get(lane, 0))
            page = held[first : first + limit - len(found)]
            found += [Carried(*lane, first + number, message) for number, message in enumerate(page, 1)]
        return found

    async def ends(self, lanes: Collection[Lane]) -> Mapping[Lane, int]:
        return {lane: len(held) for lane in lanes if (held := self.topics.messages.get(lane))}

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        return self.topics.watchers.watch(wake)

    def let_go(self, lane: Lane, through: int) -> None:
        """Hold nothing through a position any more, as retention does."""
        self.topics.let_go[lane] = through
