"""What handlings read and write most, kept in memory: sessions and values, read through from the store.

An entry that a commit has not written yet must not be dropped, since the store would answer with an older one: entries
carry the number of the commit that takes their newest change.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from penstock.core.sessions.history import History
from penstock.ports.clock import Clock
from penstock.ports.state import StateStore
from penstock.runtime.committer import Committer

ENTRIES_MAX = 20_000
T = TypeVar("T")
Key = tuple[str, ...]


class Entry(Generic[T]):
    """Something kept, the commit that takes its newest change, and how many handlings hold it."""

    __slots__ = ("changed_in", "content", "holders", "stale")

    def __init__(self, content: T) -> None:
        self.content = content
        self.stale = False  # whether it is to be read anew, once nobody holds it
        self.changed_in = 0
        self.holders = 0


class Shelf(Generic[T]):
    """The most recently used contents, up to `ENTRIES_MAX`, and those that must not be dropped yet."""

    def __init__(self, load: Callable[[Key], Awaitable[T]], committer: Committer) -> None:
        self._load = load
        self._committer = committer
        self._entries: OrderedDict[Key, Entry[T]] = OrderedDict()

    async def hold(self, key: Key) -> Entry[T]:
        """Return what is kept under the key. It stays until it was given to `let_go` as often as it was held."""
        entry = self._entries.get(key)
        if entry is not None and entry.stale and self._may_go(entry):
            entry = None
            del self._entries[key]
        if entry is None:
            content = await self._load(key)
            entry = self._entries.setdefault(key, Entry(content))  # another handling may have been quicker
            entry.holders += 1
            self._shrink()
        else:
            entry.holders += 1
            self._entries.move_to_end(key)
        return entry

    def let_go(self, entry: Entry[T]) -> None:
        entry.holders -= 1

    def changed(self, entry: Entry[T]) -> None:
        """The next commit writes a change of this entry."""
        entry.changed_in = self._committer.number

    def forget(self) -> None:
        """Drop what may be dropped: another worker may change it from now on."""
        self._entries = OrderedDict((key, each) for key, each in self._entries.items() if not self._may_go(each))
        for each in self._entries.values():
            each.stale = True

    def _may_go(self, entry: Entry[T]) -> bool:
        return not entry.holders and entry.changed_in <= self._committer.durable_number

    def _shrink(self) -> None:
        while len(self._entries) > ENTRIES_MAX:
            key, entry = next(iter(self._entries.items()))
            if not self._may_go(entry):
                self._entries.move_to_end(key)  # a later call drops it
                return
            del self._entries[key]


class Memory:
    """The sessions and values of an engine."""

    def __init__(self, store: StateStore, committer: Committer, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.sessions: Shelf[History] = Shelf(self._history, committer)
        self.values: Shelf[dict[str, bytes]] = Shelf(self._values, committer)

    def forget(self) -> None:
        """Drop what nobody holds and nothing is to be written of."""
        self.sessions.forget()
        self.values.forget()

    async def _history(self, key: Key) -> History:
        tenant, session = key
        return await self._store.history(tenant, session, now_ms=self._clock.now_ms())

    async def _values(self, key: Key) -> dict[str, bytes]:
        tenant, agent, of = key
        return dict(await self._store.values(tenant, agent, of))
