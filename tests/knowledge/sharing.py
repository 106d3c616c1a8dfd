"""What several workers on one store must keep of knowledge, whichever store that is."""

import asyncio
from contextlib import asynccontextmanager

from penstock import App, Document, Event
from penstock.core.knowledge.documents import document_passages
from penstock.core.knowledge.passages import Space
from penstock.testing.hashed_embedder import HashedEmbedder

NAMES = [f"doc {number}" for number in range(10)]


class Waiting(HashedEmbedder):
    """Takes its time over texts that say so: until it may go on."""

    def __init__(self, dims, seed):
        super().__init__(dims, seed)
        self.waits, self.may_go_on = asyncio.Event(), asyncio.Event()

    async def embed(self, texts, *, purpose="passage"):
        if purpose == "passage" and any("wait here" in text for text in texts):
            self.waits.set()
            await self.may_go_on.wait()
        return await super().embed(texts, purpose=purpose)


class Said(Event, key="who", subject="who"):
    """That there is one whose subject is said has the store keep what is about somebody sealed."""

    who: str


def library(*, collections=("books",), one=None, two=None):
    app = App("library", events=[Said])
    for name in collections:
        app.knowledge(name)
    app.embedder("one", one or HashedEmbedder(32, 1))
    app.embedder("two", two or HashedEmbedder(16, 2))
    return app


@asynccontextmanager
async def worker(url, *, log="", **kept):
    async with library(**kept).running(store=url, embedder="one", beside=True, log=log) as running:
        yield running


def text(name, version):
    return "\n\n".join(f"# part {part}\n\n" + f"{name} v{version} p{part} " * 50 for part in range(4 - version % 4))


def expected(versions):
    made = [document_passages(Document(name, "", text(name, version))) for name, version in versions.items()]
    return {each.id: each.digest for passages in made for each in passages}


async def all_own(workers):
    """Wait until the partitions are shared out."""
    async with asyncio.timeout(20):
        while not all(each.engine.partitions for each in workers):  # noqa: ASYNC110 - seen from outside
            await asyncio.sleep(0.05)


async def put(live, name, version, agent):
    await live.knowledge("books").put(Document(name, "", text(name, version)), agent=agent, consistency="strong")


async def write_searched_by_all(one, two):
    """Each worker finds at once what it was told is searchable, and what the other wrote by its token."""
    for number, name in enumerate(NAMES):
        writer, other = (one, two) if number % 2 else (two, one)
        await put(writer, name, 0, "ann")
        token = await other.knowledge("books").put(Document(name, "", text(name, 1)), agent="ben")
        found = await writer.knowledge("books").search(f"{name} v1", after=token, limit=20, mode="words")
        assert f"{name} v1" in found[0].text
    assert await one.knowledge("books").digests() == expected(dict.fromkeys(NAMES, 1))
    verified = await one.knowledge("books").generations.verify()
    assert verified.is_equal
    assert verified.passages == len(expected(dict.fromkeys(NAMES, 1)))


async def switch_under_writes(one, two):
    """No write is lost and no search is stale or fails while all workers change the generation that serves."""
    for name in NAMES:
        await put(one, name, 0, "ann")
    books, others = one.knowledge("books"), two.knowledge("books")
    going, last = asyncio.Event(), {}

    async def writing(live, names):
        version = 0
        while not going.is_set():
            version += 1
            for name in names:
                await put(live, name, version, f"agent {version}")
                last[name] = version
                for each in (books, others):
                    token = await each.search(f"{name} v{version} p0", limit=3)
                    assert token, name

    async with asyncio.TaskGroup() as group:
        group.create_task(writing(one, NAMES[:3]))
        group.create_task(writing(two, NAMES[3:6]))
        number = await others.generations.build("two", switch=True)
        state = await books.generations.ready(number, within_s=40)
        assert state.generation.status == "serving"
        await others.generations.ready(number, within_s=40)
        assert await books.generations.roll_back() == 1
        assert await others.generations.switch(number) == number
        going.set()
    versions = dict.fromkeys(NAMES, 0) | last
    await books.refresh()
    for each in (one, two):
        collection = each.engine.services.collection("books")
        assert collection.generations.searching.number == number
        assert await each.knowledge("books").digests() == expected(versions)
        assert (await each.knowledge("books").generations.verify()).is_equal
    await caught_up(one, 1)
    index = one.engine.services.collection("books").index
    assert await index.vectors.digests(Space("books", "default", 1)) == expected(versions)


async def caught_up(live, number):
    async with asyncio.timeout(20):
        while (await live.knowledge("books").generations.state(number)).behind:  # noqa: ASYNC110 - of other workers
            await asyncio.sleep(0.05)


async def go_back_to_what_another_saw(one, two):
    """A point that one worker saw is one that another can go back to."""
    books, others = one.knowledge("books"), two.knowledge("books")
    for name in NAMES:
        await put(one, name, 0, "ann")
    await others.refresh()
    [first, *_] = found = await others.search("v0 p0", limit=6)
    for name in NAMES:
        await put(two, name, 1, "ben")
    assert await books.search("v0 p0", limit=6, as_of=first.as_of) == found
    assert await books.search("v0 p0", limit=6) != found
