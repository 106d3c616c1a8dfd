"""Opening a store that outlives its processes by its address, for processes that are to be killed."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from penstock.ports.store import Store

SQLITE = "sqlite:"
REDIS = "redis:"


@asynccontextmanager
async def durable_store(address: str, *, shared: bool = False) -> AsyncGenerator[Store]:
    """Open the store at `sqlite:PATH`, `postgresql://...` or `redis://...`, with no layer around it; `shared`: beside others."""
    if address.startswith(SQLITE):
        from penstock.adapters.sqlite.store import open_sqlite_store

        async with open_sqlite_store(Path(address.removeprefix(SQLITE)), shared=shared) as sqlite:
            yield sqlite
    elif address.startswith(REDIS):
        from penstock.adapters.redis_store.store import open_redis_store

        async with open_redis_store(address) as redis:
            yield redis
    else:
        from penstock.adapters.postgres.store import open_postgres_store

        async with open_postgres_store(address) as postgres:
            yield postgres
