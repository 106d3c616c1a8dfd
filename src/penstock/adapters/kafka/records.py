"""Records as the client hands them over, and the messages in them."""

from operator import itemgetter
from typing import Any

from penstock.core.events.messages import PROBLEM, Message

_value = itemgetter(1)  # of a header


def message_of(record: Any) -> Message:
    """Return what a record carries. One whose headers have no names that can be read says so, and becomes a dead letter."""
    try:
        headers: list[tuple[str, bytes]] = record.headers() or []
    except UnicodeDecodeError as error:
        headers = [(PROBLEM, f"a header has no name in UTF-8: {error}".encode())]
    if None in map(_value, headers):
        headers = [(name, value or b"") for name, value in headers]
    return Message(record.value() or b"", record.key() or b"", tuple(headers))
