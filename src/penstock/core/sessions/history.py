"""The memory of one conversation: its last messages, and how they are added to.

Only the newest `MESSAGES_MAX` are kept, in memory and in the store (C9).
"""

from collections import deque
from collections.abc import Iterable
from typing import Literal, get_args

import msgspec
from msgspec import Struct

from penstock.errors import Finding, Invalid

MESSAGES_MAX = 20
MESSAGE_BYTES_MAX = 1024 * 1024
TTL_MS = 30 * 24 * 3600 * 1000
Role = Literal["system", "user", "assistant", "tool"]
ROLES: tuple[str, ...] = get_args(Role)


class SessionMessage(Struct, frozen=True, array_like=True):
    """One message of a session."""

    role: Role
    content: str
    at_ms: int = 0


class History:
    """The newest messages of a session. `number` counts all that were ever added."""

    __slots__ = ("messages", "number")

    def __init__(self, messages: Iterable[SessionMessage] = (), number: int = 0) -> None:
        self.messages = deque(messages, maxlen=MESSAGES_MAX)
        self.number = number

    def add(self, messages: list[SessionMessage]) -> None:
        self.messages.extend(messages)
        self.number += len(messages)


_messages = msgspec.msgpack.Decoder(list[SessionMessage])


def encode_messages(messages: list[SessionMessage]) -> bytes:
    """Return the stored form of messages added together."""
    return msgspec.msgpack.encode(messages)


def decode_messages(body: bytes) -> list[SessionMessage]:
    """Return the messages in a stored delta; `Invalid` when it is damaged."""
    try:
        return _messages.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid("a stored session", (Finding("body", str(error), "restore a backup"),)) from error
