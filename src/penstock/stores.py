"""Stores that are looked at as a whole, held, copied or tidied from outside. Beside `wiring`, the only one to name adapters."""

from collections.abc import AsyncGenerator, Generator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from shutil import rmtree

from penstock.core.agents.usage import Usage
from penstock.errors import Finding, Invalid, Missing
from penstock.ports.clock import Clock
from penstock.ports.exports import LineReader, LineWriter
from penstock.ports.store import Store
from penstock.runtime.exporting import ExportSource
from penstock.settings import POSTGRES, REDIS, path_of, shown_url

FORMATS = ("jsonl", "parquet")


def system_clock() -> Clock:
    """Return the clock of this machine."""
    from penstock.adapters.clock.system import SystemClock

    return SystemClock()


@asynccontextmanager
async def opened_source(url: str) -> AsyncGenerator[ExportSource]:
    """See a store as it is at this moment, beside the app that may be running on it; `Missing` when there is none."""
    scheme, _, rest = url.partition(":")
    if scheme in POSTGRES:
        from penstock.adapters.postgres.reader import open_postgres_moment

        async with open_postgres_moment(url) as moment:
            yield moment
        return
    if scheme in REDIS:
        from penstock.adapters.redis_store.reader import open_redis_moment

        async with open_redis_moment(url) as copied:
            yield copied
        return
    from penstock.adapters.sqlite.reader import open_sqlite_reader

    with open_sqlite_reader(_file(scheme, rest, url)) as reader, reader.moment():
        yield reader


@asynccontextmanager
async def opened_alone(url: str) -> AsyncGenerator[Store]:
    """Open a store as its only user, with no layer around it; it is made where it is missing.

    `Refused` when another process of this machine has it. Whoever works on a Postgres is fenced once the store is claimed.
    """
    scheme, _, rest = url.partition(":")
    if scheme in POSTGRES:
        from penstock.adapters.postgres.store import open_postgres_store

        async with open_postgres_store(url) as postgres:
            yield postgres
        return
    if scheme in REDIS:
        from penstock.adapters.redis_store.store import open_redis_store

        async with open_redis_store(url) as redis:
            yield redis
        return
    from penstock.adapters.sqlite.store import open_sqlite_store

    async with open_sqlite_store(_file(scheme, rest, url)) as sqlite:
        yield sqlite


async def remove_store(url: str) -> None:
    """Remove a store with all that is in it: a file, a schema, or the keys of a prefix."""
    scheme, _, rest = url.partition(":")
    if scheme in POSTGRES:
        from penstock.adapters.postgres.removing import remove_schema

        await remove_schema(url)
    elif scheme == "sqlite":
        path = path_of(rest)
        for each in path.parent.glob(f"{path.name}*"):
            rmtree(each) if each.is_dir() else each.unlink()
    else:
        from penstock.adapters.redis.removing import remove_store as remove

        await remove(url)


async def usage_of(url: str) -> Usage:
    """Return what takes space in a store, beside the app that may be running on it."""
    scheme, _, rest = url.partition(":")
    if scheme in POSTGRES:
        from penstock.adapters.postgres.reader import open_postgres_reader

        return await open_postgres_reader(url).usage()
    if scheme in REDIS:
        from penstock.adapters.redis_store.reader import open_redis_reader

        return await open_redis_reader(url).usage()
    from penstock.adapters.sqlite.reader import open_sqlite_reader

    with open_sqlite_reader(_file(scheme, rest, url)) as reader:
        return await reader.usage()


@contextmanager
def held(url: str) -> Generator[None]:
    """Keep other processes from a store, while its workers share it; `Refused` when another one has it.

    A server's store is open to all its workers, on this machine and on others. `Invalid` for one that cannot be shared.
    """
    scheme, _, rest = url.partition(":")
    if scheme == "sqlite" and rest:
        from penstock.adapters.sqlite.lock import locked

        with locked(path_of(rest)):
            yield
    elif scheme in (*POSTGRES, *REDIS):
        yield
    else:
        hint = "use sqlite:PATH, postgresql://... or redis://..."
        raise Invalid("the settings", (Finding("store", f"{shown_url(url)!r} cannot be shared by workers", hint),))


@asynccontextmanager
async def opened_beside(url: str) -> AsyncGenerator[Store]:
    """Open a store that is there, beside the app that may be running on it, with no layer around it; it is not claimed."""
    scheme, _, rest = url.partition(":")
    if scheme in REDIS:
        from penstock.adapters.redis_store.store import open_redis_store

        async with open_redis_store(url, making=False) as redis:
            yield redis
        return
    async with opened_source(url):  # says what is wrong with the address, or the file
        pass
    if scheme in POSTGRES:
        from penstock.adapters.postgres.store import open_postgres_store

        async with open_postgres_store(url) as postgres:
            yield postgres
        return
    from penstock.adapters.sqlite.store import open_sqlite_store

    async with open_sqlite_store(_file(scheme, rest, url), shared=True) as sqlite:
        yield sqlite


def opened_writer(place: Path, form: str) -> AbstractContextManager[LineWriter]:
    """Open what writes an export; `Invalid` for a form that there is none of."""
    if form not in FORMATS:
        raise Invalid("the options", (Finding("--format", f"is {form!r}", f"one of {', '.join(FORMATS)}"),))
    return _parquet_writer(place) if form == "parquet" else _jsonl_writer(place)


@contextmanager
def _jsonl_writer(place: Path) -> Generator[LineWriter]:
    from penstock.adapters.exports.jsonl import open_jsonl_writer

    with open_jsonl_writer(place) as writer:
        yield writer


@contextmanager
def _parquet_writer(place: Path) -> Generator[LineWriter]:
    from penstock.adapters.exports.parquet import open_parquet_writer

    with open_parquet_writer(place) as writer:
        yield writer


def opened_reader(place: Path) -> LineReader:
    """Return what reads an export: a folder is one of Parquet files. `Missing` when there is none."""
    if place.is_dir():
        from penstock.adapters.exports.parquet import ParquetReader

        return ParquetReader(place)
    if not place.exists():
        raise Missing(f"the file {place}", "give what `penstock export --to` wrote")
    from penstock.adapters.exports.jsonl import JsonlReader

    return JsonlReader(place)


def _file(scheme: str, rest: str, url: str) -> Path:
    if scheme != "sqlite" or not rest:
        hint = "give sqlite:PATH, postgresql://... or redis://..."
        raise Invalid("the settings", (Finding("store", f"{shown_url(url)!r} cannot be opened from outside", hint),))
    return path_of(rest)
