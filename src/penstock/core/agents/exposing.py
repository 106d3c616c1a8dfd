"""What a workflow run lets others see of itself while it works: named values, the newest of each.

They lie among the values, apart from the journal, so that a run may expose something a million times, and who looks reads one
row. Each knows how often the run had exposed something under its name: a run that is resumed goes through all of it again.
"""

from typing import Any

from msgspec import Struct

from penstock.core.events.texts import storable
from penstock.errors import LimitReached

OWNER = ":exposed"  # whose values they are; the name of an agent has no colon
MARK = "exposed"  # the record of a run that has exposed anything
NAMES_MAX = 64
NAME_BYTES_MAX = 256
BYTES_MAX = 256 * 1024
OF_RUNS = (":steps", OWNER)  # owners of values whose key is a run: they go with it


class Exposed(Struct, frozen=True):
    """A value as it is stored. New fields go to the end, with a default."""

    number: int  # how often the run had exposed something under this name, this time included
    at_ms: int
    value: Any = None
    round: int = 0  # of a run that continued: it counts anew in each


class Exposing:
    """What one life of a run exposes."""

    __slots__ = ("_count", "_known")

    def __init__(self, known: dict[str, int] | None = None) -> None:
        self._known = known or {}  # name -> the number of the newest value in the store
        self._count: dict[str, int] = {}

    def next(self, name: str) -> int | None:
        """Return the number of what is exposed now, or None when an earlier life has exposed it; `LimitReached`."""
        number = self._count[storable("the name of what is exposed", name, NAME_BYTES_MAX)] = (
            self._count.get(name, 0) + 1
        )
        if len(self._count) > NAMES_MAX:
            raise LimitReached("the number of names that a run exposes", len(self._count), NAMES_MAX)
        return number if number > self._known.get(name, 0) else None
