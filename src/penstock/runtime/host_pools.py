"""The workers of one agent on a host: as many as there is to do, within what the agent declares.

A pool grows when handlings wait for which no worker has room, and lets go of a worker that had nothing to do for a while. What
waits here is bounded by the engine, which begins only so many handlings.
"""

import asyncio
import logging
import math
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

from penstock.core.agents.resources import Resources
from penstock.errors import PenstockError, Unavailable
from penstock.ports.clock import Clock
from penstock.runtime.host_links import Link
from penstock.runtime.tasks import Tasks

LOOK_S_MAX = 5.0  # at least so often it is looked for workers that are idle
_log = logging.getLogger("penstock")
Start = Callable[[], Awaitable[Link]]


class Member:
    """A worker of a pool: how much of it is taken, and since when nothing."""

    __slots__ = ("idle_since_s", "link", "taken")

    def __init__(self, link: Link, now_s: float) -> None:
        self.link = link
        self.taken = 0
        self.idle_since_s = now_s


class Pool:
    """The workers of one agent."""

    def __init__(self, name: str, resources: Resources, start: Start, clock: Clock, tasks: Tasks) -> None:
        self.name = name
        self.resources = resources
        self._start = start
        self._clock = clock
        self._tasks = tasks
        self._members: list[Member] = []
        self._starting = 0
        self._waiting: deque[tuple[asyncio.Future[Member], int]] = deque()
        self._is_over = False

    @property
    def size(self) -> int:
        """How many workers there are."""
        return len(self._members)

    @property
    def waiting(self) -> int:
        """How many handlings wait for one."""
        return len(self._waiting)

    @asynccontextmanager
    async def lease(self, *, alone: bool = False) -> AsyncGenerator[Link]:
        """Yield a worker that has room for one handling; `alone`: which does nothing else meanwhile."""
        places = self.resources.handlings_max if alone else 1
        member = await self._taken(places)
        try:
            yield member.link
        finally:
            self._given_back(member, places)

    async def run(self) -> None:
        """Keep as many workers as are declared at least, and let go of those that are idle, until cancelled."""
        while True:
            self._grow(self.resources.workers_min - len(self._members) - self._starting)
            await self._clock.sleep(min(LOOK_S_MAX, self.resources.idle_s / 2))
            await self._let_go(self.resources.idle_s)

    async def make_room(self) -> None:
        """Let go of workers that have nothing to do just now: another pool finds no room."""
        if not self._waiting:
            await self._let_go(0.0)

    async def end(self) -> None:
        """End all workers."""
        self._is_over = True
        self._fail_waiting(Unavailable(f"the workers of {self.name!r}", "handle", "the engine ends"))
        members, self._members = self._members, []
        await asyncio.gather(*(each.link.end() for each in members))

    async def _let_go(self, idle_s: float) -> None:
        self._sort_out()
        now_s = self._clock.monotonic_s()
        for member in list(self._members):
            is_idle = not member.taken and now_s - member.idle_since_s >= idle_s
            if is_idle and len(self._members) > self.resources.workers_min:
                self._members.remove(member)
                await member.link.end()

    async def _taken(self, places: int) -> Member:
        future: asyncio.Future[Member] = asyncio.get_running_loop().create_future()
        self._waiting.append((future, places))
        self._fill()
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                self._given_back(future.result(), places)
            else:
                self._waiting = deque(each for each in self._waiting if each[0] is not future)
            raise

    def _given_back(self, member: Member, places: int) -> None:
        member.taken -= places
        member.idle_since_s = self._clock.monotonic_s()
        self._fill()

    def _fill(self) -> None:
        """Give who waits longest the worker that has most room, and start more workers for the rest."""
        self._sort_out()
        most = self.resources.handlings_max
        while self._waiting:
            future, places = self._waiting[0]
            member = min(self._members, key=lambda each: each.taken, default=None)
            if member is None or member.taken + places > most:
                break
            self._waiting.popleft()
            if not future.done():
                member.taken += places
                future.set_result(member)
        wanted = math.ceil(sum(places for _, places in self._waiting) / most)
        self._grow(wanted - self._starting)

    def _grow(self, count: int) -> None:
        room = self.resources.workers_max - len(self._members) - self._starting
        for _ in range(0 if self._is_over else min(count, room)):
            self._starting += self._tasks.start(self._started()) is not None

    async def _started(self) -> None:
        try:
            link = await self._start()
        except PenstockError as error:
            self._starting -= 1
            _log.warning("no worker could be started for %r: %s", self.name, error)
            if not self._members and not self._starting:
                self._fail_waiting(error)
            return
        except asyncio.CancelledError:
            self._starting -= 1
            raise
        self._starting -= 1
        self._members.append(Member(link, self._clock.monotonic_s()))
        if self._is_over:
            await self.end()
        else:
            self._fill()

    def _sort_out(self) -> None:
        self._members = [each for each in self._members if each.link.failure is None]

    def _fail_waiting(self, error: PenstockError) -> None:
        while self._waiting:
            future, _ = self._waiting.popleft()
            if not future.done():
                future.set_exception(error)
