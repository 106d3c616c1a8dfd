"""A log of several partitions and one worker: what a collection is does not depend on how many partitions its log has."""

from datetime import UTC, datetime

import pytest

from penstock import App, Document, Passage
from penstock.adapters.sqlite.store import open_sqlite_store
from penstock.core.knowledge.documents import document_passages
from penstock.core.knowledge.events import KnowledgeEvent
from penstock.core.knowledge.passages import Space
from penstock.errors import Invalid
from penstock.testing.hashed_embedder import HashedEmbedder

PARTITIONS = 4
NAMES = [f"doc {number}" for number in range(12)]


def library():
    app = App("library")
    app.knowledge("books")
    app.embedder("one", HashedEmbedder(32, 1))
    app.embedder("two", HashedEmbedder(16, 2))
    return app


def text(name, version):
    return "\n\n".join(f"# part {part}\n\n" + f"{name} v{version} p{part} " * 50 for part in range(4 - version))


def expected(versions):
    made = [document_passages(Document(name, "", text(name, version))) for name, version in versions.items()]
    return {each.id: each.digest for passages in made for each in passages}


async def divide(path, partitions=PARTITIONS):
    async with open_sqlite_store(path) as store:
        await store.divide(await store.claim("divide"), partitions)


@pytest.fixture
async def path(tmp_path):
    path = tmp_path / "books.db"
    await divide(path)
    return path


@pytest.fixture
async def live(path):
    async with library().running(store=f"sqlite:{path}", embedder="one") as running:
        yield running


async def written(live, agents=("ann", "ben", "cat")):
    """Have agents write the same documents one after the other, and return what there is then."""
    books = live.knowledge("books")
    for version, agent in enumerate(agents):
        many = [Document(name, "", text(name, version)) for name in NAMES]
        await books.put(many, agent=agent, consistency="strong" if version else "eventual")
    await books.delete(documents=NAMES[:2], agent="dan", consistency="strong")
    return expected(dict.fromkeys(NAMES[2:], len(agents) - 1))


async def partitions_with(store):
    ends = await store.ends()
    return {partition for (topic, partition), end in ends.items() if topic == KnowledgeEvent.topic_ and end}


async def test_documents_lie_in_all_partitions_and_each_is_what_was_said_last_whoever_said_it(live):
    wanted = await written(live)
    assert await live.knowledge("books").digests() == wanted
    assert await partitions_with(live.engine.parts.store) == set(range(PARTITIONS))
    assert (await live.knowledge("books").generations.verify()).is_equal


async def test_a_generation_is_built_switched_to_and_taken_back(live):
    wanted = await written(live)
    books = live.knowledge("books")
    number = await books.generations.build("two")
    assert (await books.generations.ready(number)).behind == 0
    index = live.engine.services.collection("books").index
    assert await index.vectors.digests(Space("books", "default", number)) == wanted
    await books.generations.switch(number)
    await books.put(Document("doc 5", "", "another text"), agent="eve", consistency="strong")
    later = {key: each for key, each in wanted.items() if not key.startswith("doc 5")}
    later |= {each.id: each.digest for each in document_passages(Document("doc 5", "", "another text"))}
    assert await books.digests() == later
    await books.generations.roll_back()
    assert await books.digests() == later
    assert (await books.generations.verify()).is_equal


async def test_a_build_goes_on_where_each_partition_was(path):
    async with library().running(store=f"sqlite:{path}", embedder="one") as running:
        wanted = await written(running)
        building = running.engine.keepers["books"].building
        building.pace(2).page = 1
        await running.knowledge("books").generations.build("two", per_s=20, switch=True)
        await running.engine.until(lambda: building.at(2), lambda at: sum(1 for each in at.values() if each) > 1)
        begun = dict(building.at(2))
        assert begun != building.ends()
    async with library().running(store=f"sqlite:{path}", embedder="one") as running:
        building = running.engine.keepers["books"].building
        assert all(building.at(2)[partition] >= offset for partition, offset in begun.items())
        await running.knowledge("books").generations.ready(2, within_s=40)
        assert await running.knowledge("books").digests() == wanted


async def test_c8_what_was_found_can_be_found_again_as_of_then(live):
    books = live.knowledge("books")
    seen = []
    for version in range(3):
        many = [Document(name, "", text(name, version)) for name in NAMES]
        await books.put(many, agent=f"agent {version}", consistency="strong")
        found = await books.search("v1 v2 p0", limit=8)
        seen.append((found, found[0].as_of))
    now = datetime.fromtimestamp(live.engine.services.clock.now_ms() / 1000, UTC)
    assert await books.search("v1 v2 p0", limit=8, as_of=now) == seen[-1][0]
    for found, as_of in reversed(seen):
        assert isinstance(as_of, str)
        again = await books.search("v1 v2 p0", limit=8, as_of=as_of)
        assert again == found
        assert again[0].as_of == as_of
    assert await books.search("v1", as_of="c") == []


async def test_what_is_no_point_of_this_log_is_said(live):
    await written(live)
    books = live.knowledge("books")
    for wrong in (3, "c9-1", "c0-99999", "k0-1"):
        with pytest.raises(Invalid):
            await books.search("v1", as_of=wrong)


async def test_what_names_a_passage_lies_with_its_document(live):
    books = live.knowledge("books")
    await books.put(Document("long", "", text("long", 0)), consistency="strong")
    piece = min(await books.digests())
    assert "#" in piece
    await books.put(Passage(piece, "put by hand"), agent="somebody else", consistency="strong")
    await books.delete(documents=["long"], agent="a third", consistency="strong")
    assert await books.digests() == {}
    assert len(await partitions_with(live.engine.parts.store)) == 1
