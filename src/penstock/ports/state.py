"""Where handlings leave what they did, atomically and fenced. Its contract, as tests: `penstock.testing.state_contract`."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from penstock.core.agents.journal import StepRecord
from penstock.core.agents.progress import Progress
from penstock.core.agents.unit import DeadLetter, RunChange, Status, Writes
from penstock.core.events.envelope import Recorded
from penstock.core.sessions.history import History


class Claim(Struct, frozen=True):
    """The right to commit, until it ends: another worker claims, or this one is silent for too long (`ports/workers.py`)."""

    owner: str
    epoch: int


class StoredRun(Struct):
    """All that the store knows of a run."""

    change: RunChange
    records: list[StepRecord]
    chunks: int  # the number of the next one
    streamed: bool = False  # whether it has streams


class RunFilter(Struct, frozen=True):
    """Which runs to list, newest first."""

    tenant: str | None = None
    agent: str | None = None
    status: Status | None = None
    limit: int = 50


class DeadFilter(Struct, frozen=True):
    """Which dead letters to list, newest first. `reason`: a part of it, upper and lower case of ASCII alike."""

    tenant: str | None = None
    agent: str | None = None
    reason: str | None = None
    since_ms: int | None = None
    run_id: str | None = None
    limit: int = 50


ALL_DEAD = DeadFilter()


class StateStore(Protocol):
    """The state of agents: runs, journals, sessions, values, progress; and the events they emit.

    Every implementation guarantees:

    S1 atomic     A commit is written whole or not at all, its events in the log included.
    S2 fencing    `commit` raises `Fenced`, and writes nothing, once the claim has ended (a newer `claim` does that); likewise
                  when it contradicts what is stored (an offset, an event id or a chunk that exists): then somebody else wrote.
    S3 durable    What `commit` returned from survives a kill of every process.
    S4 retry      Repeating a commit with the same claim and number writes nothing: after `Unavailable`, just call again.
    S5 isolation  Tenants do not see each other's sessions and values.
    S6 known      A run is found from the instant its event was committed, as `queued`; also while the event waits for the owner
                  of its partition (`ports/inbox.py`).
    S7 cut        What a commit cuts off of a journal is gone by it; the chunks that follow go on in number.
    """

    async def claim(self, owner: str) -> Claim:
        """Become the only one who may commit."""
        ...

    async def commit(self, claim: Claim, number: int, writes: Writes) -> None:
        """Write; `number` counts the commits of the claim from 1. The caller leaves `writes` alone from now on."""
        ...

    async def progress(self) -> Mapping[tuple[str, str, int], Progress]:
        """Return (agent, topic, partition) -> what is done."""
        ...

    async def run(self, run_id: str) -> StoredRun | None:
        """Return a run with its journal."""
        ...

    async def history(self, tenant: str, session: str, *, now_ms: int) -> History:
        """Return the newest messages of a session that have not expired."""
        ...

    async def values(self, tenant: str, agent: str, key: str) -> Mapping[str, bytes]:
        """Return the values of an agent for a key."""
        ...


class RunCatalog(Protocol):
    """What people ask of the state store.

    R1 newest   `runs` and `dead_letters` come newest first, and hold what was committed before the call.
    R2 settled  A dead letter that a commit settles is listed no more; one that dies again is, as the newest.
    """

    async def runs(self, which: RunFilter) -> Sequence[RunChange]: ...

    async def dead_letters(self, which: DeadFilter = ALL_DEAD) -> Sequence[DeadLetter]: ...

    async def event(self, event_id: str) -> Recorded | None:
        """Return an event by its id; one that waits for the owner of its partition has the offset 0."""
        ...

    async def origin(self, correlation_id: str) -> Sequence[Recorded]:
        """Return the events that one event led to, itself first."""
        ...
