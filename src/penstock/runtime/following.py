"""Following a stream: what is durable from an offset on, then what is told, without a gap and nothing twice, to the run's end.

- A follower is an offset. What it has not read lies in the store or, not durable yet, in memory: it has no queue of its own that
  could overflow, and one who is slow or comes back reads on from the store.
- A run that another worker handles, or nobody yet, is looked for in the store from time to time.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Protocol

from msgspec.structs import replace

from penstock.core.agents.pieces import ENDED, Piece, decode_pieces, reset
from penstock.core.agents.unit import RunChange
from penstock.core.events.envelope import event_of, run_id
from penstock.errors import Missing, PenstockError, Refused
from penstock.ports.store import Store
from penstock.runtime.run_streams import RunStreams
from penstock.runtime.streams import CHUNKS, FOLLOWED_S, Streams
from penstock.runtime.topology import Topology

LOOK_S, LOOK_MAX_S = 0.1, 2.0
NOTES_MAX = 16
SAID_S = FOLLOWED_S / 2
OVER = ("succeeded", "failed", "cancelled")


class Follower:
    """One who follows one stream of one run."""

    def __init__(
        self, streams: Streams, store: Store, run_id: str, tenant: str, *, name: str, from_offset: int
    ) -> None:
        self._streams = streams
        self._store = store
        self._run_id = run_id
        self._tenant = tenant
        self._name = name
        self._next = max(0, from_offset)
        self._has_read = False  # at least once from the store
        self._pause_s = LOOK_S  # until the next look, doubled when there was nothing
        self._arrived = asyncio.Event()
        self._failure: PenstockError | None = None
        self._notes: deque[Piece] = deque(maxlen=NOTES_MAX)
        self._said_s = -SAID_S
        self.say_so: Callable[[], None] | None = None  # to the worker that handles the run, where that is another one

    def wake(self) -> None:
        self._arrived.set()

    def fail(self, error: PenstockError) -> None:
        """End with this error what follows."""
        self._failure = error
        self._arrived.set()

    def tell(self, piece: Piece) -> None:
        """Have the follower yield something that is not of the stream."""
        self._notes.append(piece)
        self._arrived.set()

    async def pieces(self) -> AsyncGenerator[Piece]:
        """Yield the pieces, and at last one that says how the run ended (`ended`).

        Raises what stopped the engine: follow again, from the offset after the last piece. `Missing` when the tenant has no
        such run, `LimitReached` when too many follow.
        """
        change = await self._change()
        while change.status not in OVER:
            with self._streams.following(self._run_id, self) as run:
                change = await self._change()  # it may have ended before we were told of ends
                while not run.is_over and change.status not in OVER:
                    self._arrived.clear()
                    async for piece in self._news(run):
                        yield piece
                    while self._notes:
                        yield self._notes.popleft()
                    if self._failure is not None:
                        raise self._failure
                    if run.teller is None:
                        self._say_so()
                    await self._arrival(run)
                    if run.is_over or run.teller is None:
                        change = await self._change()
        async for piece in self._stored():
            yield piece
        for piece in await self._end(change):
            yield piece

    def _say_so(self) -> None:
        """Now and then, have the worker that handles the run know that somebody follows it here."""
        now_s = asyncio.get_running_loop().time()
        if self.say_so is not None and now_s >= self._said_s + SAID_S:
            self._said_s = now_s
            self.say_so()

    async def _news(self, run: RunStreams) -> AsyncGenerator[Piece]:
        """Yield what is durable or in memory, until there is no more for now."""
        while True:
            stream = run.streams.get(self._name)
            if stream is None:
                if run.teller is None or not self._has_read:
                    async for piece in self._stored():
                        yield piece
                return
            if self._next < stream.durable:
                async for piece in self._stored():
                    yield piece
            elif (piece := stream.shown(self._next)) is not None:
                self._next = piece.offset + 1
                yield piece
            else:
                return

    async def _stored(self) -> AsyncGenerator[Piece]:
        """Yield what the store has."""
        self._has_read = True
        while chunks := await self._store.pieces(
            self._tenant, self._run_id, self._name, from_offset=self._next, limit=CHUNKS
        ):
            for chunk in chunks:
                for piece in decode_pieces(chunk):
                    if piece.offset >= self._next:
                        self._next, self._pause_s = piece.offset + 1, LOOK_S
                        yield piece

    async def _end(self, change: RunChange) -> list[Piece]:
        ends = {end.name: end.next for end in await self._store.streams(self._tenant, self._run_id)}
        return end_of(change, self._name, end=ends.get(self._name, 0), read_to=self._next)

    async def _arrival(self, run: RunStreams) -> None:
        if run.teller is not None:
            await self._arrived.wait()
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(self._pause_s):
                await self._arrived.wait()
        self._pause_s = min(2 * self._pause_s, LOOK_MAX_S)

    async def _change(self) -> RunChange:
        stored = await self._store.run(self._run_id)
        if stored is None or stored.change.tenant != self._tenant:
            raise Missing(f"the run {self._run_id!r}", "see `penstock runs list`")
        return stored.change


def end_of(change: RunChange, name: str, *, end: int, read_to: int) -> list[Piece]:
    """Return what is told after the last piece of a stream, whose offset is below `end`; nothing while the run goes on."""
    if change.status not in OVER:
        return []
    pieces: list[Piece] = []
    if read_to > end:  # what was read from there on was shown by a process that died, and is lost
        pieces.append(replace(reset([(end, read_to)], change.attempt), run_id=change.run_id, stream=name))
    told = {"reason": change.reason} if change.reason else None
    last = Piece(ENDED, change.run_id, text=change.status, data=told, offset=end, stream=name, attempt=change.attempt)
    return [*pieces, last]


class Known(Protocol):
    """Where runs are looked up."""

    @property
    def store(self) -> Store: ...
    @property
    def topology(self) -> Topology: ...


async def run_to_follow(known: Known, id: str, tenant: str) -> str:
    """Return the run that is meant by its id, or by that of the event which it handles.

    `Missing` when the tenant has no such run, `Refused` when several agents handle the event.
    """
    store, topology = known.store, known.topology
    stored = await store.run(id)
    event_id, agent = event_of(id)
    if stored is not None and stored.change.tenant == tenant:
        takers = await _takers(store, topology, event_id, tenant)
        if stored.change.attempt or agent in takers:  # a run that has not begun is one of any name, to the store
            return id
    takers = await _takers(store, topology, id, tenant)
    if not takers:
        raise Missing(f"the run {id!r}", "see `penstock runs list`")
    if len(takers) > 1:
        raise Refused(
            f"event {id!r} has {len(takers)} runs", f"name one: {', '.join(run_id(id, each) for each in takers)}"
        )
    return run_id(id, takers[0])


async def _takers(store: Store, topology: Topology, event_id: str, tenant: str) -> list[str]:
    recorded = await store.event(event_id)
    kind = None if recorded is None or recorded.event.tenant != tenant else topology.kinds.get(recorded.event.type)
    return [] if kind is None else [agent.name for agent in topology.takers(kind.event)]
