"""Which texts can be stored. They are refused where they are given: within a commit they would take others' work with them."""

from penstock.errors import LimitReached, Refused


def storable(what: str, text: object, bytes_max: int) -> str:
    """Return a text that every store can hold.

    Raises `Refused` for what is no text, or half a character (a lone surrogate), and `LimitReached` for an endless one.
    """
    if not isinstance(text, str):
        raise Refused(f"{what} is {type(text).__name__}, not text", "give text: str(...)")
    if text.isascii():
        size = len(text)
    else:
        try:
            size = len(text.encode())
        except UnicodeEncodeError as error:
            raise Refused(f"{what} {text!r} is not text ({error.reason})", "mend it") from error
    if size > bytes_max:
        raise LimitReached(f"the length of {what}, in bytes,", size, bytes_max)
    return text


def told(error: BaseException, chars_max: int) -> str:
    """Return an error as one storable text: its name and its message, if it can tell one."""
    name = type(error).__name__
    try:
        message = str(error)[:chars_max]
    except Exception:  # noqa: BLE001 - the error is the user's code, and its message too
        message = "(its message cannot be shown)"
    return f"{name}: {message}"[:chars_max].encode(errors="backslashreplace").decode()
