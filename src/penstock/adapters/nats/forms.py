"""Messages as NATS carries them: headers are lines of text, and what is more than that is packed beside them."""

import base64
import contextlib
import re
from typing import Final

import msgspec

from penstock.core.events.messages import STRUCTURED, STRUCTURED_HEADERS, Message, id_of

OURS: Final = "penstock-message"  # a header: key and headers as they are, where NATS cannot carry them
_TWICE: Final = "Nats-Msg-Id"  # what the server knows a message by that comes twice
_VERSION: Final = b"NATS/1.0"
_LINE: Final = b"\r\n"
_DOCUMENT: Final = f"NATS/1.0\r\ncontent-type: {STRUCTURED}\r\n{_TWICE}: ".encode()
_DOCUMENT_LINES: Final = 4
_NAME: Final = re.compile(r"[!-9;-~]+")  # of a header: printable, without blanks or a colon
_packed = msgspec.msgpack.Decoder(tuple[bytes, tuple[tuple[str, bytes], ...]])


def block_of(message: Message, partition: int) -> bytes:
    """Return headers as they are on the wire, a line of text each; where they are more than that, all are packed beside them."""
    twice = _known_by(message, partition)
    if message.headers == STRUCTURED_HEADERS and not message.key and twice:
        return b"%b%b\r\n\r\n" % (_DOCUMENT, twice)
    lines: dict[str, bytes] = {}
    plain = True
    for name, value in message.headers:
        text = value.decode("ascii", errors="replace")
        if name in lines or not (value.isascii() and text.isprintable() and text == text.strip() and text):
            plain = False
        elif _NAME.fullmatch(name):
            lines[name] = value
        else:
            plain = False
    if not plain or message.key != lines.get("ce_subject", b""):
        lines[OURS] = base64.b64encode(msgspec.msgpack.encode((message.key, message.headers)))
    if twice:
        lines[_TWICE] = twice
    block = b"".join(b"%b: %b\r\n" % (name.encode(), text) for name, text in lines.items())
    return b"%b\r\n%b\r\n" % (_VERSION, block) if block else b""


def message_of(value: bytes, block: bytes) -> Message:
    """Return the message of a value and its headers as they are on the wire."""
    if block.startswith(_DOCUMENT) and block.count(_LINE) == _DOCUMENT_LINES:
        return Message(value, b"", STRUCTURED_HEADERS)
    headers = lines_of(block)
    if OURS in headers:
        with contextlib.suppress(ValueError, msgspec.MsgspecError):
            key, held = _packed.decode(base64.b64decode(headers[OURS], validate=True))
            return Message(value, key, held)
    rest = tuple((name, text) for name, text in headers.items() if not name.startswith("Nats-"))
    return Message(value, headers.get("ce_subject", b""), rest)


def lines_of(block: bytes) -> dict[str, bytes]:
    """Return headers by their names; of one that comes twice, the last."""
    headers: dict[str, bytes] = {}
    for line in block.split(_LINE)[1:]:
        name, colon, text = line.partition(b":")
        if colon:
            headers[name.strip().decode(errors="replace")] = text.strip()
    return headers


def status_of(block: bytes) -> str:
    """Return the status in headers by which the server says something itself, empty in those of a message."""
    first = block.partition(_LINE)[0]
    return first.removeprefix(_VERSION).strip()[:3].decode(errors="replace")


def _known_by(message: Message, partition: int) -> bytes:
    """Return what tells the server that a message comes twice; empty for one without an id."""
    event_id = id_of(message)
    return base64.urlsafe_b64encode(f"{partition}:{event_id}".encode()) if event_id else b""
