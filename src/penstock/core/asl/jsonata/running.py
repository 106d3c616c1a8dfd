"""The evaluation that runs in this thread: where functions find chance and the time."""

from typing import Any

from penstock.core.asl.jsonata.library import Jsonata


def current() -> Any:
    """Return the running `Interpreter`: functions of the library get their arguments only."""
    return Jsonata.CURRENT.jsonata
