"""Several workers on one file: the contracts, and what only a file and real processes can show."""

import shutil
from contextlib import AsyncExitStack

import pytest
from clock_set_back import AHEAD_MS, expect_the_dead_are_fenced

from penstock.adapters.sqlite.store import open_sqlite_store
from penstock.adapters.sqlite.waking import Wakes, wake
from penstock.errors import Fenced
from penstock.testing.inbox_contract import InboxContract
from penstock.testing.permits_contract import PermitsContract
from penstock.testing.workers_contract import WorkersContract


@pytest.fixture
def path(tmp_path):
    return tmp_path / "app.db"


class TestSqliteWorkers(WorkersContract, InboxContract, PermitsContract):
    @pytest.fixture
    async def store(self, path):
        async with open_sqlite_store(path, shared=True) as store:
            yield store

    @pytest.fixture
    async def beside(self, path):
        async with AsyncExitStack() as stack:

            async def another():
                return await stack.enter_async_context(open_sqlite_store(path, shared=True))

            yield another

    @pytest.fixture
    async def reopened(self, path, tmp_path):
        """Open what a crash would leave: the files as they are now."""
        async with AsyncExitStack() as stack:
            copies = 0

            async def another():
                nonlocal copies
                copies += 1
                folder = tmp_path / str(copies)
                folder.mkdir()
                for each in path.parent.glob(f"{path.name}*"):
                    if each.is_file():
                        shutil.copy(each, folder / each.name)
                return await stack.enter_async_context(open_sqlite_store(folder / path.name, shared=True))

            yield another


async def test_a_worker_of_format_1_is_fenced_by_those_of_format_2(path):
    async with open_sqlite_store(path) as store:
        before = await store.transact(lambda each: each.execute("SELECT epoch FROM owner").fetchone()[0])
        claim = await store.join("new")
        after = await store.transact(lambda each: each.execute("SELECT epoch FROM owner").fetchone()[0])
        assert (before, after) == (0, claim.epoch)  # an old process finds another epoch than its own in `owner`
        old = await store.claim("old")
        await store.join("newer")
        with pytest.raises(Fenced):
            await store.renew(old, ttl_ms=1000)


async def test_to_wake_one_who_has_gone_is_no_error():
    gone = Wakes(lambda: None)
    port = await gone.open()
    await gone.close()
    mine = Wakes(lambda: None)
    await mine.open()
    mine.others = [port]
    mine.wake()
    await mine.close()
    mine.wake()
    wake([port])


async def test_who_died_before_the_clock_was_set_back_is_fenced_soon(path):
    async with open_sqlite_store(path, shared=True) as store:

        async def ahead():
            await store.transact(
                lambda each: each.execute("UPDATE worker SET seen_ms = seen_ms + ?", (AHEAD_MS,)).rowcount
            )

        await expect_the_dead_are_fenced(store, ahead)
