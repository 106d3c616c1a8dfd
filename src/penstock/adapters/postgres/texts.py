"""Texts as Postgres can keep them: its text has no zero character, and ours may.

Backslash and zero are written as two characters each. It goes character by character, so what begins with a prefix also does
so in the stored form (see `reading.origin`).
"""

from hashlib import blake2b


def stored(text: str) -> str:
    """Return the form that goes into a column."""
    if "\\" in text or "\0" in text:
        return text.replace("\\", "\\\\").replace("\0", "\\0")
    return text


def told(column: str) -> str:
    """Return the text that `stored` was given."""
    if "\\" not in column:
        return column
    return "\\".join(part.replace("\\0", "\0") for part in column.split("\\\\"))


def digest(*names: str) -> bytes:
    """Return 16 bytes that stand for some names together.

    A B-tree of Postgres takes keys of at most 2,704 bytes; two or three names of a user may be longer.
    """
    parts = [name.encode() for name in names]
    lengths = b"".join(len(part).to_bytes(4) for part in parts)
    return blake2b(lengths + b"".join(parts), digest_size=16).digest()
