"""From settings to parts: with the modules that it asks, the only one that names concrete adapters."""

import os
from collections.abc import AsyncGenerator, Generator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from penstock.adapters.exports.proofs import Proofs
from penstock.agent_hosts import hosted_agents
from penstock.brokers import Behind, over_broker
from penstock.core.agents.declaration import Agent
from penstock.core.agents.forgetting import FORGETTER
from penstock.core.agents.progress import Progress
from penstock.core.agents.retention import DEFAULT_RETENTION, Retention
from penstock.core.events.envelope import Recorded
from penstock.core.events.event import Event
from penstock.core.streams.plan import Node
from penstock.core.streams.values import StreamItem, StreamTick
from penstock.core.timing.plans import Plan, scheduled_events
from penstock.core.timing.timers import Timer
from penstock.embedders import Embedders
from penstock.errors import Finding, Invalid
from penstock.layers.offloading_store import OffloadedCatalog, OffloadingStore
from penstock.layers.retrying_store import RetryingStore
from penstock.layers.sealing import Sealing, can_seal, opening_of, sealing_of
from penstock.outside import open_objects, opened_calls, opened_services, reached_by
from penstock.ports.archive import Archive
from penstock.ports.chat_model import ChatModel
from penstock.ports.clock import Clock
from penstock.ports.embedder import Embedder
from penstock.ports.inbox import Inbox
from penstock.ports.reranker import Reranker
from penstock.ports.state import RunCatalog, StoredRun
from penstock.ports.store import Store
from penstock.ports.streams import StreamStore
from penstock.reading import file_document
from penstock.rerankers import opened_rerankers
from penstock.runtime.collection import Index
from penstock.runtime.engine import Parts
from penstock.runtime.files import Files
from penstock.runtime.forgetting_control import declares_subjects
from penstock.runtime.generations import Embedding, OnChange
from penstock.runtime.importing import require_finished
from penstock.runtime.janitor import household
from penstock.runtime.machine_tasks import Outside
from penstock.runtime.models import Models, Prompts
from penstock.runtime.own_agents import own_agents
from penstock.runtime.reaching import Reach, Reaching
from penstock.runtime.routing import LiveRouter, RouterPlan
from penstock.runtime.schedules import NAME as SCHEDULES
from penstock.runtime.schedules import Schedules
from penstock.runtime.stream_stages import agents_apart, searched_by
from penstock.runtime.tidying import Household
from penstock.runtime.topology import Topology
from penstock.settings import POSTGRES, REDIS, Settings, path_of, require_streams, shown_url, store_url
from penstock.tracers import opened_tracer
from penstock.vector_stores import opened_vectors, require_room, require_shareable
from penstock.wrong_servers import named, said_of_store


@dataclass(frozen=True, slots=True)
class Declared:
    """What an app declares."""

    name: str
    agents: Mapping[str, Agent]
    events: tuple[type[Event], ...] = ()
    collections: tuple[str, ...] = ()
    models: Mapping[str, "str | ChatModel"] = field(default_factory=dict[str, "str | ChatModel"])
    prompts: Path | None = None
    plans: Mapping[str, Plan] = field(default_factory=dict[str, Plan])
    retention: Retention = DEFAULT_RETENTION
    embedders: Mapping[str, Embedder] = field(default_factory=dict[str, Embedder])  # of the app's own, by name
    on_change: Mapping[str, OnChange] = field(default_factory=dict[str, OnChange])  # by collection
    registry: bool = False  # whether it keeps schemas
    outside: Outside = field(default_factory=Outside)  # the app's own services for state machines
    reach: Reach = field(default_factory=Reach)  # what machines and rules reach
    routers: Mapping[str, RouterPlan] = field(default_factory=dict[str, RouterPlan])
    rerankers: Mapping[str, str | Reranker] = field(default_factory=dict[str, "str | Reranker"])  # by collection
    source: str = ""  # the file that defines it
    streams: Mapping[str, Node] = field(default_factory=dict[str, Node])
    tracer_provider: Any = None  # OpenTelemetry's, where the app was given one
    apart: bool = False  # whether what its streams search is searched by agents of their own

    @property
    def stages(self) -> Mapping[str, tuple[str, ...]]:
        """The agents of its streams, each with the collections that it searches."""
        found = searched_by(self.streams.values(), apart=self.apart)
        return {name: searched for name, searched in found.items() if name in self.agents}

    def here(self, chosen: Settings) -> "Declared":
        """Return what of it a process with these settings carries; `Invalid` where its streams are to run nowhere."""
        require_streams(chosen)
        return self.beside_streams() if chosen.streams else self

    def of_streams(self) -> "Declared":
        """Return its streams alone, for who runs them apart from its agents. What they search is searched beside them."""
        return Declared(
            self.name,
            agents_apart(self.streams.values(), searching=False),
            collections=self.collections,
            embedders=self.embedders,
            source=self.source,
            streams=self.streams,
            tracer_provider=self.tracer_provider,
            apart=True,
        )

    def beside_streams(self) -> "Declared":
        """Return it with those agents of its streams alone that search, and all their events: for who runs the rest."""
        stages = self.stages
        streams = [each for name, each in self.agents.items() if name in stages]
        inner = (StreamItem, StreamTick)
        passed = {event for each in streams for event in (*each.accepts, *each.emits) if not issubclass(event, inner)}
        events = tuple(sorted({*self.events, *passed}, key=lambda each: each.type_))
        agents = {name: each for name, each in self.agents.items() if name not in stages}
        searching = agents_apart(self.streams.values(), searching=True)
        return replace(self, agents=agents | searching, events=events, streams={})


Storage = tuple[Store, Index | None]  # where an app's data lies, and where its passages do


class Catalog(RunCatalog, StreamStore, Protocol):
    """What people look at: runs, dead letters and events, and one run with its journal and its streams."""

    async def run(self, run_id: str) -> StoredRun | None: ...
    async def timers(self, *, tenant: str | None = None, limit: int = 50) -> Sequence[Timer]: ...
    async def values(self, tenant: str, agent: str, key: str) -> Mapping[str, bytes]: ...


@asynccontextmanager
async def opened(
    declared: Declared,
    chosen: Settings,
    *,
    clock: Clock | None = None,
    storage: Storage | None = None,
    shared: bool = False,
) -> AsyncGenerator[Parts]:
    """Open what the settings name, and yield the parts of an engine; all is closed on leaving.

    `storage` takes the place of the store that the settings name; `shared`: who holds its lock has others work on it too.
    """
    if clock is None:
        from penstock.adapters.clock.system import SystemClock

        clock = SystemClock()
    declared = declared.here(chosen)
    async with AsyncExitStack() as stack:
        tracer = opened_tracer(declared.name, declared.tracer_provider, stack)
        agents = await hosted_agents(chosen, declared, clock, stack, traced=tracer is not None)
        topology, schedules, reaching = _declared_whole(replace(declared, agents=agents))
        async with said_of_store(url := store_url(chosen, declared.name)):
            store, index = storage or await _store(url, declared.collections, stack, shared=shared)
        if shared:
            require_shareable(chosen.vectors, log=chosen.log)
        if chosen.vectors and index is not None:
            index = await opened_vectors(chosen, index, stack, clock)
        embedders = Embedders(declared.embedders, stack, tracer)
        embedding = await _embedding(declared, chosen, embedders) if declared.collections else None
        if embedding is not None and index is not None:
            require_room(index, embedding.embedder)
        models = Models(model_opener(declared.models, chosen.model), Prompts(declared.prompts))
        indexes = {name: index for name in declared.collections if index is not None}
        carried: frozenset[str] = frozenset()
        behind: Behind | None = None
        if chosen.log:
            store, carried, behind = await over_broker(chosen.log, store, clock, topology, stack, tracer)
        patient = RetryingStore(store, clock)
        sealing = await _sealing(patient, topology)
        whole = OffloadingStore(patient, clock, sealing=sealing)
        parts = Parts(declared.name, topology, whole, clock, models, embedding, indexes, _scratch, carried=carried)
        judges = await opened_rerankers(declared.collections, declared.rerankers, chosen.reranker, embedders, stack)
        routers = await _routers(declared, chosen, embedders)
        parts = replace(parts, tracer=tracer, behind=behind, routers=routers, rerankers=judges)
        send = await stack.enter_async_context(opened_calls())
        remote = stack.enter_context(opened_services(chosen.services))
        reaching.over(topology, models, send, clock, remote)
        objects = stack.enter_context(open_objects(chosen.objects)) if chosen.objects else None
        if schedules is not None:
            schedules.over(parts.store, topology)
        await require_finished(parts.store)
        yield replace(
            parts,
            subjects=sealing,
            witness=Proofs(declared.retention.archive),
            schedules=schedules,
            household=household_of(declared, topology, clock),
            outside=reached_by(objects, declared.outside, reaching),
            files=Files(file_document, objects),
        )


async def _sealing(store: Store, topology: Topology) -> Sealing | None:
    """Return what seals what is about somebody: where the app may say that of something, or the store has something sealed.

    `Missing` where the library is not there. Knowledge may say by its metadata whom it is about: without the library that is
    metadata like any other.
    """
    if FORGETTER in topology.agents or declares_subjects(topology) or await store.secret(b""):
        return await sealing_of(store)
    return None


def _scratch() -> Index:
    """Return an index in memory, that is kept nowhere."""
    from penstock.adapters.memory.passages import MemoryPassages

    passages = MemoryPassages()
    return Index(passages, passages, passages, in_store=False, spaces=passages)


async def _routers(declared: Declared, chosen: Settings, embedders: Embedders) -> dict[str, LiveRouter]:
    return {
        name: LiveRouter(plan, await embedders.open(plan.embedder or chosen.embedder))
        for name, plan in declared.routers.items()
    }


async def _embedding(declared: Declared, chosen: Settings, embedders: Embedders) -> Embedding:
    if chosen.refiner:
        await embedders.open(chosen.refiner)  # what is missing is said now, not hours later
    embedder = await embedders.open(chosen.embedder)
    return Embedding(chosen.embedder, embedder, embedders.open, declared.on_change, chosen.refiner)


def household_of(declared: Declared, topology: Topology, clock: Clock) -> Household:
    """Return what must be known of an app to tidy its store."""
    archive = archive_of(declared.retention, clock)
    if archive is None:
        return household(declared.retention, topology)
    from importlib.metadata import version

    return household(declared.retention, topology, archive=archive, app=declared.name, version=version("penstock"))


def archive_of(retention: Retention, clock: Clock) -> Archive | None:
    """Return where what is pruned goes first, if anywhere."""
    if not retention.archive:
        return None
    from penstock.adapters.exports.archive import FolderArchive

    return FolderArchive(Path(retention.archive).expanduser(), clock)


def topology_of(declared: Declared) -> Topology:
    """Return the agents and events of an app, penstock's own included, as its engine has them."""
    return _declared_whole(declared)[0]


def _declared_whole(declared: Declared) -> tuple[Topology, Schedules | None, Reaching]:
    has_subjects = can_seal() and (
        bool(declared.collections) or declares_subjects(Topology(declared.agents, declared.events))
    )
    own = own_agents(
        declared.agents, knowledge=bool(declared.collections), registry=declared.registry, subjects=has_subjects
    )
    agents = {**declared.agents, **own}
    schedules = Schedules(declared.plans) if declared.plans else None
    if schedules is not None:
        agents[SCHEDULES] = schedules.agent()
    events, reaching = (*declared.events, *scheduled_events(declared.plans)), Reaching(declared.reach)
    needed = reaching.agents(Topology(agents, events))
    return Topology(agents | needed, events), schedules, reaching


@contextmanager
def opened_catalog(url: str) -> Generator[Catalog]:
    """Open a store to look at it, beside the app that may be running on it; it is not claimed."""
    scheme, _, rest = url.partition(":")
    if scheme in POSTGRES:
        from penstock.adapters.postgres.reader import open_postgres_reader

        with named("store", url):
            reader = open_postgres_reader(url)
            yield OffloadedCatalog(reader, opening_of(reader))
        return
    if scheme in REDIS:
        from penstock.adapters.redis_store.reader import open_redis_reader

        kept = open_redis_reader(url)
        with named("store", url):
            yield OffloadedCatalog(kept, opening_of(kept))
        return
    if scheme != "sqlite" or not rest:
        hint = "ask the running app over HTTP instead: GET /v1/runs"
        raise Invalid("the settings", (Finding("store", f"{shown_url(url)!r} cannot be read from outside", hint),))
    from penstock.adapters.sqlite.reader import open_sqlite_reader

    with open_sqlite_reader(path_of(rest)) as reader:
        yield OffloadedCatalog(reader, opening_of(reader))


class Desk(Catalog, Inbox, Protocol):
    """What people look at, and where they leave what is to be done."""

    async def read(self, topic: str, partition: int, *, after: int, limit: int) -> Sequence[Recorded]: ...
    async def ends(self) -> Mapping[tuple[str, int], int]: ...
    async def progress(self) -> Mapping[tuple[str, str, int], Progress]: ...
    async def partitions(self) -> int: ...


@asynccontextmanager
async def opened_desk(url: str) -> AsyncGenerator[Desk]:
    """Open a store beside the app that may be running on it, to look at it and to leave something in its inbox."""
    from penstock.adapters.clock.system import SystemClock

    scheme, _, rest = url.partition(":")
    if scheme in POSTGRES:
        from penstock.adapters.postgres.store import open_postgres_store

        async with said_of_store(url), open_postgres_store(url) as postgres:
            yield OffloadingStore(postgres, SystemClock(), sealing=opening_of(postgres))
        return
    if scheme in REDIS:
        from penstock.adapters.redis_store.store import open_redis_store

        async with said_of_store(url), open_redis_store(url, making=False, quiet=True) as redis:
            yield OffloadingStore(redis, SystemClock(), sealing=opening_of(redis))
        return
    with opened_catalog(url):
        pass  # it says what is wrong with the address, or the file
    from penstock.adapters.sqlite.store import open_sqlite_store

    async with open_sqlite_store(path_of(rest), shared=True) as sqlite:
        yield OffloadingStore(sqlite, SystemClock(), sealing=opening_of(sqlite))


async def _store(
    url: str, collections: Iterable[str], stack: AsyncExitStack, *, shared: bool = False
) -> tuple[Store, Index | None]:
    scheme, _, rest = url.partition(":")
    if scheme in REDIS:
        return await _redis_store(url, collections, stack), None
    if scheme == "memory":
        from penstock.adapters.memory.store import MemoryStore

        return MemoryStore(), _scratch() if collections else None
    if scheme == "sqlite" and rest:
        return await _sqlite_store(path_of(rest), collections, stack, shared=shared)
    if scheme in POSTGRES:
        from penstock.adapters.postgres.store import open_postgres_store

        postgres = await stack.enter_async_context(open_postgres_store(url))
        if not collections:
            return postgres, None
        kept = await postgres.keep_passages()
        return postgres, Index(kept, kept, kept, in_store=True, spaces=kept, checks=kept)
    hint = "use sqlite:PATH, postgresql://..., redis://... or memory:"
    raise Invalid("the settings", (Finding("store", f"{shown_url(url)!r} is not known", hint),))


async def _sqlite_store(
    path: Path, collections: Iterable[str], stack: AsyncExitStack, *, shared: bool
) -> tuple[Store, Index | None]:
    from penstock.adapters.sqlite.store import open_sqlite_store

    sqlite = await stack.enter_async_context(open_sqlite_store(path, shared=shared))
    if not collections:
        return sqlite, None
    from penstock.adapters.sqlite.part_rows import share
    from penstock.adapters.sqlite.passages import SqlitePassages, create_tables

    await sqlite.transact(create_tables)
    if shared:
        await sqlite.transact(share)
    rows = SqlitePassages(sqlite.reader, sqlite.transact, shared=shared)
    if not shared:
        rows.tidy()
    stack.push_async_callback(rows.close)
    sqlite.attach(rows)
    return sqlite, Index(rows, rows, rows, in_store=True, spaces=rows, checks=rows, purging=rows)


async def _redis_store(url: str, collections: Iterable[str], stack: AsyncExitStack) -> Store:
    """Open a store that keeps no passages: `Invalid` for an app that has collections."""
    from penstock.adapters.redis_store.store import open_redis_store

    if named := ", ".join(collections):
        hint = "use store=postgresql://... or store=sqlite:PATH for this app; log=redis://... can stay"
        raise Invalid("the settings", (Finding("store", f"Redis keeps no knowledge, and the app has {named}", hint),))
    return await stack.enter_async_context(open_redis_store(url))


def model_opener(models: Mapping[str, "str | ChatModel"], default: str) -> Any:
    def opened_model(name: str) -> ChatModel:
        spec = models.get(name, default)
        if not isinstance(spec, str):
            return spec
        from penstock.adapters.models.providers import open_model

        return open_model(spec or default, os.environ)

    return opened_model
