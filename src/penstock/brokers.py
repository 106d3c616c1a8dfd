"""Brokers: from the setting `log` to the adapter that it names, and to a store whose events go over it."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

from penstock.core.events.messages import Lane
from penstock.core.events.partitions import PARTITIONS_MAX
from penstock.errors import Fenced, Finding, Invalid, Refused
from penstock.layers.brokered_store import AGENT, BrokeredStore
from penstock.layers.publishing_later import published_later
from penstock.layers.traced_broker import TracedBroker
from penstock.ports.broker import Broker
from penstock.ports.clock import Clock
from penstock.ports.store import Store
from penstock.ports.tracer import Tracer
from penstock.runtime.topology import Topology
from penstock.settings import shown_url

Behind = Callable[[], Awaitable[Mapping[Lane, int]]]
PARTITIONS = 8
OWN = "penstock-"  # topics of penstock's own stay in the store
ATTEMPTS_MAX = 10


async def over_broker(
    url: str,
    store: Store,
    clock: Clock,
    topology: Topology,
    stack: AsyncExitStack,
    tracer: Tracer | None = None,
) -> tuple[Store, frozenset[str], Behind]:
    """Return the store behind the broker of an address, the topics that it carries, and what tells how much waits there for us.

    The topics are those of the app's events.

    The store is divided as the topics are, if it is new. Raises `Invalid` for an address that names no broker, and for topics
    or a store with another number of partitions; `Refused` for a store that holds events and is not divided.
    """
    there: Any = await opened_broker(url, stack)
    lagging: Lagging = there
    broker = there if tracer is None else TracedBroker(there, tracer, urlsplit(url).scheme)
    brokered, carried = await behind_broker(broker, partitions_of(url), store, clock, topology, stack)
    return brokered, carried, lambda: lagging.behind(brokered.received)


async def behind_broker(
    broker: Broker, partitions: int, store: Store, clock: Clock, topology: Topology, stack: AsyncExitStack
) -> tuple[BrokeredStore, frozenset[str]]:
    """Return a store behind an open broker, and the topics that this one carries."""
    carried = carried_topics(topology)
    await broker.require(carried.keys(), partitions)
    await _divide(store, partitions)
    await _require_not_made_anew(store, broker, [(topic, each) for topic in carried for each in range(partitions)])
    later = await stack.enter_async_context(published_later(broker, clock))
    return BrokeredStore(store, later, clock, carried), frozenset(carried)


def partitions_of(url: str) -> int:
    """Return into how many partitions an address of a broker divides each topic."""
    given = parse_qs(urlsplit(url).query).get("partitions", [str(PARTITIONS)])[-1]
    if not given.isdigit() or not 1 <= int(given) <= PARTITIONS_MAX:
        raise Invalid("the settings", (Finding("log", f"partitions={given}", f"1 to {PARTITIONS_MAX}"),))
    return int(given)


def carried_topics(topology: Topology) -> dict[str, str]:
    """Return the topics of an app's events, each with the type of its events where it has one only."""
    types: dict[str, list[str]] = {}
    for kind in topology.kinds.values():
        if not kind.topic.startswith(OWN):
            types.setdefault(kind.topic, []).append(kind.event.type_)
    return {topic: each[0] if len(each) == 1 else "" for topic, each in sorted(types.items())}


async def opened_broker(url: str, stack: AsyncExitStack) -> Broker:
    """Return the broker of an address, open until `stack` is left; `Invalid` for one that names none."""
    match urlsplit(url).scheme:
        case "kafka":
            from penstock.adapters.kafka.broker import open_kafka

            return await stack.enter_async_context(open_kafka(url))
        case "nats":
            from penstock.adapters.nats.broker import open_nats

            return await stack.enter_async_context(open_nats(url))
        case "redis":
            from penstock.adapters.redis.broker import open_redis

            return await stack.enter_async_context(open_redis(url))
        case _:
            hint = "use kafka://HOST:PORT, nats://HOST:PORT or redis://HOST:PORT"
            raise Invalid("the settings", (Finding("log", f"{shown_url(url)!r} is not known", hint),))


class Lagging(Protocol):
    """A broker that can tell how much waits in it."""

    async def behind(self, after: Mapping[Lane, int]) -> Mapping[Lane, int]:
        """Return how many messages follow a position of each of these partitions."""
        ...


async def behind(url: str, topics: Iterable[str], done: Mapping[Lane, int]) -> Mapping[Lane, int]:
    """Return how many messages of each partition of these topics were not received yet; `done`: through which they were."""
    lanes = [(topic, partition) for topic in topics for partition in range(partitions_of(url))]
    async with AsyncExitStack() as stack:
        broker: Any = await opened_broker(url, stack)
        lagging: Lagging = broker
        return await lagging.behind({lane: done.get(lane, 0) for lane in lanes})


async def remove_topics(url: str) -> int:
    """Remove the topics of an address, which has a prefix of its own, with all that is in them; return how many there were."""
    if not parse_qs(urlsplit(url).query).get("prefix", [""])[-1]:
        raise Invalid(
            "the settings", (Finding("log", "has no prefix", "add ?prefix=NAME: others may have topics there"),)
        )
    match urlsplit(url).scheme:
        case "kafka":
            from penstock.adapters.kafka.removing import remove_topics as remove
        case "nats":
            from penstock.adapters.nats.removing import remove_topics as remove
        case _:
            from penstock.adapters.redis.removing import remove_topics as remove
    return await remove(url)


async def _divide(store: Store, partitions: int) -> None:
    """Divide a store that is new; all who start at the same time come to the same."""
    for _ in range(ATTEMPTS_MAX):
        known = await store.partitions()
        if known == partitions:
            return
        if known > 1:
            problem = f"has {partitions} partitions, and the store is divided into {known}"
            raise Invalid("the settings", (Finding("log", problem, f"add ?partitions={known}"),))
        if await store.ends():
            hint = "give the app a new store, or divide it first: penstock run --workers 2 without the setting log"
            raise Refused("the store holds events of one partition", hint)
        claim = await store.claim("divider")
        try:
            await store.divide(claim, partitions)
            await store.leave(claim)
        except (Fenced, Refused):
            continue  # somebody else does it
    raise Refused("the store could not be divided: others take it again and again", "start again")


async def _require_not_made_anew(store: Store, broker: Broker, lanes: list[tuple[str, int]]) -> None:
    """Refuse a broker that has lost what was received from it already: what comes next would be taken for known."""
    done, ends = await store.progress(), await broker.ends(lanes)
    findings = [
        Finding(
            f"{topic}/{partition}", f"ends at {ends.get((topic, partition), 0)}, and {known.low} were received", hint
        )
        for topic, partition in lanes
        if (known := done.get((AGENT, topic, partition))) is not None and known.low > ends.get((topic, partition), 0)
        for hint in ("it was made anew, or is another broker's: give the app a new store, or topics of other names",)
    ]
    if findings:
        raise Invalid("the broker for this store", tuple(findings))
