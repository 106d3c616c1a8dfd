"""Events on their way to the owner of their partition. Its contract, as tests: `penstock.testing.inbox_contract`."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from penstock.core.agents.unit import Sent
from penstock.core.events.envelope import Position


class Waiting(Struct, frozen=True):
    """An event that waits for its place in the log. Numbers rise, with gaps."""

    number: int
    sent: Sent
    known: bool = False  # it is in the log: two brought it at the same time, and it need only be taken out
    before: bool = False  # it waited when its partition was taken over: who had it then may have died of it


class Inbox(Protocol):
    """What others than the owner of a partition append to it.

    `Writes.sent` puts into it too, `Writes.received` takes out by number, and `Writes.taken` by id.

    Every implementation guarantees:

    I1 durable  What `submit` returned from survives a kill of every process.
    I2 once     An event whose id waits already, or is in the log, is not taken again, or it is told that it is known.
    I3 order    Events come in the order in which one sender sent them.
    I4 atomic   What a commit sends and receives is part of it (S1): an event waits, or is in the log, and never both or neither.
    I5 wake     After each `submit`, and each commit that sends, the watchers of the log are called, soon and at least once.
    I6 found    An event that waits is found by its id, without its place (the offset is 0), and its runs are queued.
    I7 asked    Of many ids it is told at once which are in the log, and where, and which wait.
    """

    async def submit(self, events: Sequence[Sent]) -> None:
        """Put events into the inbox; no claim is needed."""
        ...

    async def submitted(
        self, partitions: Collection[int], *, limit: int, without: Collection[str] = ()
    ) -> Sequence[Waiting]:
        """Return the first events that wait for the owner of these partitions, leaving some topics out."""
        ...

    async def places(self, ids: Collection[str]) -> Mapping[str, Position | None]:
        """Return where those of some events are that are in the log, and None for those that wait."""
        ...
