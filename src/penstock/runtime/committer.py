"""Writes what handlings did, in order, many at once, and then releases what waited for it.

- There is one committer, and it writes in the order in which it was given work: an effect never becomes durable before its
  cause, so handlings may go on from results that are not durable yet. Only *release* waits (C7).
- After a commit that cannot be made, nothing is released any more: what is in memory is ahead of what is durable, and only a
  restart from the store is safe.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from inspect import isawaitable
from typing import Protocol, TypeVar, cast

from penstock.core.agents.journal import Journal, encode_chunk
from penstock.core.agents.pieces import StreamChunk
from penstock.core.agents.progress import Progress
from penstock.core.agents.unit import JournalChunk, ProgressWrite, Sent, Writes
from penstock.core.events.envelope import UNPLACED, Recorded
from penstock.core.telemetry.meters import Meters
from penstock.errors import PenstockError
from penstock.ports.state import Claim, StateStore
from penstock.runtime.write_points import Reached, WritePoint, unwatched

T = TypeVar("T")
Release = Callable[[], None]
UNITS_MAX = 8192  # units of work that may wait for one commit
QUIET_TICKS = 3  # ticks of the loop without anything new after which a commit begins
TICKS_MAX = 64
GROUP = 16  # ended runs that are worth a commit of their own, which then goes on beside the others


class Streaming(Protocol):
    """A run that told something that no commit has taken."""

    is_due: bool

    def take(self) -> tuple[list[StreamChunk], Release]: ...


class Committer:
    """Collects units of work and commits them in groups."""

    def __init__(self, store: StateStore, claim: Claim, reached: Reached = unwatched) -> None:
        self._store = store
        self._reached = reached
        self.claim = claim
        self._wake = asyncio.Event()
        self._open = Writes()
        self._releases: list[Release] = []
        self._progress: dict[tuple[str, str, int], Progress] = {}
        self._journals: dict[str, Journal] = {}
        self.streaming: dict[str, Streaming] = {}
        self._units = 0
        self._news = 0
        self._committing = False
        self._durable: asyncio.Future[None] | None = None  # what was added since the last commit began
        self._landing: asyncio.Future[None] | None = None  # what the commit under way takes
        self._next: asyncio.Future[None] | None = None
        self.number = 1  # of the commit that takes what is added now
        self.durable_number = 0
        self.failure: PenstockError | None = None
        self.meters = Meters()
        self.monotonic_s: Callable[[], float] = float  # no clock: no time passes
        self.on_room: Release = _nothing
        self.on_sent: Callable[[Recorded], None] | None = None  # set where other workers own partitions
        self.carried: Collection[str] = ()  # topics of a broker: what is sent there gets its place when it comes back
        self.turn = asyncio.Lock()  # who has it knows that no commit is under way

    def add(self, release: Release | None = None) -> Writes:
        """Return the writes of the next commit, to add one whole unit of work to; `release` is called once it is durable."""
        if release is not None:
            self._releases.append(release)
        self._units += 1
        self._news += 1
        self._wake.set()
        return self._open

    def done(self, agent: str, topic: str, partition: int, progress: Progress) -> None:
        """Write the progress of an agent with the next commit; something else is added with it."""
        self._progress[agent, topic, partition] = progress

    def recorded(self, run_id: str, journal: Journal) -> None:
        """Write the fresh records of a run that goes on with the next commit."""
        self._journals[run_id] = journal
        self._news += 1
        self._wake.set()

    def wake(self) -> None:
        """Commit soon: some of what is streamed is due."""
        self._news += 1
        self._wake.set()

    def ended(self, run_id: str, journal: Journal) -> bytes:
        """Return the records of a run that ends now and that no commit has taken yet, as one chunk."""
        self._journals.pop(run_id, None)
        if self.streaming:
            self._take_pieces(run_id, self._open, self._releases)
        return encode_chunk(journal.fresh) if journal.fresh else b""

    def put(self, partitions: Collection[int], place: Callable[[Recorded], Recorded]) -> list[Recorded]:
        """Give a place to the events that the next commit would have sent to these partitions, and return them."""
        events = self._open.events
        waiting = [_waits_for(each, partitions) and each.position.topic not in self.carried for each in events]
        given = [place(each) for each, waits in zip(events, waiting, strict=True) if waits]
        if given:  # in the order of the places
            self._open.events = [each for each, waits in zip(events, waiting, strict=True) if not waits] + given
        return given

    @property
    def full(self) -> bool:
        """Whether so much waits that no new work should begin."""
        return self._units >= UNITS_MAX

    @property
    def idle(self) -> bool:
        """Whether all that was added is durable."""
        return not (self._committing or self._wake.is_set())

    async def durable(self) -> None:
        """Return once everything added so far is durable."""
        if self.failure is not None:
            raise self.failure
        if self._wake.is_set():
            waited = self._durable = self._durable or asyncio.get_running_loop().create_future()
        elif self._committing:  # it takes all that was added: another one would be empty
            waited = self._landing = self._landing or asyncio.get_running_loop().create_future()
        else:
            return
        await asyncio.shield(waited)  # many wait for the same commit, and one that gives up must not end it

    async def until(self, look: Callable[[], T | Awaitable[T]], holds: Callable[[T], bool] = bool) -> T:
        """Return what `look` finds once it holds: it looks after each commit, and misses none that is made meanwhile."""
        while True:
            seen = self.durable_number
            looked = look()
            found = cast("T", await cast("Awaitable[T]", looked) if isawaitable(looked) else looked)
            if holds(found):
                return found
            if self.durable_number == seen:
                await self._next_commit()

    async def _next_commit(self) -> None:
        if self.failure is not None:
            raise self.failure
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._next)

    async def run(self) -> None:
        """Commit until cancelled; raise what cannot be mended."""
        while True:
            await self._wake.wait()
            await self._gathered()
            async with self.turn:
                await self.flush()

    async def flush(self) -> None:
        """Commit what was added."""
        self._landing, self._durable = self._durable, None
        began_s, units = self.monotonic_s(), self._units
        writes, releases, number = self._taken()
        self._committing = True
        self._reached(WritePoint.BEFORE_COMMIT)
        try:
            await self._store.commit(self.claim, number, writes)
        except PenstockError as error:
            self.stop(error)
            raise
        finally:
            self._committing = False
        self.durable_number = number
        self.meters.commits.observe(self.monotonic_s() - began_s)
        self.meters.commit_units.observe(units)
        self._reached(WritePoint.AFTER_COMMIT)
        for release in releases:
            release()
        if self._landing is not None:
            landed, self._landing = self._landing, None
            landed.set_result(None)
        if self._next is not None:
            following, self._next = self._next, None
            following.set_result(None)
        self._reached(WritePoint.AFTER_RELEASE)
        self.on_room()

    def stop(self, error: PenstockError) -> None:
        """Tell all who wait, and whoever comes from now on, that nothing more is committed."""
        if self.failure is None:
            self.failure = error
        _fail([self._landing, self._durable, self._next], self.failure)
        self._landing = self._durable = self._next = None

    async def _gathered(self) -> None:
        """Wait while the handlings under way still bring something new: a turn that ends within a few ticks costs one sync."""
        quiet = 0
        for _ in range(TICKS_MAX):
            news = self._news
            await asyncio.sleep(0)
            quiet = quiet + 1 if self._news == news else 0
            if quiet == QUIET_TICKS or len(self._open.runs) >= GROUP or self.full:
                return

    def _taken(self) -> tuple[Writes, list[Release], int]:
        writes, releases, number = self._open, self._releases, self.number
        if self.streaming:
            for run_id in [each for each, run in self.streaming.items() if run.is_due or each in self._journals]:
                self._take_pieces(run_id, writes, releases)
        for run_id, journal in self._journals.items():
            writes.journal.append(JournalChunk(run_id, journal.stored, encode_chunk(journal.fresh)))
            journal.stored += 1
            journal.fresh.clear()
        for (agent, topic, partition), progress in self._progress.items():
            writes.progress.append(ProgressWrite(agent, topic, partition, progress.low, progress.above))
        if self.on_sent is not None:
            _send(writes, self.on_sent)
        self._open, self._releases, self._units = Writes(), [], 0
        self._journals, self._progress = {}, {}
        self.number += 1
        self._wake.clear()
        return writes, releases, number

    def _take_pieces(self, run_id: str, writes: Writes, releases: list[Release]) -> None:
        run = self.streaming.pop(run_id, None)
        if run is not None:
            chunks, landed = run.take()
            writes.streams.extend(chunks)
            releases.append(landed)


def _waits_for(recorded: Recorded, partitions: Collection[int]) -> bool:
    return recorded.position.offset == UNPLACED and recorded.position.partition in partitions


def _send(writes: Writes, on_sent: Callable[[Recorded], None]) -> None:
    """Send the events that have no place here to the owners of their partitions."""
    unplaced = [each for each in writes.events if not each.position.is_given]
    if unplaced:
        writes.events = [each for each in writes.events if each.position.is_given]
        for each in unplaced:
            writes.sent.append(Sent(each.position.topic, each.position.partition, each.event))
            on_sent(each)


def _nothing() -> None:
    """Stand in for nobody who waits for room."""


def _fail(waiting: list[asyncio.Future[None] | None], error: PenstockError) -> None:
    for future in waiting:
        if future is not None:
            future.set_exception(error)
            future.exception()  # whoever waited may be gone: that is no error of its own
