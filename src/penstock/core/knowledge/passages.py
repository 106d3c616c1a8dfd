"""What a knowledge collection holds: passages, and the writes that change them.

A passage is identified by (tenant, collection, generation, id). `digest` is the hash of its text and
metadata, so that ingestion can tell what changed without reading the text again.
"""

from collections.abc import Mapping
from hashlib import blake2b

from msgspec import Struct
from msgspec.msgpack import encode

DEFAULT_TENANT = "default"


class Space(Struct, frozen=True):
    """Whose passages, of which collection, built by which generation: no search crosses it (C10)."""

    collection: str
    tenant: str = DEFAULT_TENANT
    generation: int = 1


class Passage(Struct, frozen=True):
    """A piece of text that can be found by meaning, words and filters."""

    id: str
    text: str
    metadata: dict[str, str] = {}

    @property
    def digest(self) -> str:
        """The hash (BLAKE2b, 16 bytes, hex) of text and metadata."""
        body = encode((self.text, sorted(self.metadata.items())))
        return blake2b(body, digest_size=16).hexdigest()


class Row(Struct, frozen=True):
    """One passage, analysed: its terms' keys (uint64) and their counts (int32), its unit vector (float32) or none."""

    id: str
    keys: bytes
    counts: bytes
    vector: bytes | None
    metadata: Mapping[str, str]


class Upsert(Struct, frozen=True):
    """Put a passage, with its vector (little-endian float32, `dims` of them) or none.

    `row`: what analysing both came to, if that was done before (`rows.prepared`): it takes longer than writing.
    """

    space: Space
    passage: Passage
    vector: bytes | None
    row: Row | None = None


class Delete(Struct, frozen=True):
    """Take a passage away. Taking away what is not there changes nothing."""

    space: Space
    id: str


IndexWrite = Upsert | Delete


class Hit(Struct, frozen=True):
    """A passage's id with its score: cosine (-1 to 1) for vectors, BM25 (0 and up) for words."""

    id: str
    score: float
