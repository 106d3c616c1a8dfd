"""A file of an older format is brought up to date, with everything that it has."""

import re
import sqlite3

import pytest

from penstock.adapters.sqlite.reader import open_sqlite_reader
from penstock.adapters.sqlite.schema import ADDED_IN_2, COLUMNS_IN_2, FORMAT
from penstock.adapters.sqlite.store import open_sqlite_store
from penstock.errors import Invalid
from penstock.testing.commits import expect_one_of_each, one_of_each


@pytest.fixture
async def path(tmp_path):
    """A file of format 1 with one of each."""
    path = tmp_path / "app.db"
    async with open_sqlite_store(path) as store:
        await store.commit(await store.claim("a"), 1, one_of_each())
    connection = sqlite3.connect(path)
    for statement in ADDED_IN_2:
        if made := re.match(r"CREATE (TABLE|INDEX) IF NOT EXISTS (\w+)", statement.strip()):
            connection.execute(f"DROP {made[1]} IF EXISTS {made[2]}")
    for table, column, _ in COLUMNS_IN_2:
        connection.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
    connection.execute("PRAGMA user_version = 1")
    connection.commit()
    connection.close()
    return path


async def test_a_store_of_format_1_keeps_what_it_has(path):
    async with open_sqlite_store(path) as store:
        await expect_one_of_each(store)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (FORMAT,)
    connection.close()


async def test_half_of_the_new_format_is_no_obstacle(path):
    connection = sqlite3.connect(path)
    for statement in ADDED_IN_2[: len(ADDED_IN_2) // 2]:
        connection.execute(statement)
    connection.close()
    async with open_sqlite_store(path) as store:
        await expect_one_of_each(store)


async def test_a_reader_says_how_an_older_store_is_brought_up_to_date(path):
    with pytest.raises(Invalid, match="run the app once"), open_sqlite_reader(path):
        pass
