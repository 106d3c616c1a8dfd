"""Handlings that may have killed the process before this one: they are counted, and bounded (C6).

What is handled for the first time is not marked: that would be a write for each handling. Only what a process finds unhandled
at its start may have been under way when the one before died: the first event of each lane, among as many as are in memory at
once. Each of those is marked, durably, before it is handled again, and the mark is removed when the handling ends, well or not.

One event that kills takes others with it, which are marked beside it. So the more often a handling was cut off, the fewer such
are under way at once, until the one to blame is marked alone: the others end meanwhile.
"""

import asyncio

import msgspec

from penstock.core.events.envelope import run_id as run_id_of
from penstock.runtime.committer import Committer
from penstock.runtime.lanes import Delivery
from penstock.runtime.memory import Memory
from penstock.runtime.notes import Notes
from penstock.runtime.subscriptions import WAITING_MAX, Subscription

DEATHS_MAX = 6
AT_ONCE = {2: 32, 3: 4, 4: 1}  # deaths -> handlings under way; from the last one on: alone
BEGUN, BEGUN_TOGETHER = "/begun", "/begun together"  # notes under the run of the first event


class Marked:
    """A handling that is under way again."""

    __slots__ = ("deaths", "name", "notes", "turn")

    def __init__(self, notes: Notes, name: str, deaths: int, turn: asyncio.Semaphore | None) -> None:
        self.notes = notes
        self.name = name
        self.deaths = deaths
        self.turn = turn


class Suspects:
    """Those of an engine."""

    def __init__(self, memory: Memory, committer: Committer) -> None:
        self._memory = memory
        self._committer = committer
        self.turns = {deaths: asyncio.Semaphore(count) for deaths, count in AT_ONCE.items()}
        self.marked: dict[str, Marked] = {}

    async def deaths(self, delivery: Delivery, subscription: Subscription) -> int:
        """Mark what may be to blame, and return how many processes died in its handling; at `DEATHS_MAX` it must not begin."""
        if not _may_be_to_blame(delivery, subscription):
            return 0
        first = delivery.events[0].event
        run_id = run_id_of(first.id, delivery.agent.name)
        notes = await Notes(first.tenant, run_id, self._memory, self._committer).hold()
        name = BEGUN_TOGETHER if len(delivery.events) > 1 else BEGUN
        found = notes.find(name)
        deaths = 0 if found is None else msgspec.msgpack.decode(found, type=int)
        if name == BEGUN_TOGETHER and notes.find(BEGUN) is not None:
            deaths = DEATHS_MAX  # its first event was handled alone already, and did not end: no need to find out again
        if deaths >= DEATHS_MAX:
            if name == BEGUN:
                _remove(notes)
            notes.let_go()
            return deaths
        turn = self.turns.get(min(deaths, max(AT_ONCE)))
        if turn is not None:
            await turn.acquire()
        notes.write(name, msgspec.msgpack.encode(deaths + 1))
        self.marked[delivery.run_id] = Marked(notes, name, deaths, turn)
        try:
            await self._committer.durable()
        except asyncio.CancelledError:  # it is another worker's now
            self.survived(delivery.run_id)
            raise
        return deaths

    def survived(self, run_id: str) -> None:
        """The handling has ended, or waits for a person: with the commit that says so, it is no suspect any more."""
        marked = self.marked.pop(run_id, None)
        if marked is not None:
            _remove(marked.notes)
            marked.notes.let_go()
            if marked.turn is not None:
                marked.turn.release()

    async def acquit(self) -> None:
        """The process ends as it should: what it cuts off is not to blame."""
        for marked in self.marked.values():
            marked.notes.write(marked.name, msgspec.msgpack.encode(marked.deaths) if marked.deaths else None)
        if self.marked:
            await self._committer.durable()


def _may_be_to_blame(delivery: Delivery, subscription: Subscription) -> bool:
    if delivery.agent.options.batch and len(delivery.events) == 1:
        return True  # a batch that killed is taken apart, and any of its events may be the one
    met = subscription.met
    if delivery.lane in met or len(met) >= WAITING_MAX:
        return False
    met.add(delivery.lane)
    return True


def _remove(notes: Notes) -> None:
    notes.write(BEGUN, None)
    notes.write(BEGUN_TOGETHER, None)
