"""A library is knowledge: what is put, changed and removed, a build beside it, a switch and searches, over every crash.

Its index outlives the crashes, in half of the worlds within the store's commits, and in the others apart, written before them.
"""

import asyncio
from contextlib import suppress
from functools import partial

from life import PATIENCE_S, Life, taken_over
from scene import Client, Scene
from world import World

from penstock.core.agents.declaration import Agent
from penstock.core.knowledge.changes import wishes_of
from penstock.core.knowledge.documents import Chunking
from penstock.core.knowledge.events import KnowledgeEvent
from penstock.core.knowledge.generation_events import KEEPER, BuildGeneration, SwitchGeneration
from penstock.core.knowledge.passages import Space
from penstock.errors import RunFailed, Unavailable
from penstock.runtime.engine import Engine
from penstock.runtime.generations import Embedding
from penstock.runtime.index import Index
from penstock.runtime.indexer import NAME as INDEXER
from penstock.runtime.knowing import outside_id, write
from penstock.runtime.knowledge import OpenKnowledge
from penstock.runtime.own_agents import own_agents
from penstock.testing.hashed_embedder import HashedEmbedder

NAME = "library"
POISON = "poison"
TENANT = "default"
MODELS = {"one": HashedEmbedder(4, 1), "two": HashedEmbedder(8, 2)}


class Library(Scene):
    """Each document is what its last event says, in each generation; what was strong is found; nothing of it is lost."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        random = world.random
        self.in_store = random.random() < 0.5
        self.builds = random.random() < 0.5
        self.texts = [self._event(number) for number in range(random.randint(0, 8))]
        self.told: dict[str, str] = {}  # by document: the text of the last write that was said to be found

    def _event(self, number: int) -> KnowledgeEvent:
        random = self.world.random
        document = f"d{random.randrange(3)}"
        action = random.choice(["UPDATE", "UPDATE", "UPDATE", "DELETE"])
        poison = POISON if self.world.lucky(self.world.chances.poison) else ""
        words = " ".join(f"{document}{number}" for _ in range(random.choice([1, 150])))
        text = "" if action == "DELETE" else f"text{number} {poison} {words}"
        return KnowledgeEvent(
            agent_id=document, action=action, document_id=document, payload=text, event_id=f"k{number}"
        )

    def index(self) -> Index:
        passages = self.world.passages
        return Index(passages, passages, passages, in_store=self.in_store, spaces=passages)

    def knowledge(self, life: Life) -> Embedding:
        """Return what embeds for one process."""
        models = {name: _Model(life, real) for name, real in MODELS.items()}

        async def opened(name: str) -> _Model:
            return models[name]

        return Embedding("one", models["one"], opened, {})

    def agents(self, life: Life) -> list[Agent]:
        life.collections = {NAME: self.index()}
        life.embedding = self.knowledge(life)
        return list(own_agents({}, knowledge=True, registry=False).values())

    def clients(self, life: Life, engine: Engine) -> list[Client]:
        builds = [partial(self._build, engine)] if self.builds else []
        return [partial(self._put, engine), *builds]

    async def _put(self, engine: Engine) -> None:
        """Put one after the other, half of them until they are found."""
        for number, event in enumerate(self.texts):
            consistency = "strong" if number % 2 else "eventual"
            try:
                await write(engine, [event], TENANT, consistency)
            except RunFailed:
                self.world.expect(POISON in event.payload, f"{event.event_id} was given up on")
                continue
            if consistency == "strong" and event.action != "DELETE":
                found = await OpenKnowledge(NAME, engine, TENANT).search(f"text{number}", mode="words", limit=1)
                self.world.expect(bool(found) or not self._is_last(event), f"{event.event_id} is not found")

    def _is_last(self, event: KnowledgeEvent) -> bool:
        """Whether nothing came after it for its document: what a process that died had sent may come late over a broker."""
        log = [KnowledgeEvent.decoded(each.event.data) for each in self.world.disk.log(KnowledgeEvent.topic_)]
        mine = [each.event_id for each in log if each.document_id == event.document_id]
        return mine[-1] == event.event_id and all(
            each.document_id != event.document_id for each in self.texts[self.texts.index(event) + 1 :]
        )

    async def _build(self, engine: Engine) -> None:
        said = BuildGeneration(collection=NAME, embedder="two", switch=True)
        await engine.call(KEEPER, said, id="build", within_s=60)

    async def healed(self, life: Life, engine: Engine) -> None:
        await taken_over(self.world, engine)  # a put waits 10 s for its place, the partitions of the dead take longer
        await self._put(engine)
        knowledge = OpenKnowledge(NAME, engine, TENANT)
        await knowledge.refresh()
        if self.builds:
            await self._build(engine)
            await knowledge.generations.ready(2, within_s=PATIENCE_S)
            with suppress(RunFailed):
                await engine.call(KEEPER, SwitchGeneration(collection=NAME), id="back", within_s=60)
            await self._caught_up(engine)
        verified = await knowledge.generations.verify()
        assert verified.is_equal, f"the index differs from its log: {verified}"

    async def _caught_up(self, engine: Engine) -> None:
        """Wait until the generation that follows has the whole log."""
        building, generations = engine.keepers[NAME].building, engine.keepers[NAME].collection.generations
        async with asyncio.timeout(PATIENCE_S):
            while any(  # noqa: ASYNC110 - seen from outside
                building.at(each.number) != building.ends()
                for each in generations.catalogue.generations
                if each.status != "serving"
            ):
                await asyncio.sleep(0.1)

    def _texts(self, generation: int) -> dict[str, str]:
        kept = self.world.passages.kept(Space(NAME, TENANT, generation))
        return {key: passage.text for key, passage in kept.items()}

    def check(self) -> None:
        disk = self.world.disk
        known = {outside_id(TENANT, each.event_id) for each in self.texts}
        log = [each.event for each in disk.log(KnowledgeEvent.topic_)]
        assert sorted(each.id for each in log) == sorted(known), "an event is not in the log once"
        dead = {letter.event.event.id for letter in disk.dead.values() if letter.agent == INDEXER}
        events = [KnowledgeEvent.decoded(each.data) for each in log if each.id not in dead]
        assert all(POISON in KnowledgeEvent.decoded(each.data).payload for each in log if each.id in dead)
        wanted = {
            passage.id: passage.text
            for document in wishes_of(events, Chunking(), given=True).documents.values()
            for passage in document.passages
        }
        for generation in (1, 2) if self.builds else (1,):
            there = self._texts(generation)
            assert there == wanted, f"generation {generation} has {sorted(there)}, not {sorted(wanted)}"


class _Model:
    """An embedder of one process, which does not always answer, and never embeds poison."""

    def __init__(self, life: Life, real: HashedEmbedder) -> None:
        self.name, self.dims = real.name, real.dims
        self._life, self._real = life, real

    async def embed(self, texts, *, purpose="passage"):
        if self._life.world.lucky(0.0 if self._life.world.healthy else self._life.world.chances.failure):
            raise Unavailable("the embedder", "embed")
        if any(POISON in each for each in texts):
            raise ValueError(POISON)
        return await self._real.embed(texts, purpose=purpose)
