"""What is remembered of a run's steps beside its journal, and overwritten there: signs of life, decisions of people.

It lies among the values, under a name that no agent has; what a step leaves is removed with its end.
"""

from penstock.core.agents.unit import ValueWrite, Writes
from penstock.runtime.committer import Committer
from penstock.runtime.memory import Entry, Memory

OWNER = ":steps"  # the name of an agent has no colon


class Notes:
    """The notes of one run, held in memory until let go."""

    __slots__ = ("_committer", "_entry", "_key", "_memory")

    def __init__(self, tenant: str, run_id: str, memory: Memory, committer: Committer) -> None:
        self._key = (tenant, OWNER, run_id)
        self._memory = memory
        self._committer = committer
        self._entry: Entry[dict[str, bytes]] | None = None

    async def hold(self) -> "Notes":
        """Read them, where they are not in memory."""
        self._entry = await self._memory.values.hold(self._key)
        return self

    def let_go(self) -> None:
        if self._entry is not None:
            self._memory.values.let_go(self._entry)
            self._entry = None

    def find(self, name: str) -> bytes | None:
        assert self._entry is not None, "notes are held before they are read"
        return self._entry.content.get(name)

    def write(self, name: str, body: bytes | None) -> None:
        """Write a note with the commit that is being collected; None removes it."""
        entry = self._entry
        if entry is None or (body is None and name not in entry.content):
            return
        writes: Writes = self._committer.add()
        writes.values.append(ValueWrite(*self._key, name, body))
        if body is None:
            del entry.content[name]
        else:
            entry.content[name] = body
        self._memory.values.changed(entry)
