"""What handlers return and raise, as it is stored."""

from typing import Any, cast

import msgspec

from penstock.core.events.event import Event
from penstock.core.events.texts import told
from penstock.errors import LimitReached, Refused

REASON_CHARS_MAX = 4000
RESULT_BYTES_MAX = 16 * 1024 * 1024
_json = msgspec.json.Encoder(enc_hook=lambda value: value.model_dump(mode="json")).encode


def body_of(result: Any) -> bytes:
    """Return what a handler returned as JSON; empty for None."""
    if result is None:
        return b""
    try:
        body = result.encoded() if isinstance(result, Event) else _json(result)
    except (TypeError, AttributeError, ValueError, OverflowError, RecursionError) as error:
        raise Refused(f"what the handler returned cannot be stored ({error})", "return events or plain data") from error
    if len(body) > RESULT_BYTES_MAX:
        raise LimitReached("what the handler returned, in bytes of JSON,", len(body), RESULT_BYTES_MAX)
    return body


def events_of(result: Any) -> list[Event]:
    """Return the events among what a handler returned: one, or several in a list or tuple."""
    returned = cast("list[Any]", result) if isinstance(result, list | tuple) else [result]
    return [each for each in returned if isinstance(each, Event)]


def reason_of(error: BaseException) -> str:
    """Return why a handler failed, in at most `REASON_CHARS_MAX` characters."""
    return told(error, REASON_CHARS_MAX)
