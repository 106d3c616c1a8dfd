"""Two processes that write to one file all the time: each gets its turn soon after the other one's commit."""

import sqlite3
import threading
from contextlib import closing

import pytest

from penstock.adapters.sqlite.beginning import begin


@pytest.fixture
def pair(tmp_path):
    path = tmp_path / "shared.db"
    with (
        closing(sqlite3.connect(path, isolation_level=None, timeout=0, check_same_thread=False)) as one,
        closing(sqlite3.connect(path, isolation_level=None, timeout=0, check_same_thread=False)) as other,
    ):
        one.execute("PRAGMA journal_mode = WAL")
        one.execute("CREATE TABLE t (number INTEGER)")
        yield one, other


def test_who_waits_begins_when_the_other_one_has_committed(pair):
    one, other = pair
    begin(one)
    one.execute("INSERT INTO t VALUES (1)")
    waiting = threading.Thread(target=begin, args=(other,))
    waiting.start()
    one.execute("COMMIT")
    waiting.join(10)
    assert not waiting.is_alive()
    assert other.execute("SELECT count(*) FROM t").fetchone() == (1,)
    other.execute("COMMIT")


def test_who_waits_for_too_long_is_told_that_the_file_is_busy(pair):
    one, other = pair
    begin(one)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        begin(other, within_s=0.01)
    one.execute("COMMIT")
    begin(other)
    other.execute("COMMIT")


def test_another_error_is_not_waited_for(pair):
    one, _ = pair
    begin(one)
    with pytest.raises(sqlite3.OperationalError, match="within a transaction"):
        begin(one, within_s=60)
    one.execute("COMMIT")
