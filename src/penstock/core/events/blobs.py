"""Large values by their content: a reference in their place, and the value itself once, however many hold it (C9).

- A reference begins with a byte that begins neither JSON nor MessagePack, so no value can be taken for one.
- Every reference in a row has a `BlobUse` beside it, which names the row: what no row holds any more can be found and removed
  without looking through all rows.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import NamedTuple

import msgspec
from msgspec import Struct

from penstock.errors import Finding, Invalid

BLOB_BYTES_MIN = 64 * 1024  # what is larger lies apart
DIGEST_BYTES = 32
SIZE_BYTES = 8
_MARK = b"\xc1"  # never the first byte of UTF-8, and never used by MessagePack
_REFERENCE_BYTES = len(_MARK) + DIGEST_BYTES + SIZE_BYTES

# The kind of row and its names: an event, run or timer by its id, a session by tenant and session, values by tenant, agent, key.
Owner = tuple[str, ...]


class Blob(Struct, frozen=True):
    """A value, under the digest of its content."""

    digest: bytes
    body: bytes


class BlobUse(Struct, frozen=True):
    """The rows that `owner` names refer to a blob since `at_ms`."""

    digest: bytes
    owner: Owner
    at_ms: int


class Reference(NamedTuple):
    """What stands in a value's place."""

    digest: bytes
    size: int


def digest_of(body: bytes) -> bytes:
    """Return the digest under which a value is stored."""
    return blake2b(body, digest_size=DIGEST_BYTES).digest()


def referring(body: bytes, digest: bytes) -> bytes:
    """Return what stands in the place of a body."""
    return packed_reference(Reference(digest, len(body)))


def packed_reference(reference: Reference) -> bytes:
    """Return what stands in the place of a value."""
    return _MARK + reference.digest + reference.size.to_bytes(SIZE_BYTES)


def reference_in(body: bytes) -> Reference | None:
    """Return the reference that a body is, or None for a body that is its own value."""
    if len(body) != _REFERENCE_BYTES or body[:1] != _MARK:
        return None
    return unpacked_reference(body[1:])


def unpacked_reference(body: bytes) -> Reference:
    """Return digest and size, which are written one after the other."""
    return Reference(body[:DIGEST_BYTES], int.from_bytes(body[DIGEST_BYTES:]))


def found_in(blobs: Mapping[bytes, bytes], reference: Reference, holder: str) -> bytes:
    """Return what a reference stands for; `Invalid`, which names the holder, when it is missing or damaged."""
    body = blobs.get(reference.digest)
    if body is None or len(body) != reference.size or digest_of(body) != reference.digest:
        raise _lost(reference, holder, "is missing" if body is None else "is damaged")
    return body


def whole(body: bytes, blobs: Mapping[bytes, bytes], holder: str) -> bytes:
    """Return the value that a body stands for; `Invalid`, which names the holder, when it is missing or damaged."""
    reference = reference_in(body)
    return body if reference is None else found_in(blobs, reference, holder)


def require_whole(data: bytes | str, holder: str) -> None:
    """Raise `Invalid` when a reference was left in the place of the data, since its blob is not to be had."""
    reference = reference_in(data) if isinstance(data, bytes) else None
    if reference is not None:
        raise _lost(reference, holder, "is missing or damaged")


def _lost(reference: Reference, holder: str, problem: str) -> Invalid:
    what = f"blob {reference.digest.hex()} of {reference.size:,} bytes"
    return Invalid(f"what is stored of {holder}", (Finding(what, problem, "restore a backup of the store"),))


def packed_owner(owner: Owner) -> bytes:
    """Return the stored form of an owner."""
    return msgspec.msgpack.encode(owner)


def unpacked_owner(body: bytes) -> Owner:
    """Return the owner in its stored form."""
    return msgspec.msgpack.decode(body, type=tuple[str, ...])
