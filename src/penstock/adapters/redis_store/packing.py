"""What scripts are given, as the MessagePack that the Lua of Redis reads: it knows texts, and no bytes beside them."""

from collections.abc import Sequence
from struct import pack
from typing import Any, cast

from penstock.errors import Refused

_SHORT = 32  # bytes, and numbers, below which a head has one byte
_SMALL = [bytes([number]) for number in range(128)]


def script_packed(given: Any) -> bytes:
    """Return lists, bytes, texts, numbers and truths as a script reads them; `Refused` for half a character."""
    parts: list[bytes] = []
    try:
        _pack(given, parts)
    except UnicodeEncodeError as error:
        raise Refused(f"Redis cannot keep it: {error}", "mend the text") from error
    return b"".join(parts)


def _pack(given: Any, parts: list[bytes]) -> None:
    if isinstance(given, bytes):
        parts += (_head(len(given)), given)
    elif isinstance(given, list | tuple):
        several = cast("Sequence[Any]", given)
        parts.append(pack(">BI", 0xDD, len(several)))
        for each in several:
            _pack(each, parts)
    elif isinstance(given, str):
        text = given.encode()
        parts += (_head(len(text)), text)
    elif isinstance(given, bool):
        parts.append(b"\xc3" if given else b"\xc2")
    elif isinstance(given, int):
        parts.append(_SMALL[given] if 0 <= given < len(_SMALL) else pack(">Bq", 0xD3, given))
    else:
        raise Refused(f"Redis cannot keep {given!r}: it is no bytes and no text", "mend what is written")


def _head(size: int) -> bytes:
    if size < _SHORT:
        return bytes([0xA0 | size])
    return pack(">BI", 0xDB, size)
