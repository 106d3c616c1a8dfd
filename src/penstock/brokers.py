"""Brokers: from the setting `log` to the adapter that it names, and to a store whose events go over it."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

import msgspec

from penstock.core.events.messages import Lane
from penstock.core.events.partitions import PARTITIONS_MAX
from penstock.core.schemas.avro_events import avro_schema_of
from penstock.errors import Fenced, Finding, Invalid, Refused
from penstock.layers.avro_broker import Written
from penstock.layers.brokered_store import AGENT, BrokeredStore
from penstock.layers.publishing_later import published_later
from penstock.layers.traced_broker import TracedBroker
from penstock.ports.broker import Broker
from penstock.ports.clock import Clock
from penstock.ports.store import Store
from penstock.ports.tracer import Tracer
from penstock.runtime.relaying import Relay
from penstock.runtime.topology import Topology
from penstock.settings import shown_url
from penstock.wrong_servers import said_of_broker

Behind = Callable[[], Awaitable[Mapping[Lane, int]]]
PARTITIONS = 8
FORMATS = ("json", "avro")  # of values
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
    partitions, registry = partitions_of(url), _registry_of(url)
    async with said_of_broker(url):
        there: Any = await opened_broker(url, stack)
        lagging: Lagging = there
        broker = await _in_avro(there, registry, url, topology, stack) if registry else there
        broker = broker if tracer is None else TracedBroker(broker, tracer, urlsplit(url).scheme)
        brokered, carried = await behind_broker(broker, partitions, store, clock, topology, stack)
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
    try:
        query = urlsplit(url).query
    except ValueError:  # what it says is not shown: it may hold a password
        raise Invalid("the settings", (Finding("log", "cannot be read as an address", "HOST:PORT"),)) from None
    given = parse_qs(query).get("partitions", [str(PARTITIONS)])[-1]
    if not given.isdigit() or not 1 <= int(given) <= PARTITIONS_MAX:
        raise Invalid("the settings", (Finding("log", f"partitions={given}", f"1 to {PARTITIONS_MAX}"),))
    return int(given)


def _registry_of(url: str) -> str:
    """Return the registry of the schemas that values have; empty where they are JSON."""
    options = parse_qs(urlsplit(url).query, keep_blank_values=True)
    form, registry = options.get("format", ["json"])[-1], options.get("registry", [""])[-1]
    findings: list[Finding] = []
    if form not in FORMATS:
        findings.append(Finding("log", f"format={form}", f"one of {', '.join(FORMATS)}"))
    if form == "avro" and not registry:
        findings.append(Finding("log", "format=avro without a registry", "add registry=http://HOST:PORT"))
    if form == "json" and registry:
        findings.append(Finding("log", "has a registry, and values are JSON", "add format=avro"))
    if findings:
        raise Invalid("the settings", tuple(findings))
    return registry


async def _in_avro(broker: Broker, registry: str, url: str, topology: Topology, stack: AsyncExitStack) -> Broker:
    from penstock.adapters.schema_registry.confluent import open_registry
    from penstock.layers.avro_broker import AvroBroker

    prefix = parse_qs(urlsplit(url).query).get("prefix", [""])[-1]
    return AvroBroker(broker, await stack.enter_async_context(open_registry(registry)), written(topology, prefix))


def written(topology: Topology, prefix: str = "") -> list[Written]:
    """Return how the types that an app knows are written in Avro; `Invalid` with all that Avro has no type for.

    Subjects are those of Confluent's clients: of the topic where it has one type only, else of topic and record.
    """
    kinds = [each for each in topology.kinds.values() if not each.topic.startswith(OWN)]
    alone = carried_topics(topology)
    findings: list[Finding] = []
    found: list[Written] = []
    for kind in kinds:
        try:
            schema = avro_schema_of(kind.event)
        except Invalid as error:
            findings += [
                Finding(f"{kind.event.__name__}.{each.path}", each.problem, each.hint) for each in error.findings
            ]
            continue
        name = msgspec.json.decode(schema, type=dict[str, Any]).get("name", "")
        subject = f"{prefix}{kind.topic}-{'value' if alone[kind.topic] else name}"
        found.append(Written(kind.event.type_, name, kind.topic, subject, schema))
    if findings:
        raise Invalid("the app's events in Avro", tuple(findings))
    return found


def carried_topics(topology: Topology) -> dict[str, str]:
    """Return the topics of an app's events, each with the type of its events where it has one only."""
    types: dict[str, list[str]] = {}
    for kind in topology.kinds.values():
        if not kind.topic.startswith(OWN):
            types.setdefault(kind.topic, []).append(kind.event.type_)
    return {topic: each[0] if len(each) == 1 else "" for topic, each in sorted(types.items())}


async def opened_broker(url: str, stack: AsyncExitStack) -> Broker:
    """Return the broker of an address, open until `stack` is left; `Invalid` for one that names none."""
    return await stack.enter_async_context(_as_it_is(_opened(url)))


def _opened(url: str) -> AbstractAsyncContextManager[Broker]:
    match urlsplit(url).scheme:
        case "kafka":
            from penstock.adapters.kafka.broker import open_kafka

            return open_kafka(url)
        case "nats" | "tls":
            from penstock.adapters.nats.broker import open_nats

            return open_nats(url)
        case "redis" | "rediss":
            from penstock.adapters.redis.broker import open_redis

            return open_redis(url)
        case _:
            hint = "use kafka://HOST:PORT, nats://HOST:PORT or redis://HOST:PORT"
            raise Invalid("the settings", (Finding("log", f"{shown_url(url)!r} is not known", hint),))


@asynccontextmanager
async def _as_it_is(opened: AbstractAsyncContextManager[Broker]) -> AsyncGenerator[Broker]:
    """Open a broker, whose reader may be a task beside us; what is raised comes as it is: who is fenced joins again by it."""
    try:
        async with opened as broker:
            yield broker
    except BaseExceptionGroup as several:
        if len(several.exceptions) != 1:
            raise
        raise several.exceptions[0] from None


class Lagging(Protocol):
    """A broker that can tell how much waits in it."""

    async def behind(self, after: Mapping[Lane, int]) -> Mapping[Lane, int]:
        """Return how many messages follow a position of each of these partitions."""
        ...


async def behind(url: str, topics: Iterable[str], done: Mapping[Lane, int]) -> Mapping[Lane, int]:
    """Return how many messages of each partition of these topics were not received yet; `done`: through which they were."""
    lanes = [(topic, partition) for topic in topics for partition in range(partitions_of(url))]
    async with said_of_broker(url), AsyncExitStack() as stack:
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
        case "nats" | "tls":
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
        _require_same(partitions, known)
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


def require_same_partitions(url: str, known: int) -> None:
    """Raise `Invalid` for a broker whose address says another number of partitions than a store is divided into."""
    _require_same(partitions_of(url), known)


def _require_same(partitions: int, known: int) -> None:
    if known not in {1, partitions}:  # a store of one is not divided yet
        problem = f"has {partitions} partitions, and the store is divided into {known}"
        raise Invalid("the settings", (Finding("log", problem, f"add ?partitions={known}"),))


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


async def relayed(url: str, app: str, topology: Topology, clock: Clock, is_stopped: Callable[[], bool]) -> int:
    """Have an app's agents go between the topics of a Kafka without a store, until stopped; return how many messages were taken.

    Each batch is one transaction: an event counts once for all who read what is committed. `Invalid`, with all findings, for
    agents that remember, and for another broker.
    """
    if urlsplit(url).scheme != "kafka":
        problem = f"{shown_url(url)!r} has no transactions over several topics"
        raise Invalid("the settings", (Finding("log", problem, "kafka://HOST:PORT, or a store beside it"),))
    if _registry_of(url):
        raise Invalid("the settings", (Finding("log", "format=avro without a store", "run the app with a store"),))
    from penstock.adapters.kafka.relaying import open_relay

    partitions = partitions_of(url)
    relay = Relay(app, topology, carried_topics(topology), partitions, clock)
    async with open_relay(url, app) as members:
        async with said_of_broker(url):
            await members.require(relay.topics, partitions)
        return await members.run(relay.takes, relay.handled, is_stopped)
