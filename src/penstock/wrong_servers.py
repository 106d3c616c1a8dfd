"""What is said of a server that the settings name and that does not answer: the setting, the address, who else listens there."""

from collections.abc import AsyncGenerator, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from urllib.parse import SplitResult, urlsplit

from penstock.errors import Finding, Invalid, NotLetIn, Unavailable
from penstock.runtime.listening_ports import what_listens
from penstock.settings import POSTGRES, REDIS

SERVERS = {
    "kafka": ("Kafka", 9092),
    **dict.fromkeys(("nats", "tls"), ("NATS", 4222)),
    **dict.fromkeys(REDIS, ("Redis", 6379)),
    **dict.fromkeys(POSTGRES, ("Postgres", 5432)),
}
OVER_TLS = {
    "kafka": "set security.protocol=SSL, with a password SASL_SSL, and ssl.ca.location=FILE",
    "nats": "write tls://HOST:PORT, and ssl.ca.location=FILE",
    "redis": "write rediss://HOST:PORT, and ssl.ca.location=FILE",
}


def said_of_broker(url: str) -> AbstractAsyncContextManager[None]:
    """Open the broker of an address within the block: `Unavailable` names the setting then, and `Invalid` what else is there."""
    return _said("log", url)


def said_of_store(url: str) -> AbstractAsyncContextManager[None]:
    """Open the store of an address within the block, likewise."""
    return _said("store", url)


@asynccontextmanager
async def _said(setting: str, url: str) -> AsyncGenerator[None]:
    try:
        with named(setting, url):
            yield
    except Unavailable as error:
        if setting in error.backend:
            await _require_other(setting, url)
        raise


@contextmanager
def named(setting: str, url: str) -> Generator[None]:
    """Say in `Unavailable` which setting names the server, and where that is."""
    try:
        yield
    except Unavailable as error:
        parts = urlsplit(url)
        if error.backend != _backend(setting, parts) or isinstance(
            error, NotLetIn
        ):  # another's, or it says what to set
            raise
        where = f"{SERVERS[parts.scheme][0]} at {_hosts(parts) or 'its usual place'} (the setting `{setting}`)"
        raise Unavailable(where, error.operation, error.reason) from error


def _backend(setting: str, parts: SplitResult) -> str:
    """Return how an adapter calls its server in errors: stores in small letters."""
    name, _ = SERVERS.get(parts.scheme, ("", 0))
    return name.lower() if setting == "store" else name


def _hosts(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]


async def _require_other(setting: str, url: str) -> None:
    """Raise `Invalid` where something else answers than what an address says, or over TLS, or not over it."""
    parts = urlsplit(url)
    is_secured = parts.scheme in {"tls", "rediss"} or "ssl." in parts.query or "=ssl" in parts.query.lower()
    name, port = SERVERS[parts.scheme]
    for each in filter(None, _hosts(parts).split(",")):
        host, _, given = each.rpartition(":") if ":" in each.rpartition("]")[2] else (each, "", str(port))
        found = await what_listens(host.strip("[]"), int(given))
        if found == "TLS" and not is_secured and parts.scheme in OVER_TLS:
            problem, hint = "speaks TLS", OVER_TLS[parts.scheme]
        elif found == name and is_secured:
            problem, hint = "speaks no TLS", f"leave TLS out of the setting, or set up {name} with it"
        elif found not in {"", "TLS", name}:
            problem, hint = f"is {found}, and no {name}", f"name the port of {name}"
        else:
            continue
        raise Invalid("the settings", (Finding(setting, f"what listens at {each} {problem}", hint),))
