"""Running handlers: one delivery becomes one unit of work, or an attempt that failed.

What a handling did reaches the memory of the engine and the committer in one go, without an await between: other handlings
see all of it or nothing.
"""

import asyncio
import logging

from penstock.core.agents.declaration import Agent
from penstock.core.agents.unit import Status, letter_of
from penstock.core.events.envelope import Recorded
from penstock.core.events.subjects import is_gone
from penstock.errors import Forgotten, Invalid
from penstock.ports.state import StateStore
from penstock.runtime.appending import Appended, Appender
from penstock.runtime.cancelling import Cancellations
from penstock.runtime.context import Context, entered
from penstock.runtime.decoding import decoded_by
from penstock.runtime.flow_lanes import FlowLanes
from penstock.runtime.lanes import BatchLane, Delivery, KeyLanes, Lanes, dropped
from penstock.runtime.lines import GatedLine, Line, cut_off
from penstock.runtime.outcomes import FINAL, reason_of
from penstock.runtime.places import Places
from penstock.runtime.recalling import collected, nowhere, recall
from penstock.runtime.releases import Piece
from penstock.runtime.services import Services
from penstock.runtime.subscriptions import Subscription
from penstock.runtime.suspects import DEATHS_MAX, Suspects
from penstock.runtime.tasks import Tasks
from penstock.runtime.workflows import Workflows
from penstock.runtime.write_points import WritePoint

_log = logging.getLogger("penstock")


class Handlings:
    """The handlings under way, and the deliveries that wait for a free place among them."""

    def __init__(
        self, services: Services, store: StateStore, appender: Appender, tasks: Tasks, workflows: Workflows
    ) -> None:
        self._services = services
        self._store = store
        self._appender = appender
        self._tasks = tasks
        self.workflows = workflows
        self.places = Places(services, store, tasks, appender, self._begin)
        self._under_way: dict[str, Delivery] = {}
        self._asking: set[str] = set()  # runs among those under way that wait for a person
        self.suspects = Suspects(services.memory, services.committer)
        self._resting = 0  # deliveries that wait for another attempt
        self._closing = False  # whether a partition is being handed over
        self._subscriptions: dict[tuple[str, str, int], Subscription] = {}
        self.cancellations = Cancellations(services, self._subscriptions, self._under_way)
        self.on_appended: Appended = nowhere
        services.committer.on_room = self._on_room
        services.questions.on_asking = self._waits_for_people

    def lanes(self, agent: Agent, key: str | None) -> Lanes:
        """Return the lanes of an agent in one partition, whose deliveries will be handled here. `key` decides the partition."""
        self.places.open(agent, key)
        flow = agent.options.flow
        if flow is not None:
            clock = self._services.clock
            return FlowLanes(flow, clock, start=self.start, give_up=self._bury, stop=self._stop)
        if agent.options.batch:
            return BatchLane(self.start, asyncio.get_running_loop().call_soon)
        return KeyLanes(self.start)

    def subscribe(self, subscription: Subscription) -> None:
        self._subscriptions[subscription.agent.name, subscription.topic, subscription.partition] = subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Nothing of this subscription is handled here any more."""
        del self._subscriptions[subscription.agent.name, subscription.topic, subscription.partition]
        self._closing = any(each.closed for each in self._subscriptions.values())

    def is_busy(self, partition: int) -> bool:
        """Whether anything of a partition, which is being closed, is being handled, but by people."""
        self._closing = True
        busy = (each for run_id, each in self._under_way.items() if run_id not in self._asking)
        return any(each.partition == partition for each in busy)

    async def cut_off(self, partition: int) -> None:
        """End what is under way in a partition, as a kill would: its next owner does it again, from the journal."""
        for subscription in self._subscriptions.values():
            if subscription.partition == partition:
                self.places.drop(subscription.agent, subscription.lanes, partition)
        cut = [each for each in self._under_way.values() if each.partition == partition]
        await dropped(cut)
        for delivery in (each for each in cut if each.run_id in self._under_way):
            self._left(delivery, self.places.lines[delivery.agent.name])
            self._asking.discard(delivery.run_id)
        self.places.fill()

    def start(self, delivery: Delivery) -> None:
        """Handle a delivery whose turn has come, when there is room."""
        if self._closing and self._is_closed(delivery):
            return  # it waits in the log, for the next owner
        self.places.start(delivery)

    def is_under_way(self, run_id: str) -> bool:
        return run_id in self._under_way

    @property
    def quiet(self) -> bool:
        """Whether nothing is being handled, but by people, or could begin."""
        return self.places.quiet

    @property
    def settled(self) -> bool:
        """Whether nothing waits for another attempt, or for people, either."""
        return self.quiet and not self._resting and not self._asking

    def _begin(self, delivery: Delivery, line: Line) -> None:
        is_new_run = delivery.agent.options.workflow and not delivery.known
        if not is_new_run:
            self._under_way[delivery.run_id] = delivery
            self.places.take(delivery, line)
        begin = self._begin_run if is_new_run else self._run
        if isinstance(line, GatedLine) and line.is_rated:
            line.spend(delivery, self._services.committer.add(lambda: begin(delivery, line)))
        else:
            begin(delivery, line)

    def _begin_run(self, delivery: Delivery, line: Line) -> None:
        if not delivery.dropped:
            self.workflows.begin(delivery, line)
            self._done(delivery)
            self._subscription(delivery).lanes.finished(delivery)

    def _run(self, delivery: Delivery, line: Line) -> None:
        if not delivery.dropped:
            delivery.task = self._tasks.start(self._handle(delivery, line))

    def _is_closed(self, delivery: Delivery) -> bool:
        place = delivery.events[0].position
        subscription = self._subscriptions.get((delivery.agent.name, place.topic, place.partition))
        return subscription is None or subscription.closed

    def _left(self, delivery: Delivery, line: Line) -> None:
        del self._under_way[delivery.run_id]
        if delivery.run_id not in self._asking:
            self.places.leave(delivery, line)

    def _on_room(self) -> None:
        self.places.fill()
        for subscription in self._subscriptions.values():
            if subscription.behind:
                subscription.turned.set()

    async def _handle(self, delivery: Delivery, line: Line) -> None:
        if delivery.known and not await self._recalled(delivery, line):
            return
        if self.cancellations.reach(delivery):
            self.suspects.survived(delivery.run_id)
            self._cancelled(delivery)
            self.places.fill()
            return
        context = Context(delivery, self._services)
        entered(context)
        delivery.watched = line.deadlines.watch(delivery.task)
        started_s = self._services.clock.monotonic_s()
        try:
            called, traces = self._called(delivery, context, line), self._services.traces
            body = await (called if traces is None else traces.handling(called, delivery))
        except asyncio.CancelledError as error:
            if (self._tasks.ending or delivery.dropped) and not delivery.watched.ran_out:
                raise
            self._failed(delivery, cut_off(delivery, error))
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001 - a handler is the user's code, and modules in Rust panic so
            self._failed(delivery, error)
        else:
            duration_ms = (self._services.clock.monotonic_s() - started_s) * 1000
            self._succeeded(delivery, context, body, duration_ms)
        finally:
            context.let_go()
            entered(None)
            self._ended(delivery)
        self.places.fill()

    def _ended(self, delivery: Delivery) -> None:
        delivery.watched.over = True
        if self._asking:
            self._asking.discard(delivery.run_id)
            self._services.questions.abandon(delivery.run_id)
        if self.suspects.marked and not self._tasks.ending:
            self.suspects.survived(delivery.run_id)

    async def _called(self, delivery: Delivery, context: Context, line: Line) -> bytes:
        agent = delivery.agent
        events = [decoded_by(line.decoders, agent, each.event) for each in delivery.events]
        argument = events if agent.options.batch else events[0]
        result = await (agent.handler(argument, context) if agent.wants_context else agent.handler(argument))
        return collected(context, result, agent, self._appender, self._services)

    def _waits_for_people(self, run_id: str, asking: bool) -> None:  # noqa: FBT001 - a callback's own form
        """A run waits for a person, or goes on: it has no place among the others meanwhile, and its time stands still."""
        delivery = self._under_way.get(run_id)
        if delivery is None:
            self.workflows.waits_for_people(run_id, asking=asking)
            return
        line, traces = self.places.lines[delivery.agent.name], self._services.traces
        if traces is not None and asking != (run_id in self._asking):
            traces.waits(delivery, asking=asking)
        if asking and run_id not in self._asking:
            self.places.leave(delivery, line)
            self._asking.add(run_id)
            self.suspects.survived(run_id)
            delivery.watched.over = True
            self._services.committer.add().runs.append(delivery.change("asking", self._services.clock.now_ms()))
            self.places.fill()
        elif not asking and run_id in self._asking and not self._tasks.ending:
            self._asking.remove(run_id)
            self.places.take(delivery, line)
            delivery.watched = line.deadlines.watch(delivery.watched.task)
            self._services.committer.add().runs.append(delivery.change("running", self._services.clock.now_ms()))

    async def _recalled(self, delivery: Delivery, line: Line) -> bool:
        """Learn what an earlier process left of the run; False when it must not be handled now."""
        if delivery.agent.options.workflow:
            await self.workflows.arrivals.recall(delivery.run_id)
            self._begin_run(delivery, line)
            return False
        try:
            wait_s = await recall(delivery, self._store, self._services)
        except Invalid as error:  # its journal is damaged: no other run is to blame
            self._failed(delivery, error)
            return False
        if wait_s <= 0:
            return await self._may_begin(delivery, line)
        self._left(delivery, line)  # another one has its place meanwhile
        self._rest(delivery, wait_s)
        self._services.committer.add()  # whoever waits for quiet looks again after a commit
        self.places.fill()
        return False

    async def _may_begin(self, delivery: Delivery, line: Line) -> bool:
        """Give up on what killed the process too often; False when it was."""
        deaths = await self.suspects.deaths(delivery, self._subscription(delivery))
        if deaths < DEATHS_MAX or delivery.stopped:
            return True
        reason = f"the process died {deaths} times while it was handled"
        _log.error("run %s is given up: %s", delivery.run_id, reason)
        self._left(delivery, line)
        self._give_up(delivery, reason)
        self.places.fill()
        return False

    def _succeeded(self, delivery: Delivery, context: Context, body: bytes, duration_ms: float) -> None:
        if delivery.dropped and delivery.run_id not in self._under_way:
            return  # too late: another worker does it
        services, cause = self._services, context.event
        now_ms = services.clock.now_ms()
        emitted: list[Recorded] = []
        correlation, run_id = cause.correlation_id or cause.id, delivery.run_id
        writes = services.committer.add(lambda: services.releases.succeeded(run_id, correlation, body, emitted))
        for number, event in enumerate(context.outgoing if delivery.outside is None else ()):
            emitted.append(self._appender.placed(event, run=run_id, cause=cause, number=number, now_ms=now_ms))
        writes.events.extend(emitted)
        if delivery.outside is None:
            if context.delays is not None:
                emitted += context.delays.write(
                    self._appender, services.timers, run=run_id, cause=context.events[0], writes=writes
                )
            context.write_memory(writes)
            writes.index.extend(context.index)
        if services.streams.runs:
            services.streams.settle(run_id)
        change = delivery.change("succeeded", now_ms)
        change.result = body
        change.duration_ms = round(duration_ms, 3)
        change.records = services.committer.ended(run_id, delivery.journal)
        writes.runs.append(change)
        self._done(delivery)
        if cause.reply_run:
            self.workflows.arrivals.handled(delivery, body)
        for recorded in emitted:
            self.on_appended(recorded)
        services.reached(WritePoint.AFTER_HANDLING)
        self._subscription(delivery).lanes.finished(delivery)

    def _failed(self, delivery: Delivery, error: BaseException) -> None:
        if delivery.dropped or self._tasks.ending:
            return  # it was cut off: that is no attempt
        retry = delivery.agent.options.retry
        reason = reason_of(error)
        if isinstance(error, Forgotten) and is_gone(delivery.events[0].event.data):
            delivery.stop(reason)  # there is nothing to handle any more, and nothing to try again
        _log.warning(
            "run %s failed (attempt %d of %d): %s", delivery.run_id, delivery.attempt, retry.attempts_max, reason
        )
        clock = self._services.clock
        if delivery.stopped:
            self.suspects.survived(delivery.run_id)
            self._cancelled(delivery)
            return
        self._left(delivery, self.places.lines[delivery.agent.name])
        if not isinstance(error, FINAL) and delivery.attempt < retry.attempts_max:
            wait_s = retry.wait_s(delivery.attempt, clock.random())
            self._try_later(delivery, reason, wait_s)
            return
        self._give_up(delivery, reason)

    def _give_up(self, delivery: Delivery, reason: str) -> None:
        """Take a batch apart, so that only the event that is to blame is given up on; bury a single event."""
        subscription = self._subscription(delivery)
        if isinstance(subscription.lanes, BatchLane) and len(delivery.events) > 1:
            change = delivery.change("failed", self._services.clock.now_ms())
            change.reason = f"taken apart: {reason}"
            self._services.committer.add().runs.append(change)
            subscription.lanes.take_apart(delivery)
            return
        self._bury(delivery, reason, "failed")
        subscription.lanes.finished(delivery)

    def _try_later(self, delivery: Delivery, reason: str, wait_s: float) -> None:
        services = self._services
        change = delivery.change("retrying", services.clock.now_ms())
        change.due_ms = change.at_ms + int(wait_s * 1000)
        change.reason = reason
        cause, piece = delivery.events[0].event, Piece("retrying", delivery.run_id, text=reason)
        writes = services.committer.add(lambda: services.releases.tell(cause.correlation_id or cause.id, piece))
        writes.runs.append(change)
        delivery.attempt += 1
        services.meters.retries.add(delivery.agent.name)
        if services.streams.runs:
            services.streams.rewind(delivery.run_id, delivery.attempt)
        delivery.journal.rewind()
        self._rest(delivery, wait_s)

    def _rest(self, delivery: Delivery, wait_s: float) -> None:
        if delivery.stopped:
            self.suspects.survived(delivery.run_id)
            self._cancelled(delivery)
            return
        self._resting += 1
        self._tasks.start(self._wait_and_start(delivery, self._subscription(delivery), wait_s))

    async def _wait_and_start(self, delivery: Delivery, subscription: Subscription, wait_s: float) -> None:
        await self._services.clock.sleep(wait_s)
        self._resting -= 1
        if delivery.stopped:
            self._services.committer.add()  # whoever waits for quiet looks again after a commit
        elif not (delivery.dropped or subscription.closed):  # not that of the partition, which may have come back
            self.start(delivery)

    def _stop(self, delivery: Delivery, reason: str) -> None:
        """End a delivery where it is, for a reason."""
        assert delivery.hold is not None, delivery.run_id
        delivery.hold.stopped = reason
        if delivery.run_id not in self._under_way:  # it waits for a place, for a limit, or for another attempt
            self._cancelled(delivery)
            self.places.fill()
        elif delivery.begun and delivery.task is not None:
            delivery.task.cancel()

    def _cancelled(self, delivery: Delivery) -> None:
        self._bury(delivery, delivery.stopped)
        self._subscription(delivery).lanes.finished(delivery)

    def _bury(self, delivery: Delivery, reason: str, status: Status = "cancelled") -> None:
        """Have done with an event: one that failed goes to the dead letters with the reason, and its key goes on."""
        services, recorded = self._services, delivery.events[0]
        run_id, correlation = delivery.run_id, recorded.event.correlation_id or recorded.event.id
        writes = services.committer.add(lambda: services.releases.failed(run_id, correlation, reason, status))
        change = delivery.change(status, services.clock.now_ms())
        change.reason = reason
        change.records = services.committer.ended(run_id, delivery.journal)
        writes.runs.append(change)
        if status == "failed":
            writes.dead.append(letter_of(change, delivery.original))
        self._done(delivery)
        services.meters.ended.add(delivery.agent.name, status)
        if recorded.event.reply_run:
            self.workflows.arrivals.handled(delivery, b"", reason)

    def _done(self, delivery: Delivery) -> None:
        line = self.places.lines[delivery.agent.name]
        if delivery.run_id in self._under_way:
            self._left(delivery, line)
        line.closed(delivery)
        for recorded in delivery.events:
            place = recorded.position
            of = self._subscriptions[delivery.agent.name, place.topic, place.partition]
            of.progress.mark(place.offset)
            self._services.committer.done(delivery.agent.name, place.topic, place.partition, of.progress)

    def _subscription(self, delivery: Delivery) -> Subscription:
        place = delivery.events[0].position
        return self._subscriptions[delivery.agent.name, place.topic, place.partition]
