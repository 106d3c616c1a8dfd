"""A Qdrant server: its address, its client, and the one place where foreign errors become ours.

`qdrant://HOST:PORT` (http) or `qdrants://HOST:PORT` (https), with `?prefix=NAME` for apps that share a server, `replicas=N` and
`search=exact`. The API key is QDRANT_API_KEY of the environment. Every wait has an end.
"""

import asyncio
import warnings
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any, NamedTuple, TypeVar

from penstock.core.knowledge.server_urls import server_url
from penstock.errors import Missing, NotLetIn, PenstockError, Refused, Unavailable

SCHEMES = {"qdrant": "http", "qdrants": "https"}
PORT = 6333
START_S = 8
TIMEOUT_S = 30
KEY = "QDRANT_API_KEY"
_PASSING = {408, 409, 425, 429, 500, 502, 503, 504}
T = TypeVar("T")


class AbsentError(Exception):
    """The place that was asked for is not there (any more)."""


class Address(NamedTuple):
    """Where the server is, and how it is used."""

    url: str
    prefix: str
    replicas: int
    exact: bool


def address_of(url: str) -> Address:
    """Read an address; `Invalid` with all that is wrong with it."""
    read = server_url(url, port=PORT, hint="write qdrant://HOST:PORT", key=KEY)
    prefix, replicas, search = read.prefix(), read.replicas(), read.options.pop("search", "index")
    if search not in ("index", "exact"):
        read.wrong(f"has search={search!r}", "write search=index or search=exact")
    read.require_right("prefix, replicas and search there are")
    return Address(f"{SCHEMES[read.scheme]}://{read.authority}{read.path}", prefix, replicas, search == "exact")


class Server:
    """A client whose errors are ours. `models` are the forms of its requests."""

    def __init__(self, library: Any, client: Any, url: str) -> None:
        self.client = client
        self.models: Any = library.models
        self._url = url
        exceptions = import_module("qdrant_client.http.exceptions")
        limits = import_module("qdrant_client.common.client_exceptions")
        self._answered: type[Exception] = exceptions.UnexpectedResponse
        self._foreign: tuple[type[Exception], ...] = (
            exceptions.ApiException,
            limits.QdrantException,
            OSError,
            TimeoutError,
        )

    async def ask(self, operation: str, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call; `AbsentError` when its place is not there."""
        try:
            return await call()
        except self._answered as error:
            if getattr(error, "status_code", None) == 404:  # noqa: PLR2004
                raise AbsentError from error
            raise self._translated(error, operation) from error
        except self._foreign as error:
            raise self._translated(error, operation) from error

    def _translated(self, error: Exception, operation: str) -> PenstockError:
        status, reason = getattr(error, "status_code", None), " ".join(str(error).split()) or type(error).__name__
        where = f"qdrant at {self._url} (the setting `vectors`)"
        if status in (401, 403):
            return NotLetIn(where, operation, KEY, reason)
        if isinstance(status, int) and status not in _PASSING:
            return Refused(f"{where} refused {operation}: {reason}")
        return Unavailable(where, operation, reason)


@asynccontextmanager
async def open_server(address: Address, environment: Mapping[str, str]) -> AsyncGenerator[Server]:
    """Connect, and close on leaving. `Unavailable` when nobody answers, `NotLetIn` for a key that is not known."""
    try:
        library = import_module("qdrant_client")
    except ImportError as error:
        raise Missing("qdrant-client, which speaks to Qdrant,", "pip install 'penstock[qdrant]'") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a key over http: that is how servers on one's own machine are used
        client = library.AsyncQdrantClient(
            url=address.url,
            api_key=environment.get(KEY) or None,
            timeout=TIMEOUT_S,
            check_compatibility=False,
        )
    server = Server(library, client, address.url)
    try:
        await _meet(server, client, address)
        yield server
    finally:
        await client.close()


async def _meet(server: Server, client: Any, address: Address) -> None:
    """Ask it something, which must not take long: later a large answer is waited for, here it may be somebody else."""
    where = f"qdrant at {address.url} (the setting `vectors`)"
    try:
        async with asyncio.timeout(START_S):
            await server.ask("connecting", client.get_collections)
    except (AbsentError, ValueError) as error:  # nothing is there, or no JSON comes, or not that of Qdrant
        raise Refused(
            f"what listens at {address.url} (the setting `vectors`) is no Qdrant", "mend the address"
        ) from error
    except TimeoutError as error:
        raise Unavailable(where, "connecting", f"it said nothing within {START_S} s") from error
