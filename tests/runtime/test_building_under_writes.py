"""A build gets ready while others write without a pause: there is always an event that it does not have yet."""

import asyncio

from penstock import App, Passage
from penstock.testing.hashed_embedder import HashedEmbedder


class Growing(HashedEmbedder):
    """An embedder during whose every call something more is written: who builds with it is never at the end of the log."""

    def __init__(self):
        super().__init__(16, 2)
        self.written = 0
        self.write = None

    async def embed(self, texts, *, purpose="passage"):
        if self.write is not None and purpose == "passage":
            self.written += 1
            await self.write(f"during {self.written}")
        return await super().embed(texts, purpose=purpose)


async def test_a_build_is_ready_though_the_log_grows_with_each_of_its_steps():
    growing = Growing()
    app = App("library")
    app.knowledge("books")
    app.embedder("one", HashedEmbedder(32, 1))
    app.embedder("growing", growing)
    async with app.running(store="memory:", embedder="one") as live:
        books = live.knowledge("books")
        await books.put([Passage(f"p{number}", f"number {number}") for number in range(20)], consistency="strong")

        async def write(name):
            await books.put(Passage(name, name))

        growing.write = write
        number = await books.generations.build("growing")
        async with asyncio.timeout(20):
            assert (await books.generations.ready(number)).generation.status == "ready"
        assert growing.written > 0
        growing.write = None
        await books.refresh()
        assert await books.generations.switch(number) == number
        found = set(await books.digests())
        assert {f"p{each}" for each in range(20)} <= found
        assert {f"during {each + 1}" for each in range(growing.written)} <= found
