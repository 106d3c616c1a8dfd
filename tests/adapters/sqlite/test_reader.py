import sqlite3

import pytest

from penstock.adapters.sqlite.reader import open_sqlite_reader
from penstock.adapters.sqlite.store import open_sqlite_store
from penstock.core.agents.unit import Writes
from penstock.errors import Invalid, Missing, Refused
from penstock.ports.state import RunFilter
from penstock.testing.commits import change, chunk, recorded


@pytest.fixture
def path(tmp_path):
    return tmp_path / "app.db"


@pytest.fixture
async def store(path):
    async with open_sqlite_store(path) as store:
        yield store


async def commit(store, number, claim):
    event = f"e{number}"
    writes = Writes(
        events=[recorded(event, offset=number)], runs=[change(f"{event}:a")], journal=[chunk(f"{event}:a", 0, "s#0")]
    )
    await store.commit(claim, number, writes)


async def test_what_is_committed_can_be_read_beside_the_app_that_goes_on(path, store):
    claim = await store.claim("app")
    await commit(store, 1, claim)
    with open_sqlite_reader(path) as reader:
        assert [run.run_id for run in await reader.runs(RunFilter())] == ["e1:a"]
        await commit(store, 2, claim)  # the claim still holds
        assert [run.run_id for run in await reader.runs(RunFilter())] == ["e2:a", "e1:a"]
        assert [record.step for record in (await reader.run("e2:a")).records] == ["s#0"]
        assert (await reader.event("e1")).position.offset == 1
        assert await reader.dead_letters() == []
        assert await reader.origin("nothing") == []
        assert await reader.run("nothing") is None


async def test_a_reader_leaves_nothing_behind(path):
    async with open_sqlite_store(path):
        pass
    with open_sqlite_reader(path) as reader:
        await reader.runs(RunFilter())
    assert [each.name for each in path.parent.iterdir()] == [path.name]


async def test_a_reader_cannot_write(path, store):
    with open_sqlite_reader(path) as reader, pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader._connection.execute("DELETE FROM run")


def test_a_store_that_is_not_there_is_missing_and_not_made(path):
    with pytest.raises(Missing, match="run the app once"), open_sqlite_reader(path):
        pass
    assert not path.exists()


def test_a_file_of_something_else_is_not_valid(path):
    path.write_bytes(b"something else entirely" * 100)
    with pytest.raises(Invalid), open_sqlite_reader(path):
        pass


def test_a_file_of_another_format_is_not_valid(path):
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 77")
    connection.close()
    with pytest.raises(Invalid, match="77"), open_sqlite_reader(path):
        pass


async def test_a_closed_reader_refuses(path, store):
    with open_sqlite_reader(path) as reader:
        pass
    with pytest.raises(Refused):
        await reader.runs(RunFilter())
