"""A Qdrant server: its address, its client, and the one place where foreign errors become ours.

`qdrant://HOST:PORT` (http) or `qdrants://HOST:PORT` (https), with `?prefix=NAME` for apps that share a server, `replicas=N` and
`search=exact`. The API key is QDRANT_API_KEY of the environment. Every wait has an end.
"""

import warnings
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl, urlsplit

from penstock.core.knowledge.places import NAME
from penstock.errors import Finding, Invalid, Missing, PenstockError, Refused, Unavailable

SCHEMES = {"qdrant": "http", "qdrants": "https"}
PORT = 6333
CONNECT_S = 5
TIMEOUT_S = 30
REPLICAS_MAX = 16
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
    findings: list[Finding] = []
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    try:
        port = parts.port or PORT
    except ValueError as error:
        port = PORT
        findings.append(Finding("vectors", f"has no port that is a number: {error}", "write qdrant://HOST:PORT"))
    if not parts.hostname:
        findings.append(Finding("vectors", "names no host", "write qdrant://HOST:PORT"))
    if parts.password or parts.username:
        findings.append(Finding("vectors", "holds a user or a key", "set QDRANT_API_KEY in the environment instead"))
    prefix, search, replicas = (
        options.pop("prefix", "penstock"),
        options.pop("search", "index"),
        options.pop("replicas", "1"),
    )
    if not NAME.fullmatch(prefix):
        findings.append(Finding("vectors", f"has the prefix {prefix!r}", "1 to 40 letters and digits, a letter first"))
    if search not in ("index", "exact"):
        findings.append(Finding("vectors", f"has search={search!r}", "write search=index or search=exact"))
    if not (replicas.isdecimal() and 1 <= int(replicas) <= REPLICAS_MAX):
        findings.append(Finding("vectors", f"has replicas={replicas!r}", f"a number from 1 to {REPLICAS_MAX}"))
        replicas = "1"
    findings += [
        Finding("vectors", f"has the option {name!r}", "prefix, replicas and search there are") for name in options
    ]
    if findings:
        raise Invalid("the settings", tuple(findings))
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
    return Address(f"{SCHEMES[parts.scheme]}://{host}:{port}{parts.path}", prefix, int(replicas), search == "exact")


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
            return Refused(
                f"{where} does not let us in: {reason}", "set QDRANT_API_KEY to a key that may read and write"
            )
        if isinstance(status, int) and status not in _PASSING:
            return Refused(f"{where} refused {operation}: {reason}")
        return Unavailable(where, operation, reason)


@asynccontextmanager
async def open_server(address: Address, environment: Mapping[str, str]) -> AsyncGenerator[Server]:
    """Connect, and close on leaving. `Unavailable` when nobody answers, `Refused` for a key that is not known."""
    try:
        library = import_module("qdrant_client")
    except ImportError as error:
        raise Missing("qdrant-client, which speaks to Qdrant,", "pip install 'penstock[qdrant]'") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a key over http: that is how servers on one's own machine are used
        client = library.AsyncQdrantClient(
            url=address.url,
            api_key=environment.get("QDRANT_API_KEY") or None,
            timeout=TIMEOUT_S,
            check_compatibility=False,
        )
    server = Server(library, client, address.url)
    try:
        await server.ask("connecting", client.get_collections)
        yield server
    except AbsentError as error:
        raise Refused(f"{address.url} (the setting `vectors`) is no Qdrant", "mend the address") from error
    finally:
        await client.close()
