"""Whom data is about, so that it can be forgotten: what stands in the place of a name, and of data that is gone.

- In memory an event says whose it is by name. In a store there is a pseudonym instead, which only who has the store's secret
  can make of a name; the key of the event lies sealed with its data.
- Keys are values of the store, under the pseudonym: they come and go with ordinary commits.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from penstock.core.events.envelope import Envelope

OWNER: Final = (
    "penstock subjects"  # whose values the keys are: no agent of that name, so that no retention lets them go
)
RETIRED: Final = "retired"  # the value that says which keys are about to go
TALLY: Final = "tally"  # the value that counts what went so far
LAST: Final = "forgotten"  # the value that has the receipt of when a subject was forgotten last
SECRET: Final = (
    "default",
    OWNER,
    "",
    "secret",
)  # the value in which a store keeps its secret, so that copies have it too
SHARED: Final = "*"  # in the place of a subject, where several wrote
FORGOTTEN: Final = b'{"forgotten by penstock":true}'  # in the place of data; JSON, so that all who show data can
SUBJECT_BYTES_MAX: Final = 1024
SECRET_BYTES: Final = 32
KEY_BYTES: Final = 32
KEY_ID_BYTES: Final = 16
NONCE_BYTES: Final = 12
_MARK: Final = b"\xc1\x01"  # begins neither JSON nor MessagePack, and is never as short as a reference to a blob
_SEALED_BYTES_MIN: Final = len(_MARK) + KEY_ID_BYTES + NONCE_BYTES + 16


class Content(Struct, frozen=True, array_like=True):
    """What is sealed of an event. New fields go to the end, with a default."""

    key: str
    subject: str
    data: bytes


class Sealed(Struct, frozen=True):
    """What stands in the place of an event's data."""

    key_id: bytes
    nonce: bytes
    body: bytes


def pseudonym(secret: bytes, tenant: str, subject: str) -> str:
    """Return what stands for a subject of a tenant, in hex."""
    names = [tenant.encode(), subject.encode()]
    lengths = b"".join(len(each).to_bytes(4) for each in names)
    return blake2b(lengths + b"".join(names), digest_size=16, key=secret, person=b"penstock subject").hexdigest()


def packed(sealed: Sealed) -> bytes:
    """Return the stored form."""
    return _MARK + sealed.key_id + sealed.nonce + sealed.body


def sealed_in(data: bytes) -> Sealed | None:
    """Return what is sealed in an event's data; None for data that lies open."""
    if len(data) < _SEALED_BYTES_MIN or data[:2] != _MARK:
        return None
    start = len(_MARK) + KEY_ID_BYTES
    return Sealed(data[len(_MARK) : start], data[start : start + NONCE_BYTES], data[start + NONCE_BYTES :])


def bound_to(event: Envelope, name: str) -> bytes:
    """Return what a sealed content is bound to: it opens in no other event, and for nobody else."""
    return f"{event.tenant}\0{name}\0{event.id}".encode()


def encode_content(event: Envelope) -> bytes:
    return msgspec.msgpack.encode(Content(event.key, event.subject, event.data))


def decode_content(body: bytes) -> Content:
    return msgspec.msgpack.decode(body, type=Content)


def gone(event: Envelope) -> Envelope:
    """Return an event whose subject was forgotten: it keeps its place, its id, and what it followed from."""
    return replace(event, key="", data=FORGOTTEN, traceparent="", tracestate="")


def is_gone(data: bytes | str) -> bool:
    """Whether data was forgotten."""
    return data in (FORGOTTEN, FORGOTTEN.decode())


def keys_in(values: Mapping[str, bytes]) -> dict[bytes, bytes]:
    """Return id -> key of a subject's values."""
    return {bytes.fromhex(name): body for name, body in values.items() if len(name) == 2 * KEY_ID_BYTES}


def retired_in(values: Mapping[str, bytes]) -> list[bytes]:
    """Return the ids of keys that are about to go: nothing is sealed with them any more."""
    return msgspec.msgpack.decode(values[RETIRED], type=list[bytes]) if RETIRED in values else []
