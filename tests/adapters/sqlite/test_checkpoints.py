"""Checkpoints beside commits: the log stays short, no commit waits for them, and nothing acknowledged is lost amid one."""

import asyncio
import multiprocessing
import os
import shutil
import signal
import sqlite3
import threading
from contextlib import closing

import pytest

from penstock.adapters.sqlite.checkpoints import BACKSTOP_FRAMES, LogLengths
from penstock.adapters.sqlite.store import open_sqlite_store
from penstock.core.agents.unit import Writes
from penstock.testing.commits import ids_in_log, value

PAGE_BYTES = 4096
SHORT = LogLengths(checkpoint=20, end=60)
COMMITS = 300
_forks = multiprocessing.get_context("forkserver")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "app.db"


def frames(path):
    """How long the log has ever been."""
    return path.with_name(f"{path.name}-wal").stat().st_size // PAGE_BYTES


def in_the_file_alone(path, copy):
    """How many values the file has without its log: what was checkpointed."""
    shutil.copy(path, copy)
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        return connection.execute("SELECT count(*) FROM value").fetchone()[0]


async def written(store, count, *, first=1):
    """Commit so many values, each alone, of about a page."""
    claim = await store.claim("w")
    for number in range(first, first + count):
        await store.commit(claim, number, Writes(values=[value(name=f"v{number}", body=os.urandom(3_000))]))


async def test_the_log_stays_short_while_somebody_writes_all_the_time(path):
    async with open_sqlite_store(path, lengths=SHORT) as store:
        await written(store, COMMITS)
        assert frames(path) < COMMITS  # each commit is some three pages: without an end it would be three times as many
        assert len(await store.values("t", "a", "k")) == COMMITS


async def test_what_was_committed_comes_into_the_file_while_it_is_open(path, tmp_path):
    async with open_sqlite_store(path, lengths=SHORT) as store:
        await written(store, COMMITS)
        assert in_the_file_alone(path, tmp_path / "copy.db") > COMMITS // 2


async def test_few_commits_are_left_in_the_log(path, tmp_path):
    async with open_sqlite_store(path):
        pass
    async with open_sqlite_store(path) as store:
        await written(store, 20)
        assert in_the_file_alone(path, tmp_path / "copy.db") == 0


async def test_commits_go_on_while_a_checkpoint_cannot(path, tmp_path):
    """Somebody reads an old state all the time: the log may not begin anew, and nobody waits for that."""
    async with open_sqlite_store(path, lengths=SHORT) as store:
        await written(store, 1)
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            assert reader.execute("SELECT count(*) FROM value").fetchone() == (1,)
            await written(store, COMMITS, first=2)
            assert in_the_file_alone(path, tmp_path / "copy.db") <= 1
            assert reader.execute("SELECT count(*) FROM value").fetchone() == (1,)
            long = frames(path)
        await written(store, COMMITS, first=2 + COMMITS)
        assert frames(path) - long < SHORT.checkpoint + SHORT.end  # it began anew, and what it was is written over
        assert in_the_file_alone(path, tmp_path / "copy.db") > COMMITS


async def test_where_no_checkpoint_runs_beside_them_commits_bound_the_log_themselves(path):
    """The thread was refused by the system, say."""
    async with open_sqlite_store(path, lengths=LogLengths(checkpoint=2**30, end=2**30)) as store:
        bounds = await store.transact(lambda each: each.execute("PRAGMA wal_autocheckpoint").fetchone())
        assert bounds == (BACKSTOP_FRAMES,)
        await store.transact(lambda each: each.execute("PRAGMA wal_autocheckpoint = 100").fetchall())
        await written(store, COMMITS)
        assert frames(path) < COMMITS


async def test_several_stores_of_one_file_checkpoint_beside_each_other(path):
    async with (
        open_sqlite_store(path, shared=True, lengths=SHORT) as one,
        open_sqlite_store(path, shared=True, lengths=SHORT) as other,
    ):

        async def work(store, name):
            claim = await store.join(name)
            for number in range(1, COMMITS // 2):
                write = value(name=f"{name}{number}", body=os.urandom(3_000))
                await store.commit(claim, number, Writes(values=[write]))

        await asyncio.gather(work(one, "one"), work(other, "other"))
        assert frames(path) < COMMITS
        assert len(await one.values("t", "a", "k")) == 2 * (COMMITS // 2 - 1)


async def test_closing_ends_the_threads(path):
    async with open_sqlite_store(path, lengths=SHORT) as store:
        await written(store, COMMITS)
        assert any(each.name.startswith("penstock-checkpoint") for each in threading.enumerate())
    assert not any(each.name.startswith("penstock-checkpoint") for each in threading.enumerate())
    assert [each.name for each in path.parent.iterdir()] == [path.name]


async def test_a_store_that_is_only_read_has_no_thread_for_it(path):
    async with open_sqlite_store(path, lengths=SHORT) as store:
        await ids_in_log(store)
        assert not any(each.name.startswith("penstock-checkpoint") for each in threading.enumerate())


@pytest.mark.parametrize("acknowledged", [30, 47, 75, 120])
async def test_what_was_acknowledged_outlives_a_kill_amid_checkpoints(path, acknowledged):
    ours, theirs = _forks.Pipe(duplex=False)
    process = _forks.Process(target=_die_after, args=(path, acknowledged, theirs))
    process.start()
    theirs.close()
    told = []
    try:
        while True:
            told.append(ours.recv())
    except EOFError:
        process.join(30)
    assert process.exitcode == -signal.SIGKILL
    assert len(told) >= acknowledged
    async with open_sqlite_store(path) as store:
        kept = await store.values("t", "a", "k")
        assert [name for name in told if name not in kept] == []
        assert await store.transact(lambda each: each.execute("PRAGMA integrity_check").fetchone()) == ("ok",)


def _die_after(path, acknowledged, told):
    asyncio.run(_commit_and_die(path, acknowledged, told))


async def _commit_and_die(path, acknowledged, told):
    async with open_sqlite_store(path, lengths=LogLengths(checkpoint=5, end=15)) as store:
        claim = await store.claim("w")
        for number in range(1, 10_000):
            name = f"v{number}"
            await store.commit(claim, number, Writes(values=[value(name=name, body=os.urandom(3_000))]))
            told.send(name)
            if number == acknowledged:
                # Not between two commits: while the next one, and what is copied, are on their way.
                threading.Timer(0.002, os.kill, (os.getpid(), signal.SIGKILL)).start()
