"""Events as one JSON document each: CloudEvents 1.0 in structured mode, for brokers whose clients are slow with headers.

Source of the form: the CNCF's JSON event format for CloudEvents 1.0.2, which its NATS binding asks for. What penstock adds are
extensions. The data stands in a document byte for byte; what is no JSON has no document.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from penstock.core.events.envelope import DEFAULT_TENANT, Envelope
from penstock.core.telemetry.spans import valid_state

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_TIME_MS_MAX: Final = 253_402_300_799_999  # the last moment of the year 9999
_DEPTH_MAX: Final = 2**31 - 1  # an Integer of CloudEvents has 32 bits
_BEGINNING: Final = b'{"specversion":"1.0","id":"'
_NONE: Final = Raw()


class _Document(Struct, omit_defaults=True):
    """A document as penstock writes it: all names are there, in this order, unless they say nothing."""

    specversion: Literal["1.0"]
    id: Annotated[str, Meta(min_length=1)]
    source: Annotated[str, Meta(min_length=1)]
    type: Annotated[str, Meta(min_length=1)]
    time: Annotated[datetime, Meta(tz=True)]
    penstockafter: str  # the id of what penstock sent before in this partition: the mark of a document of its own
    subject: str = ""
    tenant: str = DEFAULT_TENANT
    correlationid: str = ""
    causationid: str = ""
    depth: Annotated[int, Meta(ge=0, le=_DEPTH_MAX)] = 0
    traceparent: str = ""
    replyrun: str = ""
    replystep: str = ""
    about: str = ""
    tracestate: str = ""
    data: Raw = _NONE


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Document).decode
_skip = msgspec.json.Decoder(Raw).decode


def to_document(event: Envelope, after: str) -> bytes | None:
    """Return an event as a document, with the id of what was sent before it; None for one that has no document."""
    if not (event.data and 0 <= event.time_ms <= _TIME_MS_MAX and 0 <= event.depth <= _DEPTH_MAX):
        return None
    try:
        data = _skip(event.data)  # what is sealed, or came from others, may be no JSON
        return _encode(
            _Document(
                "1.0",
                event.id,
                event.source,
                event.type,
                datetime.fromtimestamp(event.time_ms / 1000, UTC),
                after,
                event.key,
                event.tenant,
                "" if event.correlation_id == event.id else event.correlation_id,
                event.causation_id,
                event.depth,
                event.traceparent,
                event.reply_run,
                event.reply_step,
                event.subject,
                event.tracestate,
                data,
            )
        )
    except (msgspec.MsgspecError, UnicodeError):
        return None


def of_document(document: bytes) -> tuple[Envelope, str] | None:
    """Return the event in a document that penstock wrote, and the id of what it sent before; None for any other document."""
    try:
        read = _decode(document)
    except (msgspec.MsgspecError, UnicodeError):
        return None
    event = Envelope(
        read.id,
        read.source,
        read.type,
        read.subject,
        (read.time - _EPOCH) // _MILLISECOND,
        bytes(read.data),
        read.tenant or DEFAULT_TENANT,
        read.correlationid or read.id,
        read.causationid,
        read.depth,
        read.traceparent,
        read.replyrun,
        read.replystep,
        read.about,
        valid_state(read.tracestate) if read.tracestate else "",
    )
    return event, read.penstockafter


def id_in(document: bytes) -> str:
    """Return the id in a document that penstock wrote, without reading the rest; empty where it cannot be seen at once."""
    if not document.startswith(_BEGINNING):
        return ""
    name = document[len(_BEGINNING) : document.find(b'"', len(_BEGINNING))]
    return "" if b"\\" in name else name.decode(errors="replace")
