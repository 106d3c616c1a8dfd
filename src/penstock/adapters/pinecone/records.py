"""Passages as records of Pinecone, and names of spaces and passages as it allows them.

- A record's id is that of the passage, with %XX for all but letters, digits and _.-~; a long one is a hash. So ids are ASCII
  without spaces, and can be told from what is found.
- A namespace is a space: `penstock:COLLECTION:TENANT:GENERATION`, each encoded in that way. No query reaches beyond one (C10).
- Vectors shorter than those of the index are filled up with zeros, which changes no cosine: generations share an index.
- A passage without a direction has one that stands in, and no `d` (the length of its vector), which every query asks for.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any
from urllib.parse import quote, unquote

import msgspec
import numpy as np
from numpy.typing import NDArray

from penstock.adapters.pinecone.filters import NO_TOKEN, TOKENS
from penstock.core.knowledge.passages import Passage, Space
from penstock.core.knowledge.plain_filters import facts_of
from penstock.core.knowledge.rows import VECTOR_TYPE
from penstock.core.knowledge.sealed_form import rounded, widened
from penstock.errors import LimitReached, Refused

NAME_CHARS_MAX = 512
METADATA_BYTES_MAX = 40 * 1024
HASHED = "%%"  # no encoded id begins so
TEXT, ID, DIGEST, DIMS = "t", "i", "h", "d"
_FIELD = "m:"


def namespace_of(space: Space) -> str:
    """Return the namespace of a space; `LimitReached` where its names are too long for one."""
    name = f"{prefix_of(space.collection)}{_quoted(space.tenant)}:{space.generation}"
    if len(name) > NAME_CHARS_MAX:
        hint = "use shorter names of collection and tenant"
        raise LimitReached("the length of a space's name in Pinecone", len(name), NAME_CHARS_MAX, hint)
    return name


def prefix_of(collection: str) -> str:
    """Return what the namespaces of a collection begin with."""
    return f"penstock:{_quoted(collection)}:"


def space_of(namespace: str) -> Space | None:
    """Return the space that a namespace is, if it is one."""
    parts = namespace.split(":")
    if len(parts) != 4 or parts[0] != "penstock" or not parts[3].isdecimal():  # noqa: PLR2004 - as `namespace_of` makes them
        return None
    return Space(unquote(parts[1]), unquote(parts[2]), int(parts[3]))


def record_id(passage_id: str) -> str:
    encoded = _quoted(passage_id)
    if len(encoded) <= NAME_CHARS_MAX:
        return encoded
    return HASHED + blake2b(passage_id.encode(errors="surrogatepass"), digest_size=32).hexdigest()


def passage_id(record: str) -> str | None:
    """Return the passage's id, where the record's tells it."""
    return None if record.startswith(HASHED) else unquote(record)


def record_of(passage: Passage, vector: bytes | None, dims: int) -> bytes:
    """Return a record as JSON. Raises `LimitReached` for a passage that is too large for one, `Refused` for too long a vector."""
    metadata: dict[str, Any] = {ID: passage.id, TEXT: passage.text, DIGEST: passage.digest}
    metadata |= {f"{_FIELD}{field}": value for field, value in passage.metadata.items()}
    facts = facts_of(passage.metadata)
    metadata |= {TOKENS: [NO_TOKEN, *facts.tokens], **facts.numbers}
    values = np.zeros(dims, np.float32)
    if vector is None:
        values[0] = 1
    else:
        unit = widened(rounded(np.frombuffer(vector, VECTOR_TYPE)))
        values = filled(unit, dims)
        metadata[DIMS] = len(unit)
    size = len(msgspec.json.encode(metadata))
    if size > METADATA_BYTES_MAX:
        hint = "cut it into smaller passages (Pinecone keeps no more beside a vector)"
        raise LimitReached(f"passage {passage.id!r} with its metadata, in bytes,", size, METADATA_BYTES_MAX, hint)
    return msgspec.json.encode({"id": record_id(passage.id), "values": values.tolist(), "metadata": metadata})


def filled(vector: NDArray[np.float32], dims: int) -> NDArray[np.float32]:
    """Return a vector as long as those of the index."""
    if len(vector) > dims:
        raise too_long(len(vector), dims)
    return np.pad(vector, (0, dims - len(vector)))


def too_long(dims: int, dims_max: int) -> Refused:
    return Refused(
        f"the embedder gives {dims} dimensions, and the index that `vectors` names has {dims_max}",
        f"name an index of {dims} or more",
    )


def passage_of(metadata: Mapping[str, Any]) -> Passage:
    fields = {name.removeprefix(_FIELD): str(value) for name, value in metadata.items() if name.startswith(_FIELD)}
    return Passage(str(metadata[ID]), str(metadata[TEXT]), fields)


def fields_of(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields of a passage alone."""
    return {name.removeprefix(_FIELD): str(value) for name, value in metadata.items() if name.startswith(_FIELD)}


def _quoted(name: str) -> str:
    return quote(name, safe="", errors="surrogatepass")
