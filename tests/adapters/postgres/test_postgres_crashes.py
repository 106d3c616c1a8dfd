"""What only a server and its clients can do: be killed, restarted, cut off, cancelled."""

import asyncio
from contextlib import ExitStack

import pytest
from postgres_server import ask, schema_of
from store_crashes import Dying, StoreThroughCrashes

from penstock.adapters.clock.system import SystemClock
from penstock.adapters.postgres.address import address_of
from penstock.adapters.postgres.database import CLOSE_S
from penstock.adapters.postgres.listening import open_listener
from penstock.adapters.postgres.schema import TOPICS_MAX
from penstock.adapters.postgres.store import open_postgres_store
from penstock.core.agents.unit import Writes
from penstock.errors import Fenced, Unavailable
from penstock.layers.retrying_store import RetryingStore
from penstock.testing.commits import (
    change,
    expect_one_of_each,
    one_of_each,
    recorded,
)
from penstock.testing.durable_contract import DurableStoreContract
from penstock.testing.log_contract import made

pytestmark = pytest.mark.timeout(60, func_only=True)


@pytest.fixture
async def store(url):
    async with open_postgres_store(url) as opened:
        yield opened


class TestPostgresOutlivesItsProcesses(DurableStoreContract):
    @pytest.fixture
    def address(self, url):
        return url

    @pytest.fixture
    def topics_max(self):
        return TOPICS_MAX


# a server that goes away


async def test_while_the_server_is_away_a_commit_is_unavailable_and_written_once_it_is_back(own_server, url):
    async with open_postgres_store(url) as store:
        claim = await store.claim("w")
        await store.commit(claim, 1, Writes(runs=[change("before:a")]))
        own_server.crash()
        for _ in range(3):
            with pytest.raises(Unavailable):
                await store.commit(claim, 2, one_of_each())
        own_server.start()
        await RetryingStore(store, SystemClock()).commit(claim, 2, one_of_each())
        await store.commit(claim, 2, one_of_each())
        await expect_one_of_each(store)
        assert await store.run("before:a") is not None


class TestPostgresCrashesUnderAnEngine(StoreThroughCrashes):
    @pytest.fixture
    def opens(self):
        return open_postgres_store

    @pytest.fixture
    def orders(self):
        return 600

    @pytest.fixture
    def dying(self, own_server, url):
        return Dying(url, own_server.crash, own_server.start)


async def test_who_listens_can_leave_while_the_server_does_not_answer(own_server, store, url):
    async def watched():
        async with open_listener(address_of(url)) as watchers:
            await listening(watchers)
            stack.enter_context(own_server.frozen())

    with ExitStack() as stack:
        await asyncio.wait_for(watched(), 3 * CLOSE_S)
    await RetryingStore(store, SystemClock()).claim("w")


async def test_connections_that_the_server_ends_are_made_again(own_server, store):
    claim = await store.claim("w")
    await store.ends()
    ended = await ask(
        own_server.dsn,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'penstock' AND query NOT LIKE 'LISTEN%'",
    )
    assert ended
    await RetryingStore(store, SystemClock()).commit(claim, 1, one_of_each())
    await expect_one_of_each(store)


# wake-ups from other processes


async def test_l6_watchers_are_woken_by_what_their_own_store_commits_and_appends(store):
    woken = await listening(store)
    await store.commit(await store.claim("w"), 1, Writes(events=[recorded("e")]))
    assert woken.is_set()
    woken.clear()
    await store.append("u", [made("a")])
    assert woken.is_set()


async def test_l6_watchers_are_woken_by_what_another_process_commits_and_appends(store, url):
    async with open_postgres_store(url) as other:
        woken = await listening(store)
        await other.commit(await other.claim("w"), 1, Writes(events=[recorded("e")]))
        await asyncio.wait_for(woken.wait(), 10)
        woken.clear()
        await other.append("u", [made("a")])
        await asyncio.wait_for(woken.wait(), 10)


async def test_l6_who_listens_is_woken_after_the_connection_was_lost_and_goes_on_listening(store, server, url):
    woken = await listening(store)
    ended = await ask(
        server.dsn,
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%{schema_of(url)}%'",
    )
    assert ended == [(True,)]
    await asyncio.wait_for(woken.wait(), 10)
    woken.clear()
    async with open_postgres_store(url) as other:
        await other.append("t", [made("a")])
    await asyncio.wait_for(woken.wait(), 10)


async def listening(store):
    """Watch a store, and return what is set when it wakes us, once it listens: when it begins to, it wakes us too."""
    woken = asyncio.Event()
    store.watch(woken.set)
    await asyncio.wait_for(woken.wait(), 10)
    woken.clear()
    return woken


# rivals


async def test_s2_a_claim_waits_for_a_commit_under_way_and_fences_the_next(url, store):
    old = await store.claim("old")
    outcomes = []

    async def commits():
        try:
            for number in range(1, 1000):
                await store.commit(old, number, Writes(runs=[change(f"{number}:a")]))
                outcomes.append(number)
        except Fenced:
            outcomes.append("fenced")

    async with open_postgres_store(url) as other, asyncio.TaskGroup() as tasks:
        tasks.create_task(commits())
        while len(outcomes) < 20:
            await store.ends()
        await other.claim("new")
    assert outcomes[-1] == "fenced"
    written = len(outcomes) - 1
    assert await store.run(f"{written}:a") is not None
    assert await store.run(f"{written + 1}:a") is None
