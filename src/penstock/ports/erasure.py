"""How a store is rid of what is about one subject. Its contract, as tests: `penstock.testing.erasure_contract`."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct


class Erased(Struct, frozen=True):
    """How many rows of each kind went, or lost their data."""

    counts: Mapping[str, int] = {}

    def plus(self, other: "Erased") -> "Erased":
        kinds = dict.fromkeys([*self.counts, *other.counts])
        return Erased({each: self.counts.get(each, 0) + other.counts.get(each, 0) for each in kinds})


class Erasable(Protocol):
    """What is about a subject goes, whoever asks for it: each call is one transaction, and needs no claim.

    Every implementation guarantees:

    H1 secret     `secret` returns to everybody what was offered first. Who offers nothing asks whether there is one.
    H2 events     `erase_events` leaves an event its place, its id and what it followed from, and takes its key and its data; its
                  runs keep status and times, and lose key, result, reason and records. Their journals, streams, values and dead
                  letters go, and so does an event that waits for its place. A run that has not ended is `cancelled`.
    H3 state      `erase_state` removes the messages and values of a subject of a tenant. Values that were written for several are
                  left, and counted as "shared".
    H4 only       Nothing else is changed: no other event, tenant or subject, no progress, no offset.
    H5 again      Repeating a call changes nothing, and counts nothing but what is shared.
    H6 no trace   After `compact` nothing that was removed can be read in the files that it names: all files of the store.
    """

    async def secret(self, offered: bytes) -> bytes:
        """Return the secret of the store, which is `offered` if it had none; empty for none."""
        ...

    async def erase_events(self, event_ids: Sequence[str]) -> Erased:
        """Take the data of some events, and of all that belongs to them."""
        ...

    async def erase_state(self, tenant: str, subject: str) -> Erased:
        """Remove the messages and values of a subject, named as the rows name it."""
        ...

    async def compact(self) -> Sequence[str]:
        """Rewrite what is left, and return the files and folders in which the store lies; none where they are a server's."""
        ...
