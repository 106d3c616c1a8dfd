"""Where a conformance test works: at given addresses, in a schema, a file and topics of its own, which it removes."""

import secrets
import shutil
import tempfile
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from penstock.brokers import remove_topics
from penstock.errors import Finding, Invalid, PenstockError, Unavailable
from penstock.settings import POSTGRES, Settings, path_of, shown_url
from penstock.stores import remove_store

PARTITIONS = 4
SQLITE = "sqlite"
REDIS = ("redis", "rediss")


@dataclass(frozen=True, slots=True)
class Places:
    """The settings of the depot and of the library, and a folder for what lies outside."""

    depot: Settings
    library: Settings
    folder: Path
    collection: str


@asynccontextmanager
async def places(given: Settings, *, keep: bool = False) -> AsyncGenerator[Places]:
    """Yield places of a name of our own at the given addresses; what was made there is removed, unless it is to be kept."""
    name = f"conformance_{secrets.token_hex(4)}"
    folder = Path(tempfile.mkdtemp(prefix="penstock-conformance-"))
    log = _own_log(given.log, name)
    depot = _own_store(given.store, name, folder)
    # A store in Redis keeps no passages: they lie in a file beside it.
    of_library = "" if depot.startswith("redis") else given.store
    library = _own_store(of_library, f"{name}_library", folder)
    vectors = _own_schema(given.vectors, f"{name}_vectors")
    own = {depot, library, vectors if vectors != given.vectors else ""} - {""}
    try:
        yield Places(
            Settings(store=depot, log=log, embedder=given.embedder, host=given.host),
            Settings(
                store=library, vectors=vectors, embedder=given.embedder
            ),  # has no agents that a host could execute
            folder,
            name,
        )
    except Unavailable:  # who does not answer cannot remove anything either
        raise
    except BaseException:
        with suppress(PenstockError):  # what went wrong is said, and not what went wrong after it
            if not keep:
                await _remove(log, own)
        raise
    else:
        if not keep:
            await _remove(log, own)
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


async def _remove(log: str, stores: Collection[str]) -> None:
    if log:
        await remove_topics(log)
    for each in stores:
        await remove_store(each)


def _own_log(url: str, name: str) -> str:
    if not url:
        return ""
    joined = "&" if "?" in url else "?"
    more = "" if "partitions=" in url else f"&partitions={PARTITIONS}"
    group = f"&group={name}" if url.startswith("kafka") else ""
    return f"{url}{joined}prefix={name}-{more}{group}"


def _own_store(url: str, name: str, folder: Path) -> str:
    scheme, _, rest = url.partition(":")
    if not url:
        return f"{SQLITE}:{folder}/{name}.db"
    if scheme == SQLITE:
        return f"{SQLITE}:{path_of(rest).parent / name}.db"
    if scheme in POSTGRES:
        return _own_schema(url, name)
    if scheme in REDIS:
        return f"{url}{'&' if '?' in url else '?'}prefix={name}"
    hint = "name one that outlives its processes: sqlite:PATH, postgresql://..., redis://..."
    raise Invalid("the settings", (Finding("store", f"{shown_url(url)!r} cannot be tried", hint),))


def _own_schema(url: str, name: str) -> str:
    if url.partition(":")[0] not in POSTGRES:
        return url
    return f"{url}{'&' if '?' in url else '?'}schema={name}"
