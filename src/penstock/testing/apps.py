"""An app for tests: in memory, in virtual time, without a network, on a disk that outlives its crashes.

async def test_a_greeting():
    async with testing.app(app) as live:
        assert (await live.ask(Hello(who="Ada"), Greeting)).text == "Hello, Ada!"
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from random import Random
from typing import TypeVar

from penstock.adapters.memory.passages import MemoryPassages
from penstock.adapters.memory.store import Disk as MemoryDisk
from penstock.adapters.memory.store import MemoryStore
from penstock.app import App, Running
from penstock.core.agents.unit import DeadLetter, RunChange
from penstock.core.events.event import Event
from penstock.errors import PenstockError, Refused
from penstock.loading import load, read_documents
from penstock.ports.chat_model import ChatEnd, ChatModel, ChatRequest, TextDelta
from penstock.ports.state import DeadFilter, RunFilter
from penstock.runtime.collection import Index
from penstock.runtime.engine import Engine, running
from penstock.runtime.write_points import StandIn, WritePoint
from penstock.settings import Settings
from penstock.testing.crashing import Crashed, Fate, NotReached, mortal
from penstock.testing.pacing import Pace
from penstock.testing.virtual_time import VirtualClock
from penstock.wiring import Declared, Storage, opened

E = TypeVar("E", bound=Event)
PATIENCE_S = 24 * 3600.0
LISTED_MAX = 100_000
_ALL = DeadFilter(limit=LISTED_MAX)


class Disk:
    """What outlives a process in a test: the log, the state, the passages. Give the same one to the next `testing.app`."""

    def __init__(self) -> None:
        self.memory = MemoryDisk()
        self.passages = MemoryPassages()
        self.lives = 0  # processes that were started on it


@dataclass(frozen=True, slots=True)
class Live(Running):
    """A running app in a test."""

    fate: Fate = field(default_factory=Fate)
    clock: VirtualClock = field(default_factory=VirtualClock)

    async def settled(self, within_s: float = PATIENCE_S) -> None:
        """Wait until everything is handled and durable, retries included; in virtual time that is free."""
        assert await self.engine.settled(within_s), f"the app did not come to rest within {within_s:g} s"

    async def events(self, kind: type[E], *, tenant: str = "default") -> list[E]:
        """Return the events of a type in the log, in its order."""
        store = self.engine.parts.store
        places = [(topic, partition) for topic, partition in await store.ends() if topic == kind.topic_]
        logs = [await store.read(topic, number, after=0, limit=LISTED_MAX) for topic, number in sorted(places)]
        found = [each.event for log in logs for each in log if each.event.type == kind.type_]
        return [kind.decoded(event.data) for event in found if event.tenant == tenant]

    async def runs(self, agent: str | None = None) -> list[RunChange]:
        """Return what is known of all runs, or of those of one agent; the newest first."""
        return list(await self.engine.parts.store.runs(RunFilter(agent=agent, limit=LISTED_MAX)))

    async def dead_letters(self, which: DeadFilter = _ALL) -> Sequence[DeadLetter]:
        """Return the events that an agent gave up on, the newest first."""
        return await self.engine.parts.store.dead_letters(which)

    @asynccontextmanager
    async def crash_at(self, point: WritePoint | str, nth: int = 1) -> AsyncGenerator[None]:
        """Have the process die within the block, when it comes to `point` for the `nth` time.

        What the block was waiting for ends with it. `NotReached` when everything came to rest without coming there.
        Afterwards this app is dead; open another one on the same disk.
        """
        fate = self.fate
        fate.decide(WritePoint(point), nth)
        try:
            yield
        except (PenstockError, Crashed):
            if not fate.dead:
                raise
        await self.dead(point, nth)

    async def dead(self, point: WritePoint | str, nth: int) -> None:
        """Wait until the process is dead, or raise `NotReached` when nothing more can happen."""
        fate = self.fate
        if not fate.dead:
            try:
                await self.settled()
                await self.engine.services.committer.durable()
            except (PenstockError, Crashed):
                if not fate.dead:
                    raise
        fate.spare()
        if not fate.dead:
            seen = ", ".join(f"{each} {count}x" for each, count in fate.seen.items()) or "none"
            raise NotReached(f"{WritePoint(point)!r} was not reached {nth}x; reached were: {seen}")


@asynccontextmanager
async def app(
    under_test: App,
    *,
    disk: Disk | None = None,
    models: Mapping[str, ChatModel] | None = None,
    tools: StandIn | None = None,
    pace: Pace | None = None,
) -> AsyncGenerator[Live]:
    """Run an app in this process, on a disk in memory; leaving the block ends it as a stop does.

    `models` answer in place of the app's own, by name; a model that would go over the network is `Refused`. `tools` answers
    in place of the functions of `ctx.step` and `ctx.read`: a `Cassette`, say. Run the test with `run_virtually`, or with the
    fixtures of `penstock.testing.fixtures`, and no wait takes time. `pace`: what two looks at the wall clock see.
    """
    declared, disk = _without_network(under_test, models), Disk() if disk is None else disk
    alive = _alive(declared, under_test, disk, Fate(), tools, pace)
    async with alive as live:
        yield live


async def crash_starting(
    under_test: App,
    point: WritePoint | str,
    nth: int = 1,
    *,
    disk: Disk,
    models: Mapping[str, ChatModel] | None = None,
    tools: StandIn | None = None,
) -> None:
    """Start an app on a disk, and have it die at `point` before it has come to rest: while it starts, or resumes.

    `NotReached` when it came to rest without coming there.
    """
    fate = Fate()
    fate.decide(WritePoint(point), nth)
    try:
        async with _alive(_without_network(under_test, models), under_test, disk, fate, tools) as live:
            await live.dead(point, nth)
    except (PenstockError, Crashed):
        if not fate.dead:
            raise


@asynccontextmanager
async def _alive(
    declared: Declared, under_test: App, disk: Disk, fate: Fate, tools: StandIn | None, pace: Pace | None = None
) -> AsyncGenerator[Live]:
    disk.lives += 1
    clock = VirtualClock(Random(disk.lives), f"L{disk.lives}", pace)
    memory = disk.passages
    index = Index(memory, memory, memory, in_store=False, spaces=memory) if declared.collections else None
    # The store's own time is virtual too: it tells which worker has been silent for too long.
    storage: Storage = (MemoryStore(disk.memory, now_ms=lambda: int(clock.monotonic_s() * 1000)), index)
    started: asyncio.Future[Engine] = asyncio.get_running_loop().create_future()
    leaving = asyncio.Event()

    async def life() -> None:
        async with opened(declared, Settings(), clock=clock, storage=storage) as parts:
            store = mortal(parts.store, fate)
            mine = replace(parts, store=store, reached=fate.reached, stand_in=tools)
            async with running(mine, owner=under_test.name) as engine:
                await load(engine, read_documents(under_test.documents))
                started.set_result(engine)
                await leaving.wait()

    process = asyncio.ensure_future(life())
    fate.on_death = process.cancel  # ends what is under way, wherever it is
    try:
        await asyncio.wait([process, started], return_when=asyncio.FIRST_COMPLETED)
        if process.cancelled():
            raise Crashed
        if process.done():
            process.result()
        yield Live(under_test, started.result(), fate, clock)
        leaving.set()
        await _ended(process, fate)
    finally:
        process.cancel()
        await asyncio.gather(process, return_exceptions=True)


async def _ended(process: "asyncio.Future[None]", fate: Fate) -> None:
    """Wait for the end; what stopped the engine is the test's to know, unless it is the death that was asked for."""
    try:
        await process
    except BaseException:
        if not fate.dead:
            raise


def _without_network(under_test: App, models: Mapping[str, ChatModel] | None) -> Declared:
    declared = under_test.declared
    named = {**declared.models, **(models or {})}
    offline = {
        name: model if not isinstance(model, str) or model.startswith("offline:") else _Unplugged(name, model)
        for name, model in named.items()
    }
    return replace(declared, models=offline)


class _Unplugged:
    """A model that a test must not ask."""

    def __init__(self, asked_as: str, spec: str) -> None:
        self._asked_as, self._spec = asked_as, spec

    @property
    def name(self) -> str:
        return self._spec

    async def stream(self, request: ChatRequest) -> AsyncGenerator[TextDelta | ChatEnd]:
        assert request.messages, "nothing is asked"
        hint = f"give testing.app(..., models={{{self._asked_as!r}: ScriptedModel([...])}})"
        raise Refused(f"model {self._asked_as!r} is {self._spec}, and tests go without the network", hint)
        yield
