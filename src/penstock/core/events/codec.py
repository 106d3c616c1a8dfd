"""The stored form of an event: one version byte, then MessagePack.

Nothing is imported or called on decoding, whatever the bytes say. Stored events of each release are decoded
by a test (tests/core/events/test_codec.py), so the form can grow but never change.
"""

import msgspec

from penstock.core.events.envelope import Envelope
from penstock.errors import Finding, Invalid

VERSION = b"\x01"

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Envelope)


def encode(event: Envelope) -> bytes:
    """Return the bytes that `decode` reads; `Invalid` for half a character or a number of more than 64 bits."""
    try:
        return VERSION + _encoder.encode(event)
    except (UnicodeEncodeError, OverflowError) as error:
        raise Invalid("the event", (Finding("(whole)", str(error), "mend the text or the number"),)) from error


def decode(body: bytes) -> Envelope:
    """Return the event in `body`; `Invalid` when it was not written by `encode`."""
    if body[:1] != VERSION:
        finding = Finding("version", f"{body[:1]!r} is not a known version", "upgrade penstock: a newer one wrote this")
        raise Invalid("a stored event", (finding,))
    try:
        return _decoder.decode(memoryview(body)[1:])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(
            "a stored event", (Finding("body", str(error), "the log is damaged: restore a backup"),)
        ) from error
