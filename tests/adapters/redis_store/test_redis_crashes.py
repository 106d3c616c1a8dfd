"""What only a server and its clients can do: be killed, restarted, lose what it acknowledged, go away for a while."""

import asyncio
import shutil

import pytest
from clock_set_back import AHEAD_MS, expect_the_dead_are_fenced
from redis.asyncio import Redis as Client
from redis_server import own_redis
from store_crashes import Dying, StoreThroughCrashes

from penstock.adapters.clock.system import SystemClock
from penstock.adapters.redis_store.store import open_redis_store
from penstock.adapters.redis_store.writing import TOPICS_MAX
from penstock.core.agents.unit import Writes
from penstock.errors import Fenced, Unavailable
from penstock.layers.retrying_store import RetryingStore
from penstock.testing.commits import change, expect_nothing_of_each, expect_one_of_each, one_of_each, recorded
from penstock.testing.durable_contract import DurableStoreContract
from penstock.testing.log_contract import made

pytestmark = pytest.mark.timeout(60, func_only=True)
EVERYSEC, ALWAYS = ("everysec", "always")


def aof(appendfsync):
    return "--appendonly", "yes", "--appendfsync", appendfsync


class TestRedisOutlivesItsProcesses(DurableStoreContract):
    @pytest.fixture
    def address(self, url):
        return url

    @pytest.fixture
    def topics_max(self):
        return TOPICS_MAX


@pytest.mark.parametrize("appendfsync", [EVERYSEC, ALWAYS])
async def test_c1_what_was_acknowledged_survives_a_kill_of_redis_and_the_claim_goes_on(appendfsync):
    with own_redis(*aof(appendfsync)) as redis:
        async with open_redis_store(redis.address) as store:
            claim = await store.claim("w")
            await store.commit(claim, 1, Writes(runs=[change("before:a")]))
            await store.commit(claim, 2, one_of_each())
            redis.process.kill()
            with pytest.raises(Unavailable):
                await store.commit(claim, 3, Writes())
            await asyncio.to_thread(redis.process.start)
            patient = RetryingStore(store, SystemClock())
            await patient.commit(claim, 3, Writes(runs=[change("after:a")]))
            await expect_one_of_each(store)
            assert [each.run_id for each in (await store.rows("runs", after=b"", limit=9)).rows.runs] == [
                "before:a", "each:a", "after:a",
            ]  # fmt: skip


async def test_c1_a_redis_that_has_lost_what_it_acknowledged_fences_whoever_wrote_it():
    with own_redis(*aof(ALWAYS)) as redis:
        folder = redis.process.folder
        async with open_redis_store(redis.address) as store:
            claim = await store.claim("w")
            await store.commit(claim, 1, Writes(runs=[change("kept:a")]))
            redis.process.kill()
            shutil.copytree(folder / "appendonlydir", folder / "earlier")
            await asyncio.to_thread(redis.process.start)
            await RetryingStore(store, SystemClock()).commit(claim, 2, Writes(runs=[change("lost:a")]))
            redis.process.kill()
            shutil.rmtree(folder / "appendonlydir")
            shutil.move(folder / "earlier", folder / "appendonlydir")
            await asyncio.to_thread(redis.process.start)
            with pytest.raises(Fenced):
                await RetryingStore(store, SystemClock()).commit(claim, 3, one_of_each())
            await expect_nothing_of_each(store)
            assert await store.run("lost:a") is None
            await store.commit(await store.claim("next"), 1, one_of_each())
            await expect_one_of_each(store)


async def test_c1_a_log_on_disk_that_ends_in_the_middle_of_a_commit_has_nothing_of_it():
    with own_redis(*aof(ALWAYS)) as redis:
        folder = redis.process.folder / "appendonlydir"
        async with open_redis_store(redis.address) as store:
            claim = await store.claim("w")
            await store.commit(claim, 1, Writes(events=[recorded("whole")]))
            (log,) = folder.glob("*.incr.aof")
            size = log.stat().st_size
            await store.commit(claim, 2, one_of_each(offset=2))
        redis.process.kill()
        with log.open("r+b") as torn:
            torn.truncate(size + (log.stat().st_size - size) * 2 // 3)
        await asyncio.to_thread(redis.process.start)
        async with open_redis_store(redis.address) as store:
            await expect_nothing_of_each(store)
            assert await store.event("whole") is not None


class TestRedisCrashes(StoreThroughCrashes):
    @pytest.fixture
    def opens(self):
        return open_redis_store

    @pytest.fixture
    def dying(self):
        with own_redis(*aof(EVERYSEC)) as redis:
            yield Dying(redis.address, redis.process.kill, redis.process.start)


async def test_l6_who_listens_is_woken_by_others_also_after_redis_was_away():
    with own_redis(*aof(EVERYSEC)) as redis:
        async with open_redis_store(redis.address) as store, open_redis_store(redis.address) as other:
            woken = asyncio.Event()
            store.watch(woken.set)
            await asyncio.wait_for(woken.wait(), 10)  # when it begins to listen, it wakes us too
            woken.clear()
            await other.append("t", [made("a")])
            await asyncio.wait_for(woken.wait(), 10)
            redis.process.kill()
            woken.clear()
            await asyncio.to_thread(redis.process.start)
            await asyncio.wait_for(woken.wait(), 20)
            woken.clear()
            await RetryingStore(other, SystemClock()).append("t", [made("b")])
            await asyncio.wait_for(woken.wait(), 10)


async def test_who_died_before_the_clock_was_set_back_is_fenced_soon(redis, url):
    client = Client.from_url(redis.address)
    prefix = url.partition("prefix=")[2]

    async def ahead():
        keys = [each async for each in client.scan_iter(match=f"*{prefix}*worker:*")]
        assert len(keys) == 2
        for each in keys:
            await client.hincrby(each, "seen", AHEAD_MS)

    async with open_redis_store(url) as store:
        await expect_the_dead_are_fenced(store, ahead)
    await client.aclose()
