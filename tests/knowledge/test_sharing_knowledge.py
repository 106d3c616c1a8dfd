"""Several workers index, search, build and switch in one store: in a file, on Postgres, and with a real broker before a file."""

import secrets

import pytest
import sharing
from redis_server import required_redis
from sharing import all_own, worker

from penstock.adapters.sqlite.store import open_sqlite_store

PARTITIONS = 6


@pytest.fixture(scope="session")
def redis():
    with required_redis() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres", "sqlite over redis"])
async def place(request, tmp_path):
    """The settings of a worker."""
    if request.param == "postgres":
        from penstock.adapters.postgres.store import open_postgres_store

        url = request.getfixturevalue("url")
        async with open_postgres_store(url) as store:
            await store.divide(await store.claim("divide"), PARTITIONS)
        return {"url": url}
    path = tmp_path / "library.db"
    if request.param == "sqlite over redis":  # whoever comes first divides it as the topics are
        address = request.getfixturevalue("redis").address
        log = f"{address}?prefix={secrets.token_hex(6)}-&partitions={PARTITIONS}"
        return {"url": f"sqlite:{path}", "log": log}
    async with open_sqlite_store(path) as store:
        await store.divide(await store.claim("divide"), PARTITIONS)
    return {"url": f"sqlite:{path}"}


@pytest.mark.parametrize(
    "doing", [sharing.write_searched_by_all, sharing.switch_under_writes, sharing.go_back_to_what_another_saw]
)
async def test_together(place, doing):
    async with worker(**place) as one, worker(**place) as two:
        await all_own([one, two])
        await doing(one, two)
