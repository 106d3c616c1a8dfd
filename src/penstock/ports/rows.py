"""The rows of a store as they are: to copy them, to see what is there. Its contract, as tests: `penstock.testing.rows_contract`.

A commit is the form in which rows are handed over: what `rows` returns can be committed into another store.
"""

from collections.abc import Sequence
from typing import Final, Literal, Protocol, TypeAlias, get_args

from msgspec import Struct

from penstock.core.agents.unit import Writes
from penstock.core.agents.usage import Usage

# The fields of a commit that are rows. Blobs are asked for by their digests: `ports/blobs.py`.
Kind: TypeAlias = Literal[
    "events", "journal", "streams", "runs", "sessions", "values", "progress", "timers", "dead", "sent"
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)


class Page(Struct, frozen=True):
    """Some rows of one kind, in the field of that name, and where to go on (empty: that were all)."""

    rows: Writes
    after: bytes = b""


class RowSource(Protocol):
    """What is stored, row by row; large values are the references to them.

    Every implementation guarantees:

    X1 whole    The pages of a kind put together hold each of its rows once: events by partition and place, runs, dead letters
                and events that wait for the owner of their partition in the order in which they came.
    X2 same     Pages that are committed into an empty store, in this order, make it answer every question as the first one does.
    X3 belongs  `rows_of` returns these events with all that goes with them: runs, those of batches that begin with them,
                journals, streams and dead letters.
    X4 known    `known` returns the stored rows which have a key in common with rows of a commit: an id, a place in the log, a
                number within a run, a name.
    X5 bounded  One call of `rows` returns `limit` rows at most.
    X6 divided  `partitions` says into how many the keys are divided.
    X7 counted  `usage` says how many rows of each kind there are.
    """

    async def partitions(self) -> int: ...

    async def usage(self) -> Usage:
        """Return what takes space."""
        ...

    async def rows(self, kind: Kind, *, after: bytes, limit: int) -> Page:
        """Return the rows that follow `after`."""
        ...

    async def rows_of(self, event_ids: Sequence[str]) -> Writes:
        """Return what belongs to some events, as far as it is there."""
        ...

    async def known(self, rows: Writes) -> Writes:
        """Return what is stored where these rows would be."""
        ...
