"""Calls and their outcomes as plain data: what can be written as JSON, without secrets, and read without importing anything."""

import builtins
import re
from typing import Any, cast

import msgspec
from msgspec import Struct

from penstock import errors

HIDDEN = "***"
SECRET_NAMES = re.compile(
    r"authori[sz]ation|api[-_]?key|secret|password|passwd|cookie|credential|(access|auth).?token", re.IGNORECASE
)
SECRETS = re.compile(
    r"\bsk-[\w-]{8,}|\bBearer\s+\S+|\bgh[pousr]_\w{16,}|\bAKIA[0-9A-Z]{16}\b|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
)


class Failure(Struct, frozen=True):
    """An error as it was raised: its class by name, and its arguments as far as they are plain."""

    type: str
    args: list[Any]
    text: str

    def error(self) -> Exception:
        """Return an error that callers react to as they did: one of ours or of Python's, else a `RuntimeError`."""
        kind = getattr(errors, self.type, None) or getattr(builtins, self.type, None)
        if isinstance(kind, type) and issubclass(kind, Exception):
            try:
                made = kind(*self.args)
            except Exception:  # noqa: BLE001 - arguments that do not fit any more
                return RuntimeError(f"{self.type}: {self.text}")
            if str(made) == self.text:
                return made
        return RuntimeError(f"{self.type}: {self.text}")


def failure_of(error: Exception) -> Failure:
    """Return an error as plain data."""
    return Failure(type(error).__name__, plain(list(error.args)), str(error))


def plain(value: Any) -> Any:
    """Return a value as JSON would hold it; what has no such form stands as the name of its type."""
    return msgspec.json.decode(msgspec.json.encode(value, enc_hook=_form))


def redacted(value: Any) -> Any:
    """Return plain data without what looks like a secret, by its name or by itself. Write your own around it for more."""
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        return {
            name: HIDDEN if SECRET_NAMES.search(name) and isinstance(member, str) else redacted(member)
            for name, member in members.items()
        }
    if isinstance(value, list):
        return [redacted(each) for each in cast("list[Any]", value)]
    return SECRETS.sub(HIDDEN, value) if isinstance(value, str) else value


def _form(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)  # pydantic, without importing it
    if dump is not None:
        return dump(mode="json")
    tolist = getattr(value, "tolist", None)  # numpy
    if tolist is not None:
        return tolist()
    return f"<{type(value).__name__}>"
