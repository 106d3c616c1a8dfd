"""The store in one file keeps all contracts, and what only a file can do to it: kills, full disks, files of others."""

import asyncio
import os
import shutil
import sqlite3
from contextlib import AsyncExitStack, closing, contextmanager

import pytest

from penstock.adapters.sqlite.schema import FORMAT, TOPICS_MAX
from penstock.adapters.sqlite.store import open_sqlite_store
from penstock.core.agents.unit import Writes
from penstock.errors import Invalid, Refused, Unavailable
from penstock.testing.blobs_contract import BlobStoreContract
from penstock.testing.catalog_contract import RunCatalogContract
from penstock.testing.commits import (
    change,
    expect_nothing_of_each,
    expect_one_of_each,
    ids_in_log,
    one_of_each,
    value,
)
from penstock.testing.durable_contract import DurableStoreContract
from penstock.testing.erasure_contract import ErasableContract
from penstock.testing.log_contract import EventLogContract, made
from penstock.testing.retention_contract import PrunableStoreContract
from penstock.testing.rows_contract import RowSourceContract
from penstock.testing.state_contract import StateStoreContract
from penstock.testing.stream_contract import StreamStoreContract
from penstock.testing.timer_contract import TimerStoreContract

NOBODY = 65534


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "app.db"


@pytest.fixture
async def store(path):
    async with open_sqlite_store(path) as opened:
        yield opened


@pytest.fixture
async def reopened(path, tmp_path):
    """Open what a crash would leave: the files as they are now, while the first store still has them open."""
    async with AsyncExitStack() as stack:
        copies = 0

        async def another():
            nonlocal copies
            copies += 1
            folder = tmp_path / f"after-crash-{copies}"
            folder.mkdir()
            for name in (path.name, f"{path.name}-wal"):  # the shared memory is lost with the processes
                shutil.copy(path.parent / name, folder / name)
            return await stack.enter_async_context(open_sqlite_store(folder / path.name))

        yield another


class TestSqliteStore(
    EventLogContract,
    StateStoreContract,
    RunCatalogContract,
    TimerStoreContract,
    StreamStoreContract,
    BlobStoreContract,
    ErasableContract,
    PrunableStoreContract,
    RowSourceContract,
):
    @pytest.fixture
    def store(self, store):
        return store

    @pytest.fixture
    def log(self, store):
        return store

    @pytest.fixture
    def reopened(self, reopened):
        return reopened

    @pytest.fixture
    async def empty(self, tmp_path):
        async with AsyncExitStack() as stack:
            yield lambda: stack.enter_async_context(open_sqlite_store(tmp_path / "another.db"))


class TestSqliteOutlivesItsProcesses(DurableStoreContract):
    @pytest.fixture
    def address(self, path):
        return f"sqlite:{path}"

    @pytest.fixture
    def topics_max(self):
        return TOPICS_MAX


# files that are not ours


@pytest.mark.parametrize(
    "body",
    [b"garbage", b"garbage " * 1000, b"SQLite format 3\x00" + b"\xff" * 4080, bytes(8192)],
    ids=["short", "long", "damaged head", "zeros"],
)
async def test_garbage_is_refused_and_left_alone(path, body):
    path.parent.mkdir()
    path.write_bytes(body)
    with pytest.raises(Invalid):
        await opened_and_closed(path)
    assert path.read_bytes() == body


@pytest.mark.parametrize("version", [0, FORMAT, 42])
async def test_a_file_of_another_program_is_refused_and_left_alone(path, version):
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"CREATE TABLE bookmark (url); PRAGMA user_version = {version};")
    body = path.read_bytes()
    with pytest.raises(Invalid, match="another program"):
        await opened_and_closed(path)
    assert path.read_bytes() == body


async def test_a_newer_format_is_refused_with_what_to_do(path):
    await opened_and_closed(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {FORMAT + 1}")
    with pytest.raises(Invalid, match=r"format: is 3, .* \(open it with the version of penstock that wrote it"):
        await opened_and_closed(path)


async def test_an_empty_file_becomes_a_store(path):
    path.parent.mkdir()
    path.touch()
    async with open_sqlite_store(path) as store:
        await store.commit(await store.claim("w"), 1, one_of_each())
    async with open_sqlite_store(path) as store:
        await expect_one_of_each(store)


async def test_a_folder_is_refused(path):
    path.mkdir(parents=True)
    with pytest.raises(Refused, match="cannot be opened"):
        await opened_and_closed(path)


async def test_a_path_through_a_file_is_refused(path):
    path.parent.write_text("a file where the folder should be")
    with pytest.raises(Refused, match="check that the folder exists and may be written"):
        await opened_and_closed(path)


@pytest.mark.parametrize("exists", [False, True], ids=["new", "existing"])
async def test_a_read_only_folder_is_refused(path, tmp_path, exists):
    if exists:
        await opened_and_closed(path)
        path.chmod(0o444)
    path.parent.mkdir(exist_ok=True)
    path.parent.chmod(0o555)
    with as_nobody(tmp_path), pytest.raises(Refused, match="check"):
        await opened_and_closed(path)
    path.parent.chmod(0o755)


async def test_a_store_is_closed_into_one_file(path):
    async with open_sqlite_store(path) as store:
        await store.commit(await store.claim("w"), 1, one_of_each())
    assert not {f"{path.name}-wal", f"{path.name}-shm"} & {each.name for each in path.parent.iterdir()}


async def opened_and_closed(path):
    async with open_sqlite_store(path):
        pass


@contextmanager
def as_nobody(tmp_path):
    """Be a user whom the rights of files bind: they do not bind root."""
    if os.geteuid() != 0:
        yield
        return
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(folder.stat().st_mode | 0o011)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


# limits


async def test_a_full_disk_is_unavailable_and_nothing_is_half_written(store, reopened):
    claim = await store.claim("w")
    await store.commit(claim, 1, Writes(runs=[change("before:a")]))
    await limit_pages(store, await pages(store) + 20)
    large = one_of_each()
    large.values.append(value("large", bytes(1_000_000)))
    for _ in range(3):
        with pytest.raises(Unavailable, match="full"):
            await store.commit(claim, 2, large)
    for each in (store, await reopened()):
        await expect_nothing_of_each(each)
        assert await each.run("before:a") is not None
    await limit_pages(store, 2**30)
    await store.commit(claim, 2, large)
    assert (await store.values("t", "a", "k"))["large"] == bytes(1_000_000)


async def test_an_append_to_a_full_disk_leaves_nothing(store):
    await store.append("t", [made("a")])
    await limit_pages(store, await pages(store) + 20)
    with pytest.raises(Unavailable, match="full"):
        await store.append("u", [made("b"), made("large", data=bytes(1_000_000))])
    assert await store.ends() == {("t", 0): 1}
    await limit_pages(store, 2**30)
    await store.append("u", [made("b")])
    assert await store.ends() == {("t", 0): 1, ("u", 0): 1}


async def test_what_is_too_big_for_sqlite_is_refused(store):
    claim = await store.claim("w")
    await store.transact(lambda connection: connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 1_000_000))
    large = one_of_each()
    large.values.append(value("large", bytes(1_000_001)))
    with pytest.raises(Refused, match="send less"):
        await store.commit(claim, 1, large)
    await expect_nothing_of_each(store)
    await store.commit(claim, 1, one_of_each())


async def test_a_write_while_another_program_holds_the_file_is_unavailable(path, store):
    claim = await store.claim("w")
    store.transactions.patience_s = 0.02  # five seconds are long for a lock that the test holds
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="locked"):
            await store.commit(claim, 1, one_of_each())
        other.execute("ROLLBACK")
    await store.commit(claim, 1, one_of_each())
    await expect_one_of_each(store)


# cancellation


async def test_an_append_whose_caller_is_cancelled_is_written_and_told(store):
    woken = asyncio.Event()
    store.watch(woken.set)
    async with asyncio.TaskGroup() as tasks:
        append = tasks.create_task(store.append("t", [made("a")]))
        await begun()
        append.cancel()
        await asyncio.wait_for(woken.wait(), 10)
    assert append.cancelled()
    assert await ids_in_log(store) == ["a"]


async def begun():
    """Let a task that was just made reach the thread that writes."""
    for _ in range(3):
        await asyncio.sleep(0)


async def limit_pages(store, pages_max):
    await store.transact(lambda connection: connection.execute(f"PRAGMA max_page_count = {pages_max}").fetchone())


async def pages(store):
    return await store.transact(lambda connection: connection.execute("PRAGMA page_count").fetchone()[0])
