"""How collections, generations and lengths of vectors become names in a store outside, and are read from them again.

`PREFIX__COLLECTION__gGENERATION__dDIMS`: letters, digits and underscores, which every store takes. What is neither letter nor
digit is written as `_` and its hexadecimal digits, so that two underscores are found nowhere else. Passages without a vector lie
in a place of no dimensions.
"""

import re
from collections.abc import Iterable
from hashlib import blake2b
from string import ascii_letters, digits

from msgspec import Struct

NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{0,39}")  # what a prefix may be
_PLAIN = frozenset((ascii_letters + digits).encode())
_LENGTH_MAX = 150  # of a collection in a name: Milvus and Qdrant take 255 characters in all


class Place(Struct, frozen=True):
    """Where the vectors of one length of a collection's generation are, of all tenants."""

    name: str
    generation: int
    dims: int


def place(prefix: str, collection: str, generation: int, dims: int) -> Place:
    return Place(f"{_beginning(prefix, collection)}{generation}__d{dims}", generation, dims)


def places_of(prefix: str, collection: str, names: Iterable[str]) -> list[Place]:
    """The places of a collection among all names of a store, in order."""
    beginning = _beginning(prefix, collection)
    rest = re.compile(rf"{re.escape(beginning)}(\d+)__d(\d+)")
    found = [(match, int(match[1]), int(match[2])) for match in map(rest.fullmatch, names) if match]
    return [Place(match[0], generation, dims) for match, generation, dims in sorted(found, key=lambda each: each[1:])]


def key_of(tenant: str, id: str) -> str:
    """The key of a tenant's passage in a store: no other tenant's passage has it (C10). 32 hexadecimal digits, as a UUID has."""
    parts = b"".join(len(part).to_bytes(8, "little") + part for part in (_bytes(tenant), _bytes(id)))
    return blake2b(parts, digest_size=16).hexdigest()


def _beginning(prefix: str, collection: str) -> str:
    written = "".join(chr(each) if each in _PLAIN else f"_{each:02x}" for each in _bytes(collection))
    if len(written) > _LENGTH_MAX:
        written = f"_h{blake2b(_bytes(collection), digest_size=16).hexdigest()}"
    return f"{prefix}__{written}__g"


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")
