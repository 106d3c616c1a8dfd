"""Each store takes what is about a subject out of its own rows; its contract is run with that of the store."""

from penstock.adapters.memory import erasing as memory
from penstock.adapters.memory.store import MemoryStore
from penstock.adapters.postgres import erasing as postgres
from penstock.adapters.postgres.store import PostgresStore
from penstock.adapters.sqlite import erasing as sqlite
from penstock.adapters.sqlite.store import SqliteStore


def test_stores_erase():
    assert issubclass(MemoryStore, memory.Erases)
    assert issubclass(PostgresStore, postgres.Erases)
    assert issubclass(SqliteStore, sqlite.Erases)
