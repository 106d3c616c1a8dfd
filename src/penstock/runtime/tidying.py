"""One round through a store: what has been dealt with goes, a few rows at a time, into the archive first where there is one.

What may go is decided by the store, from what is durable. So a round can stop anywhere, go on later, and run beside others.
"""

from collections import Counter
from collections.abc import Awaitable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from penstock.core.agents.retention import Counting, Ended, Retention, before_ms, run_rules
from penstock.ports.archive import Archive
from penstock.ports.blobs import Swept
from penstock.ports.clock import Clock
from penstock.ports.retention import DRY, NOW, Found, How, OldEvents
from penstock.ports.store import Store
from penstock.runtime.archiving import Keeper
from penstock.runtime.generations import mark_of

BATCH = 100
SEGMENT = 1000  # events in one part of the archive
SEGMENT_BYTES = 8 * 1024 * 1024
SEGMENT_RUNS = 500
PAUSE_S = 0.02  # between two batches, and at least `REST` times as long as a batch took
REST = 4.0
BATCHES_MAX = 50_000  # in one round; the next one goes on
PASSES_MAX = (
    4  # over the events: what went may have been the last that another was kept for. Beside steady work it never ends
)
READ_MS = 3_600_000  # blobs used within it stay: somebody may be reading what referred to them
COUNTED = 500
FORESEEN_MAX = 1_000_000  # events of a dry round: it holds their ids
T = TypeVar("T")


@dataclass(slots=True)
class Gone:
    """Rows of one kind that went, or would go, and their bytes."""

    rows: int = 0
    freed_bytes: int = 0


@dataclass(slots=True)
class Tidied:
    """What one round removed, or would remove, by kind and name."""

    parts: dict[tuple[str, str], Gone] = field(default_factory=dict[tuple[str, str], Gone])

    def add(self, kind: str, name: str, rows: int, freed_bytes: int) -> None:
        if rows:
            part = self.parts.setdefault((kind, name), Gone())
            part.rows += rows
            part.freed_bytes += freed_bytes

    def _rows(self, kind: str) -> int:
        return sum(part.rows for (each, _), part in self.parts.items() if each == kind)

    @property
    def events(self) -> int:
        return self._rows("events")

    @property
    def journals(self) -> int:
        return self._rows("journals")

    @property
    def messages(self) -> int:
        return self._rows("sessions")

    @property
    def values(self) -> int:
        return self._rows("values")

    @property
    def blobs(self) -> int:
        return self._rows("blobs")

    @property
    def freed_bytes(self) -> int:
        return sum(part.freed_bytes for part in self.parts.values())


@dataclass(frozen=True, slots=True)
class Household:
    """What must be known of an app to tidy its store: how long it keeps what, and where what goes is kept."""

    retention: Retention = field(default_factory=Retention)
    agents: Mapping[str, Retention] = field(default_factory=dict[str, Retention])
    kept_whole: frozenset[str] = frozenset()
    names: tuple[str, ...] = ()  # of all agents
    archive: Archive | None = None
    app: str = ""
    version: str = ""


class Owned(Protocol):
    """What an engine works on."""

    @property
    def partitions(self) -> Collection[int]: ...

    def takers(self, topic: str, partition: int) -> tuple[str, ...]:
        """Return the agents that must be done with an event before it may go."""
        ...


@dataclass(slots=True)
class Places:
    """Where the last round stopped."""

    runs: int = 0
    sessions: bytes = b""
    values: bytes = b""
    blobs: bytes = b""


class Round:
    """One round through the partitions that an engine works on, and through what belongs to none. `dry`: nothing is removed."""

    def __init__(self, store: Store, clock: Clock, household: Household, owned: Owned, *, dry: bool = False) -> None:
        self._store = store
        self._clock = clock
        self._household = household
        self._owned = owned
        self._dry = dry
        archive, home = household.archive, household
        self._keeper = None if archive is None or dry else Keeper(archive, store, home.app, home.version)
        self._left = BATCHES_MAX
        self._newest: Mapping[str, Ended] = {}
        self._followed: list[tuple[str, Found]] = []  # in a dry round: events that need what followed from them to go
        self._followers: Counter[str] = Counter()
        self.done = Tidied()

    async def run(self, places: Places, *, rest: float = REST) -> Tidied:
        """Go through everything once, from where the last round stopped, as far as `BATCHES_MAX` allows."""
        self._rest = rest
        self._newest = await self._counted()
        for _ in range(1 if self._dry else PASSES_MAX):
            removed = self.done.events
            for (topic, partition), end in (await self._store.ends()).items():
                if partition in self._owned.partitions:
                    await self._topic(topic, partition, end)
            if removed == self.done.events or not self._left:
                break
        self._follow()
        await self._runs(places)
        await self._sessions(places)
        await self._values(places)
        await self._blobs(places)
        return self.done

    async def _counted(self) -> Mapping[str, Ended]:
        """Return the moments before which agents have more runs than they keep."""
        home = self._household
        counting = Counting({name: home.agents.get(name, home.retention) for name in home.names})
        before = 0
        while not counting.is_done and self._left:
            page = await self._paced(self._store.ended_runs(before=before, limit=COUNTED))
            for each in page:
                counting.add(each.agent, each.at_ms)
            if len(page) < COUNTED:
                break
            before = page[-1].number
        return counting.newest

    async def _topic(self, topic: str, partition: int, end: int) -> None:
        home, now_ms = self._household, self._clock.now_ms()
        keep = home.retention.of_topic(topic, home.kept_whole)
        through = 0 if keep.count is None else end - keep.count
        if keep.days is None and through <= 0:
            return
        rules = run_rules(home.retention, home.agents, now_ms, self._newest)
        takers = self._owned.takers(topic, partition)
        mark = mark_of(partition) if topic in home.kept_whole else None
        old = OldEvents(topic, partition, takers, before_ms(now_ms, keep.days), through, rules, mark)
        after = 0
        while True:
            after = await self._events(old, after)
            if not (after and self._left):
                return

    async def _events(self, old: OldEvents, after: int) -> int:
        """Have some events go, and return where to go on, 0 at the end."""
        if self._keeper is None:
            pruned = await self._paced(
                self._store.prune_events(old, after=after, limit=BATCH, how=DRY if self._dry else NOW)
            )
            if self._dry:
                self._foresee(old.topic, pruned.found)
                return pruned.after if len(self._followed) + self.done.events < FORESEEN_MAX else 0
            self.done.add("events", old.topic, pruned.removed, pruned.freed_bytes)
            return pruned.after
        starts: list[int] = []
        ids: list[str] = []
        size, place = 0, after
        while True:
            starts.append(place)
            page = await self._paced(self._store.prune_events(old, after=place, limit=BATCH, how=DRY))
            free = [each for each in page.found if not each.followers]
            ids += [each.id for each in free]
            size += sum(each.held_bytes for each in free)
            place = page.after
            if not place or len(ids) >= SEGMENT or size >= SEGMENT_BYTES or not self._left:
                break
        if ids:
            await self._keeper.events(ids, self._clock.now_ms())
            among = How(among=frozenset(ids))
            for start in starts:
                pruned = await self._paced(self._store.prune_events(old, after=start, limit=BATCH, how=among))
                self.done.add("events", old.topic, pruned.removed, pruned.freed_bytes)
        return place

    def _foresee(self, topic: str, found: Collection[Found]) -> None:
        for each in found:
            if each.followers:
                self._followed.append((topic, each))
            else:
                self._goes(topic, each)

    def _goes(self, topic: str, found: Found) -> None:
        self.done.add("events", topic, 1, found.held_bytes)
        parts = found.id.split(".")
        self._followers.update(".".join(parts[:length]) for length in range(1, len(parts)))

    def _follow(self) -> None:
        """Count the events that would go once all that followed from them had gone."""
        left = -1
        while left != len(self._followed):
            left = len(self._followed)
            waiting, self._followed = self._followed, []
            for topic, each in waiting:
                if self._followers[each.id] >= each.followers:
                    self._goes(topic, each)
                else:
                    self._followed.append((topic, each))

    async def _runs(self, places: Places) -> None:
        home = self._household
        rules = run_rules(home.retention, home.agents, self._clock.now_ms(), self._newest)
        after = 0 if self._dry else places.runs
        while self._left:
            how, limit = DRY if self._dry else NOW, BATCH
            if self._keeper is not None:
                limit = SEGMENT_RUNS
                page = await self._paced(self._store.prune_runs(rules, after=after, limit=limit, how=DRY))
                ids = [each.id for each in page.found]
                if ids:
                    await self._keeper.runs(ids, self._clock.now_ms())
                how = How(among=frozenset(ids))
            pruned = await self._paced(self._store.prune_runs(rules, after=after, limit=limit, how=how))
            self.done.add("journals", "", pruned.removed or len(pruned.found), pruned.freed_bytes)
            if not pruned.after:
                return
            after = pruned.after
            if not self._dry:
                places.runs = after

    async def _sessions(self, places: Places) -> None:
        after = b"" if self._dry else places.sessions
        while self._left:
            now_ms = self._clock.now_ms()
            swept = await self._paced(self._store.prune_sessions(now_ms, after=after, limit=BATCH, dry=self._dry))
            after = self._swept("sessions", swept)
            if not self._dry:
                places.sessions = after
            if not after:
                return

    async def _values(self, places: Places) -> None:
        home, now_ms = self._household, self._clock.now_ms()
        days = {name: home.agents.get(name, home.retention).values_days for name in home.names}
        moments = {name: before_ms(now_ms, each) for name, each in days.items() if each is not None}
        after = b"" if self._dry else places.values
        while moments and self._left:
            swept = await self._paced(self._store.prune_values(moments, after=after, limit=BATCH, dry=self._dry))
            after = self._swept("values", swept)
            if not self._dry:
                places.values = after
            if not after:
                return

    async def _blobs(self, places: Places) -> None:
        after = b"" if self._dry else places.blobs
        while self._left:
            before = self._clock.now_ms() - READ_MS
            swept = await self._paced(
                self._store.sweep_blobs(before_ms=before, after=after, limit=BATCH, dry=self._dry)
            )
            after = self._swept("blobs", swept)
            if not self._dry:
                places.blobs = after
            if not after:
                return

    def _swept(self, kind: str, swept: Swept) -> bytes:
        self.done.add(kind, "", swept.removed, swept.freed_bytes)
        return swept.after

    async def _paced(self, batch: Awaitable[T]) -> T:
        """Do one batch, and leave the store to others for a while."""
        self._left -= 1
        began_s = self._clock.monotonic_s()
        result = await batch
        await self._clock.sleep(max(PAUSE_S, self._rest * (self._clock.monotonic_s() - began_s)))
        return result
