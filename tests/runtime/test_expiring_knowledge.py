"""What has expired is found by no search, is swept, and was there before: in every mode, as of then, and in what is built anew."""

from datetime import UTC, datetime, timedelta

import pytest

from penstock import App, Document, Passage, testing
from penstock.core.knowledge.as_of import AsOf
from penstock.testing import Disk
from penstock.testing.fixtures import anyio_backend
from penstock.testing.hashed_embedder import HashedEmbedder

__all__ = ["anyio_backend"]

pytestmark = pytest.mark.usefixtures("any_pace")
MODES = ("words", "vectors", "hybrid")


def library():
    app = App("library")
    app.knowledge("books")
    app.embedder("one", HashedEmbedder(32, 1))
    app.embedder("two", HashedEmbedder(16, 2))
    return app


def now(live, **more):
    return datetime.fromtimestamp(live.engine.services.clock.now_ms() / 1000, UTC) + timedelta(**more)


async def found(live, **options):
    return {each.id for each in await live.knowledge("books").search("water", **options)}


@pytest.mark.parametrize("mode", MODES)
async def test_what_has_expired_takes_no_place_of_what_has_not(mode):
    async with testing.app(library()) as live:
        books = live.knowledge("books")
        short = [Passage(f"s{number:02}", "water") for number in range(40)]
        await books.put(short, ttl_s=60, consistency="strong")
        await books.put([Passage(f"l{number}", "water for longer") for number in range(3)], consistency="strong")
        await live.clock.sleep(61)
        assert await found(live, mode=mode, limit=3) == {"l0", "l1", "l2"}


async def test_what_had_expired_when_it_was_put_is_never_found_and_swept():
    async with testing.app(library()) as live:
        books = live.knowledge("books")
        await books.put(Passage("late", "water"), expires_at=now(live, hours=-1), consistency="strong")
        await books.put(Document("gone", "", "water"), expires_at=now(live, days=-900), consistency="strong")
        assert await found(live) == set()
        await live.settled()
        assert await books.digests() == {}


async def test_the_last_word_on_when_something_expires_counts():
    async with testing.app(library()) as live:
        books = live.knowledge("books")
        for ttl_s in (600, 60):
            await books.put(Passage("sooner", "water"), ttl_s=ttl_s, consistency="strong")
        for ttl_s in (60, 600):
            await books.put(Passage("later", "water"), ttl_s=ttl_s, consistency="strong")
        await live.clock.sleep(61)
        await live.settled()
        assert await found(live) == set(await books.digests()) == {"later"}
        await live.clock.sleep(600)
        await live.settled()
        assert await found(live) == set(await books.digests()) == set()


async def test_as_of_a_moment_there_is_what_had_not_expired_by_then():
    disk = Disk()
    async with testing.app(library(), disk=disk) as live:
        await live.knowledge("books").put(Passage("a", "water"), ttl_s=60, consistency="strong")
        await live.knowledge("books").put(Passage("b", "water"), consistency="strong")
        before = now(live)
    async with testing.app(library(), disk=disk) as live:
        # The app was down when it expired, so the event that removes it comes later than that.
        await live.clock.sleep(3600)
        await live.settled()
        assert set(await live.knowledge("books").digests()) == {"b"}
        for mode in MODES:
            assert await found(live, as_of=before, mode=mode) == {"a", "b"}
            assert await found(live, as_of=before + timedelta(seconds=59), mode=mode) == {"a", "b"}
            assert await found(live, as_of=before + timedelta(seconds=61), mode=mode) == {"b"}
        assert await found(live, as_of=2) == {"a", "b"}
        assert await found(live) == {"b"}
        past = live.engine.services.collection("books")
        then = AsOf(time_ms=round((before + timedelta(seconds=61)).timestamp() * 1000))
        assert [each.id for each in (await past.as_it_was(then))[1]] == ["b"]


async def test_a_build_from_the_log_brings_nothing_back_that_has_expired():
    async with testing.app(library()) as live:
        books = live.knowledge("books")
        await books.put(Passage("swept", "water"), ttl_s=60, consistency="strong")
        await books.put(Passage("soon", "water"), ttl_s=7200, consistency="strong")
        await books.put(Passage("stays", "water"), consistency="strong")
        await live.clock.sleep(61)
        await live.settled()
        before = await books.digests()
        number = await books.generations.build("two")
        await books.generations.ready(number)
        await books.generations.switch(number)
        assert await books.digests() == before
        assert (await books.generations.verify()).missing == 0
        # What the builder did not set a timer for is swept by that of the first indexing.
        await live.clock.sleep(7200)
        assert await found(live) == {"stays"}
        await live.settled()
        assert set(await books.digests()) == {"stays"}
        await books.generations.ready(await books.generations.build("one"))
        assert set(await books.digests()) == {"stays"}
