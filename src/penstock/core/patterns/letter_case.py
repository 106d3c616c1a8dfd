"""Texts whose upper and lower case count as the same, letter by letter as event-ruler compares them.

A letter of the pattern stands for itself in lower and in upper case, however many letters that makes (`ß` for `SS`, but not
`SS` for `ß`). Letters outside the basic plane stand for themselves.
"""

import re

_PLANE_MAX = 0xFFFF


def folded(text: str) -> str:
    """Return what texts share if they can be equal but for their case. Between ASCII texts it decides."""
    return text.lower().upper()


def same_letters(pattern: str, text: str) -> bool:
    """Whether the text is what the pattern says but for its case; both must fold to the same."""
    if pattern.isascii() and text.isascii():
        return True
    return _expression(pattern).fullmatch(text) is not None


def begins_alike(pattern: str, text: str) -> bool:
    """Whether the text begins with what the pattern says but for its case."""
    if pattern.isascii() and text.isascii():
        return text[: len(pattern)].lower() == pattern.lower()
    return _expression(pattern).match(text) is not None


def ends_alike(pattern: str, text: str) -> bool:
    """Whether the text ends with what the pattern says but for its case."""
    if not pattern:
        return True
    if pattern.isascii() and text.isascii():
        return text[-len(pattern) :].lower() == pattern.lower()
    return re.compile(f"(?:{_expression(pattern).pattern})$(?!\n)").search(text) is not None


def _expression(pattern: str) -> re.Pattern[str]:
    return re.compile("".join(_letter(each) for each in pattern), re.DOTALL)


def _letter(letter: str) -> str:
    if ord(letter) > _PLANE_MAX:
        return re.escape(letter)
    forms = sorted({letter.lower(), letter.upper()}, key=len, reverse=True)
    return f"(?:{'|'.join(re.escape(form) for form in forms)})"
