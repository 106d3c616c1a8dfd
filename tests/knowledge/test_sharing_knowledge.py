"""Several workers index, search, build and switch in one store: in a file here, on Postgres where that is tried."""

import pytest
import sharing
from sharing import all_own, worker

from penstock.adapters.sqlite.store import open_sqlite_store

PARTITIONS = 6


@pytest.fixture(params=["sqlite", "postgres"])
async def store(request, tmp_path):
    if request.param == "postgres":
        from penstock.adapters.postgres.store import open_postgres_store

        url = request.getfixturevalue("url")
        async with open_postgres_store(url) as store:
            await store.divide(await store.claim("divide"), PARTITIONS)
        return url
    path = tmp_path / "library.db"
    async with open_sqlite_store(path) as store:
        await store.divide(await store.claim("divide"), PARTITIONS)
    return f"sqlite:{path}"


@pytest.mark.parametrize(
    "doing", [sharing.write_searched_by_all, sharing.switch_under_writes, sharing.go_back_to_what_another_saw]
)
async def test_together(store, doing):
    async with worker(store) as one, worker(store) as two:
        await all_own([one, two])
        await doing(one, two)
