"""How a store is rid of what has been dealt with. Its contract, as tests: `penstock.testing.retention_contract`."""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from msgspec import Struct

from penstock.core.agents.retention import RunRules
from penstock.ports.blobs import Swept

ENDED: Final = ("succeeded", "failed", "cancelled")


class OldEvents(Struct, frozen=True):
    """Events of one partition that may go: older than `before_ms` or up to `through`, and done with by all `agents`."""

    topic: str
    partition: int
    agents: tuple[str, ...]
    before_ms: int
    through: int
    rules: RunRules
    mark: tuple[str, str, str, str] | None = None  # the value that says up to which offset events went


class Found(Struct, frozen=True):
    """An event, or a run, that goes, and its bytes. `followers`: how many events that followed from it are still there."""

    id: str
    held_bytes: int
    followers: int = 0


class Pruned(Struct, frozen=True):
    """What one call came to: how many rows went, their bytes, where to go on (0: that were all), and which they were of."""

    removed: int = 0
    freed_bytes: int = 0
    after: int = 0
    found: tuple[Found, ...] = ()


class How(Struct, frozen=True):
    """`dry`: remove nothing, say what would go. `among`: of nothing else than these events, or runs."""

    dry: bool = False
    among: frozenset[str] | None = None


NOW: Final = How()
DRY: Final = How(dry=True)


class EndedRun(Struct, frozen=True):
    """A run that has ended, and its number, which is the higher the later it came."""

    number: int
    agent: str
    at_ms: int


class PrunableStore(Protocol):
    """What is not needed any more goes, a few rows at a time, whoever asks for it: each call is one transaction.

    Every implementation guarantees:

    G1 done      `prune_events` removes only events that all agents named are durably done with, that no dead letter and no run
                 that is under way or too young needs, and that led to no event that is still there (so the id of an event
                 is known as long as anything that followed from it). Their runs, journals and streams go with them.
    G2 ended     `prune_runs` touches only runs that ended and have no dead letter: it removes journal and streams of those that
                 are old enough for that, and what is left of a batch. Status and result stay with the event.
    G3 last      The last event of a partition stays: no offset is given out twice.
    G4 bounded   A call looks at `limit` rows at most, and says where the next one goes on.
    G5 gaps      Reading a partition passes over what was removed; what is left keeps its order and its places.
    G6 foreseen  A dry call removes nothing and finds what would go; of events also those that would go if what followed from
                 them were gone, with how many that are. A call among some removes of nothing else, and no more than without.
    G7 newest    `ended_runs` returns runs that ended, the newest first, each page before the last one's.
    G8 values    `prune_values` removes values of the agents that are named, if they were written before the agent's moment.
    G9 marked    Where `mark` names a value (tenant, agent, key, name), what removes events writes into it the highest offset that
                 went, as MessagePack: together with the removal, or not at all.
    """

    async def prune_events(self, old: OldEvents, *, after: int, limit: int, how: How = NOW) -> Pruned:
        """Look at the events that follow offset `after`, and remove those that may go."""
        ...

    async def prune_runs(self, rules: RunRules, *, after: int, limit: int, how: How = NOW) -> Pruned:
        """Look at the runs that came after number `after`, and take from them what may go."""
        ...

    async def prune_sessions(self, now_ms: int, *, after: bytes, limit: int, dry: bool = False) -> Swept:
        """Look at the messages that follow `after`, and remove those that have expired."""
        ...

    async def prune_values(self, before_ms: Mapping[str, int], *, after: bytes, limit: int, dry: bool = False) -> Swept:
        """Look at the values that follow `after`, and remove those that their agent wrote before its moment."""
        ...

    async def ended_runs(self, *, before: int, limit: int) -> Sequence[EndedRun]:
        """Return runs that ended and came before a number (0: the newest)."""
        ...
