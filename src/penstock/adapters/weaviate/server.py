"""A Weaviate server: its address, its client, and the one place where foreign errors become ours.

`weaviate://HOST:PORT` (or `weaviates://` with TLS), with `?grpc_port=N` and `grpc_host=NAME` where gRPC is elsewhere,
`prefix=NAME` for apps that share a server, and `replicas=N`. The API key is WEAVIATE_API_KEY of the environment. Every wait has
an end.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any, NamedTuple, TypeVar

from penstock.core.knowledge.server_urls import server_url
from penstock.errors import Missing, NotLetIn, PenstockError, Refused, Unavailable

SCHEMES = {"weaviate": False, "weaviates": True}
PORT, GRPC_PORT = 8080, 50051
CONNECT_S, QUERY_S, INSERT_S = 10, 30, 60
KEY = "WEAVIATE_API_KEY"
_HINT = "write weaviate://HOST:PORT?grpc_port=PORT"
_ABSENT = (
    "could not find class",
    "tenant not found",
    "class not found",
    "has multi-tenancy disabled",
    "multi-tenancy is not enabled",
)
_UNKNOWN_KEY = ("401", "403", "unauthenticated", "permission_denied", "forbidden", "anonymous access not enabled")
_REFUSED = (
    "invalid",
    "vector lengths",
    "dimensions do not match",
    "no such prop",
    "maximum results exceeded",
    "400",
    "422",
)
T = TypeVar("T")


class AbsentError(Exception):
    """The place, or the tenant in it, is not there (any more)."""


class Address(NamedTuple):
    """Where the server is, and how it is used."""

    host: str
    port: int
    secure: bool
    grpc_host: str
    grpc_port: int
    prefix: str
    replicas: int

    @property
    def shown(self) -> str:
        return f"{self.host}:{self.port}"


def address_of(url: str) -> Address:
    """Read an address; `Invalid` with all that is wrong with it."""
    read = server_url(url, port=PORT, hint=_HINT, key=KEY)
    grpc_port, grpc_host = read.options.pop("grpc_port", str(GRPC_PORT)), read.options.pop("grpc_host", read.host)
    if not (grpc_port.isdecimal() and 1 <= int(grpc_port) <= 65_535):  # noqa: PLR2004 - the largest port
        read.wrong(f"has grpc_port={grpc_port!r}", _HINT)
        grpc_port = str(GRPC_PORT)
    prefix, replicas = read.prefix(), read.replicas()
    read.require_right("grpc_port, grpc_host, prefix and replicas there are")
    return Address(read.host, read.port, SCHEMES[read.scheme], grpc_host, int(grpc_port), prefix, replicas)


class Server:
    """A client whose errors are ours. `config`, `data` and `query` are the forms of its requests."""

    def __init__(self, client: Any, address: Address) -> None:
        self.client = client
        self.config = import_module("weaviate.classes.config")
        self.data = import_module("weaviate.classes.data")
        self.query = import_module("weaviate.classes.query")
        self._address = address
        self._foreign: tuple[type[Exception], ...] = (
            import_module("weaviate.exceptions").WeaviateBaseError,
            import_module("httpx").HTTPError,
            import_module("grpc").RpcError,
            OSError,
            TimeoutError,
        )

    async def ask(self, operation: str, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call; `AbsentError` when its place is not there."""
        try:
            return await call()
        except self._foreign as error:
            if any(each in str(error) for each in _ABSENT):
                raise AbsentError(str(error)) from error
            raise self.translated(error, operation) from error

    def translated(self, error: object, operation: str) -> PenstockError:
        """Return the error of ours that says what a caller can do about one of Weaviate."""
        reason = " ".join(str(error).split())[:500] or type(error).__name__
        where = f"weaviate at {self._address.shown} (the setting `vectors`)"
        told = reason.lower()
        if any(each in told for each in _UNKNOWN_KEY):
            # An outage, once the app runs: what is written waits for a key that is let in.
            return NotLetIn(where, operation, KEY, reason)
        if any(each in told for each in _REFUSED):
            return Refused(f"{where} refused {operation}: {reason}")
        return Unavailable(where, operation, reason)


@asynccontextmanager
async def open_server(address: Address, environment: Mapping[str, str]) -> AsyncGenerator[Server]:
    """Connect, and close on leaving. `Unavailable` when nobody answers, `NotLetIn` for a key that is not known."""
    try:
        library = import_module("weaviate")
    except ImportError as error:
        raise Missing("weaviate-client, which speaks to Weaviate,", "pip install 'penstock[weaviate]'") from error
    init = import_module("weaviate.classes.init")
    key = environment.get(KEY)
    client = library.use_async_with_custom(
        http_host=address.host,
        http_port=address.port,
        http_secure=address.secure,
        grpc_host=address.grpc_host,
        grpc_port=address.grpc_port,
        grpc_secure=address.secure,
        auth_credentials=init.Auth.api_key(key) if key else None,
        additional_config=init.AdditionalConfig(
            timeout=init.Timeout(init=CONNECT_S, query=QUERY_S, insert=INSERT_S), trust_env=False
        ),
    )
    server = Server(client, address)
    try:
        await server.ask("connecting", client.connect)
        await server.ask("connecting", lambda: client.collections.exists("Penstock"))
        yield server
    finally:
        await client.close()
