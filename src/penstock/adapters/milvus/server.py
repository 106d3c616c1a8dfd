"""A Milvus: its address, its client in threads, and the one place where foreign errors become ours.

`milvus://HOST:PORT` (`milvuss://` with TLS), or `milvus:PATH.db` for Milvus Lite in this process; with `?prefix=NAME` for apps
that share a server, `db=NAME`, `consistency=strong|bounded|session|eventually`, `index=AUTOINDEX|FLAT|HNSW`. The token is
MILVUS_TOKEN of the environment ("USER:PASSWORD" or an API key). Every wait has an end.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl, urlsplit

from penstock.core.knowledge.places import NAME
from penstock.core.knowledge.server_urls import server_url
from penstock.errors import Finding, Invalid, Missing, NotLetIn, PenstockError, Refused, Unavailable

PORT = 19530
TOKEN = "MILVUS_TOKEN"  # noqa: S105 - the name of a variable
CONNECT_S = 5.0
TIMEOUT_S = 30.0
CONSISTENCIES = {"strong": "Strong", "bounded": "Bounded", "session": "Session", "eventually": "Eventually"}
INDEXES = ("AUTOINDEX", "FLAT", "HNSW")
# https://milvus.io/docs/error_codes.md: not ready, exhausted, timed out, rate limited; of the client: no connection
_PASSING = {1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 106, 108, 503, 901, 902, 903, 904, 905}
_ABSENT = {100, 4}
_NOT_LET_IN = ("auth", "permission", "privilege", "token", "unauthenticated")
T = TypeVar("T")


class AbsentError(Exception):
    """The place that was asked for is not there (any more)."""


class Address(NamedTuple):
    """Where the data are, and how they are used. `index_type` "": what fits."""

    uri: str
    prefix: str
    database: str
    consistency: str
    index_type: str


def address_of(url: str) -> Address:
    """Read an address; `Invalid` with all that is wrong with it."""
    findings: list[Finding] = []
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    uri = _file(parts.path, findings) if not parts.netloc else _host(url, findings)
    prefix, database = options.pop("prefix", "penstock"), options.pop("db", "default")
    consistency, index = options.pop("consistency", "strong"), options.pop("index", "").upper()
    if not NAME.fullmatch(prefix):
        findings.append(Finding("vectors", f"has the prefix {prefix!r}", "1 to 40 letters and digits, a letter first"))
    if consistency not in CONSISTENCIES:
        findings.append(Finding("vectors", f"has consistency={consistency!r}", f"one of {', '.join(CONSISTENCIES)}"))
    if index and index not in INDEXES:
        findings.append(Finding("vectors", f"has index={index!r}", f"one of {', '.join(INDEXES)}"))
    known = "prefix, db, consistency and index there are"
    findings += [Finding("vectors", f"has the option {name!r}", known) for name in options]
    if findings:
        raise Invalid("the settings", tuple(findings))
    return Address(uri, prefix, database, CONSISTENCIES[consistency], index)


def _file(path: str, findings: list[Finding]) -> str:
    if not path.endswith(".db"):
        findings.append(Finding("vectors", "names no host, and no file that ends in .db", "write milvus://HOST:PORT"))
    return str(Path(path).expanduser().absolute())


def _host(url: str, findings: list[Finding]) -> str:
    read = server_url(url, port=PORT, hint="write milvus://HOST:PORT", key=TOKEN)
    findings += read.findings
    return f"{'https' if read.scheme == 'milvuss' else 'http'}://{read.authority}"


class Server:
    """A client whose calls are made in threads, and whose errors are ours."""

    def __init__(self, library: Any, client: Any, address: Address, *, is_lite: bool) -> None:
        self.is_lite = is_lite
        self.library = library
        self.client = client
        self._uri = address.uri
        self._foreign = _foreign(library)

    async def ask(self, operation: str, call: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """Make a call; `AbsentError` when its place is not there."""
        try:
            return await asyncio.to_thread(call, *arguments, timeout=TIMEOUT_S, **options)
        except self._foreign as error:
            if getattr(error, "code", None) in _ABSENT or "collection not found" in str(error):
                raise AbsentError from error
            raise translated(error, self._uri, operation) from error


def translated(error: Exception, uri: str, operation: str) -> PenstockError:
    """Return the error of ours that says what a caller can do."""
    code, reason = getattr(error, "code", None), " ".join(str(error).split()) or type(error).__name__
    where = f"milvus at {uri} (the setting `vectors`)"
    if any(each in reason.lower() for each in _NOT_LET_IN):
        return NotLetIn(where, operation, TOKEN, reason)
    if "open local milvus failed" in reason.lower():
        return Refused(f"{where} cannot be opened: {reason}", "one process at a time has the file; end the other one")
    if not isinstance(code, int) or code in _PASSING:
        return Unavailable(where, operation, reason)
    return Refused(f"{where} refused {operation}: {reason}")


@asynccontextmanager
async def open_server(address: Address, environment: Mapping[str, str]) -> AsyncGenerator[Server]:
    """Connect, and close on leaving. `Unavailable` when nobody answers, `NotLetIn` for a token that is not known."""
    try:
        library = await asyncio.to_thread(import_module, "pymilvus")
    except ImportError as error:
        raise Missing("pymilvus, which speaks to Milvus,", "pip install 'penstock[milvus]'") from error
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # it logs each error that it raises, with its traceback
    token = environment.get(TOKEN, "")
    is_file = "://" not in address.uri
    if is_file:
        await asyncio.to_thread(Path(address.uri).parent.mkdir, parents=True, exist_ok=True)
    try:
        async with asyncio.timeout(TIMEOUT_S if is_file else 2 * CONNECT_S):
            client = await asyncio.to_thread(
                library.MilvusClient, address.uri, token=token, db_name=address.database, timeout=CONNECT_S
            )
            version = str(await asyncio.to_thread(client.get_server_version, timeout=CONNECT_S))
    except _foreign(library) as error:
        raise translated(error, address.uri, "connecting") from error
    try:
        yield Server(library, client, address, is_lite="lite" in version)
    finally:
        await asyncio.to_thread(client.close)
        if is_file:
            manager = import_module("milvus_lite.server_manager").server_manager_instance
            await asyncio.to_thread(manager.release_server, address.uri)


def _foreign(library: Any) -> tuple[type[Exception], ...]:
    grpc = import_module("grpc")
    return (library.exceptions.MilvusException, grpc.RpcError, OSError, TimeoutError)
