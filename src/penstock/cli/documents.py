"""What stands in a file that was named, or in the argument itself."""

from pathlib import Path
from typing import Any

from penstock.errors import Finding, Invalid, Missing


def file_bytes(file: Path) -> bytes:
    if not file.is_file():
        raise Missing(str(file), "name a file that is there")
    return file.read_bytes()


def json_in(file: Path) -> Any:
    """Return the JSON in a file. Raises `Missing` without it, and `Invalid` for anything else."""
    return _parsed(file_bytes(file), str(file))


def json_given(argument: str, what: str) -> Any:
    """Return the JSON that an argument is, or what is in the file that it names."""
    looks_like_json = argument.lstrip()[:1] in {"{", "[", '"'}
    if not looks_like_json and _names_a_file(argument):
        return json_in(Path(argument))
    return _parsed(argument, f"{what} {argument!r}")


def _names_a_file(argument: str) -> bool:
    try:
        return Path(argument).is_file()
    except (OSError, ValueError):  # too long for a name, or with a character that none has
        return False


def _parsed(text: bytes | str, what: str) -> Any:
    import json

    try:
        return json.loads(text)
    except ValueError as error:
        raise Invalid(what, (Finding("/", f"is not JSON: {error}"),)) from error
