"""The front door of an engine: events go in, results come out once they are durable (C1, C7).

An id from outside makes an event once (L4): an event that is on its way to the disk is known here, an older one to the store.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from penstock.core.agents.control import CONTROL, CancelTimer
from penstock.core.agents.unit import RunChange
from penstock.core.events.envelope import UNPLACED, Envelope, Position, Recorded, event_of, may_be_emitted, run_id
from penstock.core.events.event import Event
from penstock.core.timing.timers import When
from penstock.errors import Diverged, Missing, Refused, RunCancelled, RunFailed, TimedOut
from penstock.ports.store import Store
from penstock.runtime.appending import Appended, Appender, check_id
from penstock.runtime.asking_again import Asked
from penstock.runtime.elsewhere import Elsewhere
from penstock.runtime.selecting import require_selected
from penstock.runtime.services import Services
from penstock.runtime.timers import no_timer
from penstock.runtime.topology import Topology
from penstock.runtime.write_points import WritePoint

E = TypeVar("E", bound=Event)
T = TypeVar("T")
Given = Sequence[tuple[Event, str | None]]  # events, each perhaps with an id from outside
REPLY_WAIT_S = 60.0
PLACED_WAIT_S = 10.0
FOLLOWED_MAX = 256  # events whose runs are asked for when an earlier event is asked about again


class Front:
    """What callers do with a running engine."""

    def __init__(
        self,
        topology: Topology,
        store: Store,
        services: Services,
        appender: Appender,
        appended: Appended,
    ) -> None:
        self.services = services
        self._topology = topology
        self._store = store
        self.appender = appender
        self._appended = appended
        self._unsure: dict[str, Recorded] = {}  # events with an id from outside that are not durable yet
        self._asking: dict[str, int] = {}  # ids that the store is being asked about, and how often
        self._late: set[str] = set()  # ids among them that became durable meanwhile
        self.elsewhere: Elsewhere | None = None  # set where other workers own partitions

    async def send(
        self,
        event: Event,
        *,
        id: str | None = None,
        tenant: str = "default",
        key: str | None = None,
        when: When | None = None,
        cause: Envelope | None = None,
    ) -> str:
        """Append an event, now or later, and return its id once that is durable. The same `id` twice is one event.

        `cause`: the event that it follows from, where what follows asks for it from outside of its handling.
        """
        recorded, _ = await self._submit(event, id=id, tenant=tenant, key=key, when=when, cause=cause)
        await self.services.committer.durable()
        if when is None:
            await self._placed([recorded])
        return recorded.event.id

    async def send_many(self, events: list[Event], *, tenant: str = "default") -> list[str]:
        """Append events together, and return their ids once they are durable."""
        return [each.event.id for each in await self._accepted([(each, None) for each in events], tenant, durable=True)]

    async def accept(self, events: Given, *, tenant: str, durable: bool = True) -> list[Recorded]:
        """Append events, each perhaps under an id from outside, and return them with their places.

        Not `durable`: without waiting for the disk; where other workers give places it waits all the same.
        """
        recorded = await self._accepted(events, tenant, durable=durable)
        return [each if each.position.is_given else await self._in_log(each.event.id) or each for each in recorded]

    async def _accepted(self, events: Given, tenant: str, *, durable: bool) -> list[Recorded]:
        recorded = [(await self._submit(event, id=given, tenant=tenant, key=None))[0] for event, given in events]
        if durable or self.elsewhere is not None:
            await self.services.committer.durable()
            await self._placed(recorded)
        return recorded

    async def send_again(self, asked: Sequence[Asked]) -> list[str]:
        """Append what is to be done again, and return the ids once that is durable."""
        recorded = [
            (await self._submit(each.event, id=None, tenant=each.about.event.tenant, key=each.ordered_by))[0]
            for each in asked
        ]
        await self.services.committer.durable()
        return [each.event.id for each in recorded]

    async def ask(
        self,
        event: Event,
        reply: type[E],
        *,
        id: str | None = None,
        tenant: str = "default",
        within_s: float = REPLY_WAIT_S,
    ) -> E:
        """Append an event and return the first `reply` that follows from it, once that is durable.

        Raises `RunFailed` when an agent on the way gave up, `TimedOut` when nothing came (the work goes on).
        """
        self._require_answerable(event, reply)
        event_id = self.services.clock.new_id() if id is None else id
        types = reply.reads_()
        with self.services.releases.reply(event_id, types) as waiting:
            _, is_new = await self._submit(event, id=event_id, tenant=tenant, key=None, made_here=id is None)
            recorded = None if is_new else await self._answer_to(event_id, types)
            if recorded is None and self.elsewhere is None:
                recorded = await _within(waiting, within_s, "the answer to event ", event_id)
            elif recorded is None:
                look = partial(self._answer_to, event_id, types)
                what = f"the answer to event {event_id}"
                recorded = await self._followed(event_id, waiting, look, within_s, what, is_new=is_new)
        return reply.decoded_as(recorded.event.type, recorded.event.data)

    async def call(
        self,
        agent: str,
        event: Event,
        *,
        id: str | None = None,
        tenant: str = "default",
        key: str | None = None,
        within_s: float = REPLY_WAIT_S,
    ) -> bytes:
        """Append an event and return what `agent` returns for it, as JSON, once that is durable."""
        self.require_taker(agent, event)
        event_id = self.services.clock.new_id() if id is None else id
        run = run_id(event_id, agent)
        with self.services.releases.run(run) as waiting:
            _, is_new = await self._submit(event, id=event_id, tenant=tenant, key=key, made_here=id is None)
            result = None if is_new else await self.result_of(run)
            if result is None:
                look = partial(self.result_of, run)
                result = await self._followed(event_id, waiting, look, within_s, f"run {run}", is_new=is_new)
            return result

    async def start(self, agent: str, event: Event, *, id: str | None = None, tenant: str = "default") -> str:
        """Append an event, and return the id of the run in which `agent` handles it, once that is durable."""
        self.require_taker(agent, event)
        return run_id(await self.send(event, id=id, tenant=tenant), agent)

    async def result(self, id: str, *, tenant: str = "default", within_s: float = REPLY_WAIT_S) -> bytes:
        """Return what a run returned, as JSON, or returns within some time; `Diverged` when it has halted."""
        with self.services.releases.run(id) as waiting:
            # Asked after the waiting has begun: an end before that is in the store, one after it is told.
            await self.services.committer.durable()
            stored = await self._store.run(id)
            if stored is None or stored.change.tenant != tenant:
                raise Missing(f"the run {id!r}", "see `penstock runs list`")
            if stored.change.status == "halted":
                raise Diverged(stored.change.reason)
            if stored.change.status == "queued":
                await require_selected(self._topology, self._store, id)
            result = await self.result_of(id)
            if result is None:
                event_id, look = event_of(id)[0], partial(self.result_of, id)
                result = await self._followed(event_id, waiting, look, within_s, f"run {id}", is_new=False)
            return result

    async def cancel_timer(self, timer_id: str, tenant: str) -> None:
        """Cancel a tenant's timer wherever it is, and return once that is durable; `Missing` when it has fired, or never was."""
        services = self.services
        timer = await services.timers.cancellable(timer_id, tenant)
        if services.timers.owns(timer):
            services.timers.cancel(timer_id, services.committer.add())
            await services.committer.durable()
        elif await self.say_to_owner(CancelTimer(timer_id=timer_id), timer.partition, tenant) != b"true":
            raise no_timer(timer_id)

    async def say_to_owner(self, said: Event, partition: int, tenant: str) -> bytes:
        """Say something to the owner of a partition, and return what its control agent returns."""
        event_id = self.services.clock.new_id()
        run = run_id(event_id, CONTROL)
        with self.services.releases.run(run) as waiting:
            self.tell_owner(said, partition, tenant, event_id)
            look = partial(self.result_of, run)
            return await self._followed(event_id, waiting, look, PLACED_WAIT_S, f"run {run}", is_new=True)

    def tell_owner(self, said: Event, partition: int, tenant: str, event_id: str) -> None:
        """Say something to the owner of a partition, with the next commit."""
        now_ms = self.services.clock.now_ms()
        topic, envelope = self.appender.waiting(said, id=event_id, tenant=tenant, key=None, now_ms=now_ms)
        self.services.committer.add().events.append(Recorded(Position(topic, partition, UNPLACED), envelope))

    def _require_answerable(self, event: Event, reply: Any) -> None:
        """Refuse at once what could only end in a time-out."""
        if not (isinstance(reply, type) and issubclass(reply, Event)):
            raise Refused(
                f"the reply {reply!r} is no event class", "for what an agent returns otherwise, use call(agent, event)"
            )
        self._topology.require_answerable(event)

    def require_taker(self, agent: str, event: Event) -> None:
        """Raise `Missing` unless the agent exists and takes this event."""
        self._topology.require_taker(agent, event)

    async def _submit(  # noqa: PLR0913 - the ways in which events come from outside
        self,
        event: Event,
        *,
        id: str | None,
        tenant: str,
        key: str | None,
        made_here: bool = False,
        when: When | None = None,
        cause: Envelope | None = None,
    ) -> tuple[Recorded, bool]:
        """Append an event, and return it with whether it is new. An id that was `made_here` cannot be known already."""
        if not isinstance(event, Event):  # pyright: ignore[reportUnnecessaryIsInstance] - users without a type checker
            raise Refused(f"{type(event).__name__} is no event", "give an instance of a subclass of penstock.Event")
        committer = self.services.committer
        if committer.failure is not None:
            raise committer.failure
        while committer.full:  # the disk does not keep up: whoever sends more waits
            await committer.durable()
        from_outside = id is not None and not made_here
        if id is not None and from_outside:
            known = await self._known_as(id, tenant)
            if known is not None:
                return known, False
            if cause is None and may_be_emitted(id):
                raise Refused(f"the id {id!r} is one that the engine gives to emitted events", "use another id")
        now_ms = self.services.clock.now_ms()
        event_id = id or self.services.clock.new_id()
        if when is not None:
            unplaced = self.appender.waiting(event, id=event_id, tenant=tenant, key=key, now_ms=now_ms, cause=cause)
            return self._set(unplaced, when), True
        placed = self.appender.posted if from_outside and self.elsewhere is not None else self.appender.submitted
        recorded = placed(event, id=event_id, tenant=tenant, key=key, now_ms=now_ms, cause=cause)
        if id is not None and from_outside:
            self._unsure[id] = recorded
            committer.add(lambda: self._sure(id)).events.append(recorded)
        else:
            committer.add().events.append(recorded)
        self._appended(recorded)
        self.services.reached(WritePoint.AFTER_APPEND)
        return recorded, True

    def _set(self, unplaced: tuple[str, Envelope], when: When) -> Recorded:
        """Set a timer for an event from outside; its id is the event's."""
        topic, envelope = unplaced
        partition = self.appender.partition_of(envelope)
        if (
            partition not in self.appender.owned
        ):  # it fires where it was set, and its event goes to who owns the partition
            partition = min(self.appender.owned, default=partition)
        timer = self.services.timers.timer(envelope.id, partition, when, unplaced)
        self.services.timers.set(timer, self.services.committer.add())
        return Recorded(Position(topic, partition, UNPLACED), envelope)

    async def _known_as(self, id: str, tenant: str) -> Recorded | None:
        """Return a tenant's event with an id from outside; `Refused` when it is another tenant's."""
        known = await self._known(id)
        if known is not None and known.event.tenant != tenant:
            raise Refused(f"the id {id!r} is taken", "use another id")
        return known

    async def _known(self, id: str) -> Recorded | None:
        """Return the event with an id from outside, durable or not."""
        check_id(id)
        timers = self.services.timers
        known = self._unsure.get(id) or timers.held(id)
        if known is not None:
            return known
        # An event that becomes durable after the store has looked, and before it has answered, stays in `_unsure`.
        self._asking[id] = self._asking.get(id, 0) + 1
        try:
            with timers.steady():
                # Timers first: one that fires meanwhile is an event by then.
                waiting = await timers.known(id)
                return waiting or await self._store.event(id) or self._unsure.get(id) or timers.held(id)
        finally:
            self._asking[id] -= 1
            if not self._asking[id]:
                del self._asking[id]
                if id in self._late:
                    self._late.remove(id)
                    self._unsure.pop(id, None)

    def is_arriving(self, id: str) -> bool:
        """Whether an event of this id has its place, and is not durable yet."""
        return id in self._unsure

    def arriving(self, recorded: Recorded) -> Callable[[], None]:
        """Know an event from outside that came another way; call what is returned when it is durable."""
        self._unsure[recorded.event.id] = recorded
        return partial(self._sure, recorded.event.id)

    def _sure(self, id: str) -> None:
        if id in self._asking:
            self._late.add(id)
        else:
            self._unsure.pop(id, None)

    async def result_of(self, run: str) -> bytes | None:
        """Return what an earlier run returned, None when it has not ended; `RunFailed` when it gave up."""
        stored = await self._store.run(run)
        if stored is not None:
            _raise_given_up(stored.change)
        return stored.change.result if stored is not None and stored.change.status == "succeeded" else None

    async def _answer_to(self, event_id: str, types: Collection[str]) -> Recorded | None:
        """Return the first reply that followed from an earlier event; `RunFailed` when an agent gave up instead."""
        followed = await self._store.origin(event_id)
        replies = [each for each in followed if each.event.type in types and each.event.id != event_id]
        if replies:
            return min(replies, key=lambda each: each.position.offset)
        for each in followed[:FOLLOWED_MAX]:
            kind = self._topology.of_type(each.event.type)
            for agent in () if kind is None else self._topology.takers(kind.event):
                stored = await self._store.run(run_id(each.event.id, agent.name))
                if stored is not None:
                    _raise_given_up(stored.change)
        return None

    async def _placed(self, recorded: list[Recorded]) -> None:
        """Wait until other workers have given events their places, so that what the caller sends next comes after them.

        They are durable already: a worker that has died keeps nobody waiting for longer than `PLACED_WAIT_S`.
        """
        if self.elsewhere is None:
            return
        left = await self._unplaced([each.event.id for each in recorded if not each.position.is_given])
        while left:
            event_id = left.pop()  # the last one: most of the others have their places then
            waiting: asyncio.Future[Recorded] = asyncio.get_running_loop().create_future()
            with self.elsewhere.follow(event_id, waiting, partial(self._in_log, event_id)), suppress(TimedOut):
                self.elsewhere.away(event_id)
                await _within(waiting, PLACED_WAIT_S, f"the place of event {event_id}")
            left = await self._unplaced(left)

    async def _unplaced(self, event_ids: list[str]) -> list[str]:
        places: Mapping[str, Position | None] = await self._store.places(event_ids) if event_ids else {}
        return [each for each in event_ids if places.get(each) is None]

    async def _in_log(self, event_id: str) -> Recorded | None:
        """Return an event once it has its place."""
        found = await self._store.event(event_id)
        return found if found is not None and found.position.is_given else None

    async def _followed(
        self,
        event_id: str,
        waiting: "asyncio.Future[T]",
        look: Callable[[], Awaitable[T | None]],
        within_s: float,
        what: str,
        *,
        is_new: bool,
    ) -> T:
        """Wait for what this worker, or another one, makes of an event."""
        if self.elsewhere is None:
            return await _within(waiting, within_s, what)
        with self.elsewhere.follow(event_id, waiting, look):
            if not is_new:
                self.elsewhere.away(event_id)
            return await _within(waiting, within_s, what)


async def _within(waiting: "asyncio.Future[T]", within_s: float, *what: str) -> T:
    # A timer that is nearly always cancelled: asyncio.timeout costs three times as much.
    timer = asyncio.get_running_loop().call_later(within_s, _give_up, waiting, within_s, what)
    try:
        return await waiting
    finally:
        timer.cancel()


def _raise_given_up(change: RunChange) -> None:
    """Raise what a caller was told who waited for the run, if it ended without a result."""
    match change.status:
        case "failed":
            raise RunFailed(change.run_id, change.reason)
        case "cancelled":
            raise RunCancelled(change.run_id, change.reason)
        case _:
            pass


def _give_up(waiting: "asyncio.Future[Any]", within_s: float, what: tuple[str, ...]) -> None:
    if not waiting.done():
        waiting.set_exception(TimedOut("".join(what), within_s))
