"""Somebody is forgotten while another worker builds a generation of what is about them: nothing of it is left in any."""

import asyncio

import pytest
from sharing import Waiting, all_own, worker

from penstock import Passage
from penstock.adapters.sqlite.store import open_sqlite_store
from penstock.core.knowledge.passages import Space

ANNA, BEN = "anna@example.org", "ben@example.org"
SECRET = "the knee of anna hurts since tuesday, wait here"


@pytest.fixture
async def url(tmp_path):
    async with open_sqlite_store(tmp_path / "library.db") as store:
        await store.divide(await store.claim("divide"), 6)
    return f"sqlite:{tmp_path / 'library.db'}"


@pytest.mark.parametrize("asked", [0, 1])
async def test_nothing_is_left_of_somebody_who_is_forgotten_while_another_worker_builds(url, tmp_path, asked):
    models = [Waiting(16, 2), Waiting(16, 2)]
    async with worker(url, two=models[0]) as one, worker(url, two=models[1]) as two:
        await all_own([one, two])
        workers = [one, two]
        books = one.knowledge("books")
        about = [
            Passage(f"{who} {number}", said, {"subject": who})
            for number in range(12)
            for who, said in ((ANNA, SECRET), (BEN, "the dog of ben is called rufus"))
        ]
        await books.put(about, consistency="strong")
        number = await books.generations.build("two")
        await asyncio.gather(*(each.waits.wait() for each in models))  # both have read of the log what is about her
        forgetting = asyncio.ensure_future(workers[asked].forget(ANNA, within_s=60))
        await asyncio.sleep(0)
        for each in models:
            each.may_go_on.set()
        receipt = await forgetting
        assert receipt.checked.found == ()
        await books.generations.ready(number, within_s=30)
        await two.knowledge("books").generations.switch(number)
        index = one.engine.services.collection("books").index
        for generation in (1, number):
            kept = await index.vectors.digests(Space("books", "default", generation))
            assert set(kept) == {each.id for each in about if each.metadata["subject"] == BEN}
        for each in workers:
            assert (await each.traces(ANNA, texts=[SECRET])).is_nothing
            assert (await each.knowledge("books").generations.verify()).is_equal
    files = b"".join(each.read_bytes() for each in tmp_path.rglob("*") if each.is_file())
    assert SECRET.encode() not in files
