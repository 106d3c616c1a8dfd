"""`refresh` waits for what is on its way too: over a broker, or to the worker that owns its partition."""

import asyncio
from dataclasses import replace

from penstock import App, Context, Event
from penstock.adapters.memory.broker import MemoryBroker
from penstock.adapters.memory.passages import MemoryPassages
from penstock.adapters.memory.store import MemoryStore
from penstock.app import Running
from penstock.core.knowledge.events import KnowledgeEvent
from penstock.layers.brokered_store import BrokeredStore
from penstock.runtime.engine import running
from penstock.runtime.index import Index
from penstock.settings import Settings
from penstock.testing.hashed_embedder import HashedEmbedder
from penstock.testing.virtual_time import VirtualClock, run_virtually
from penstock.wiring import opened


class Lesson(Event):
    text: str


class HeldUp(MemoryBroker):
    """A broker that takes everything, and lets nothing come until it is told to."""

    lets_through = False

    async def fetch(self, after, *, limit):
        return await super().fetch(after, limit=limit) if self.lets_through else []

    def go_on(self):
        self.lets_through = True
        self.topics.watchers.wake()


def school():
    app = App("school")
    app.knowledge("lessons")
    app.embedder("one", HashedEmbedder(8, 1))

    @app.agent
    async def learn(lesson: Lesson, ctx: Context) -> None:
        said = KnowledgeEvent(agent_id="teacher", action="UPDATE", document_id="d", payload=lesson.text)
        ctx.emit(said)

    return app


def test_what_is_in_the_broker_is_waited_for():
    async def story():
        app, clock, broker, passages = school(), VirtualClock(), HeldUp(), MemoryPassages()
        carried = {KnowledgeEvent.topic_: ""}
        store = BrokeredStore(MemoryStore(now_ms=clock.now_ms), broker, clock, carried)
        index = Index(passages, passages, passages, in_store=False, spaces=passages)
        chosen = Settings(embedder="one")
        async with (
            opened(app.declared, chosen, clock=clock, storage=(store, index)) as parts,
            running(replace(parts, carried=frozenset(carried)), owner="a", beside=True) as engine,
        ):
            live = Running(app, engine)
            await live.call("learn", Lesson(text="water runs downhill"))
            refreshing = asyncio.ensure_future(live.knowledge("lessons").refresh())
            done, _ = await asyncio.wait([refreshing], timeout=3)
            assert not done
            broker.go_on()
            await refreshing
            (found,) = await live.knowledge("lessons").search("water", mode="words")
            assert "downhill" in found.text

    run_virtually(story())
