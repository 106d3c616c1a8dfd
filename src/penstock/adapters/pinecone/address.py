"""The address of an index in Pinecone: `pinecone:INDEX`, or `pinecone:http://HOST:PORT/INDEX` for one that runs elsewhere."""

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from penstock.adapters.pinecone.calls import KEY
from penstock.errors import Finding, Invalid, Missing

SERVICE = "https://api.pinecone.io"
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,43}[a-z0-9])?")


class Address(NamedTuple):
    """Where the index is asked for, its name, and the key, which is shown to nobody."""

    control: str
    name: str
    key: str


def address_of(url: str, environment: Mapping[str, str]) -> Address:
    """Read an address; `Invalid` for what is none, `Missing` without the key."""
    rest = url.partition(":")[2].removeprefix("//")
    control, index = SERVICE, rest
    if "://" in rest:
        try:
            parts = urlsplit(rest)
            _ = parts.port
        except ValueError as error:
            raise invalid(str(error)) from error
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise invalid("is no http address")
        control, index = f"{parts.scheme}://{parts.netloc}", parts.path.strip("/")
    if not _NAME.fullmatch(index):
        raise invalid(f"names the index {index!r}", "1 to 45 of a-z, 0-9 and -: pinecone:INDEX")
    key = environment.get(KEY, "")
    if not key and control == SERVICE:
        raise Missing(f"the key for `vectors = {url}`", f"set {KEY}")
    return Address(control, index, key or "local")


def invalid(problem: str, hint: str = "write pinecone:INDEX, or pinecone:http://HOST:PORT/INDEX") -> Invalid:
    """Return the error that names the setting."""
    return Invalid("the settings", (Finding("vectors", problem, hint),))
