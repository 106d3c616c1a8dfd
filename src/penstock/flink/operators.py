"""The operators of a job, as Flink calls them. All that they do is turn rows into events, and keep what turns return."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from penstock.core.events.codec import decode, encode
from penstock.core.events.dead_messages import dead_message
from penstock.core.events.envelope import Envelope
from penstock.core.events.messages import Message, Place, to_event
from penstock.errors import Finding, Invalid
from penstock.flink.begun import Begun, path_of
from penstock.flink.carrying import dead_letters_topic
from penstock.flink.keyed_state import name_of
from penstock.flink.keyed_turns import Kept, Turn
from penstock.flink.live_keys import Sending
from penstock.flink.marks import HEADER, mark_in, marks_topic
from penstock.flink.plan import JobPlan
from penstock.flink.pyflink_names import FlatMapFunction, KeyedProcessFunction, Row, Types, ValueStateDescriptor
from penstock.flink.subtask import Subtask
from penstock.settings import settings
from penstock.wiring import Declared

Load = Callable[[Path], Any]  # from a file to the app in it
BYTES: Any = Types.PRIMITIVE_ARRAY(Types.BYTE())
READ: Any = Types.ROW([Types.STRING(), Types.STRING(), BYTES])
SENT: Any = Types.ROW_NAMED(
    ["key", "value", "headers", "topic"], [BYTES, BYTES, Types.MAP(Types.STRING(), BYTES), Types.STRING()]
)


class Reading(FlatMapFunction):
    """From a message of Kafka to the name of its key's state, its topic, and the event."""

    def __init__(self, plan: JobPlan) -> None:
        self._sources, self._prefix, self._marks = dict(plan.sources), plan.prefix, marks_topic(plan.app)

    def flat_map(self, value: Any) -> Iterator[Any]:
        """Return one event, whatever the message is: one that cannot be read says why."""
        given: dict[str, bytes] = value["headers"] or {}
        message = Message(bytes(value["value"] or b""), bytes(value["key"] or b""), tuple(given.items()))
        topic = value["topic"].removeprefix(self._prefix)
        if topic == self._marks:
            yield Row(message.key.decode(errors="replace"), "", given.get(HEADER, b""))
            return
        place = Place(
            topic, value["partition"], value["offset"] + 1, self._sources.get(topic, ""), value["at"].to_epoch_milli()
        )
        event = to_event(message, place)
        yield Row(name_of(event), topic, encode(event))


class Handling(KeyedProcessFunction):
    """The agents of an app, key by key."""

    def __init__(self, plan: JobPlan, load: Load) -> None:
        self._plan, self._load = plan, load
        late_s = plan.options.late_after_s
        self._late_ms = None if late_s is None else int(late_s * 1000)

    def open(self, runtime_context: Any) -> None:
        """Begin, in a worker of Flink."""
        self._head = runtime_context.get_state(ValueStateDescriptor("head", BYTES))
        self._remembered = runtime_context.get_state(ValueStateDescriptor("remembered", BYTES))
        for name, value in self._plan.traces.items():
            os.environ.setdefault(name, value)  # a machine of the cluster may say something else
        declared: Declared = self._load(found_file(self._plan.file)).declared
        carried, chosen = self._plan.options.carried(declared), settings(dict(self._plan.settings))
        begun = Begun(path_of(self._plan.group, runtime_context.get_index_of_this_subtask()))
        self._subtask = Subtask(carried, chosen, steps_wait=self._plan.options.steps_wait, begun=begun)
        self._subtask.start()

    def close(self) -> None:
        """End. What is under way is in the state."""
        self._subtask.stop()

    def process_element(self, value: Any, ctx: Any) -> Iterator[Any]:
        """Have an event handled, or take a mark."""
        if not value[1]:
            mark = mark_in({HEADER: bytes(value[2])})
            yield from self._carried(self._subtask.marked(value[0], mark, self._kept()), ctx)
            return
        event = decode(bytes(value[2]))
        if self._late_ms is not None:
            watermark_ms = ctx.timer_service().current_watermark()
            if event.time_ms + self._late_ms < watermark_ms:
                yield self._row(self._late(event, value[1], watermark_ms))
                return
        yield from self._carried(self._subtask.handled(value[1], event, self._kept()), ctx)

    def on_timer(self, timestamp: int, ctx: Any) -> Iterator[Any]:  # noqa: ARG002 - Flink's own form
        """Look at a key again."""
        yield from self._carried(self._subtask.look(ctx.get_current_key(), self._kept()), ctx)

    def _kept(self) -> Kept:
        head, remembered = self._head.value(), self._remembered.value()
        return Kept(None if head is None else bytes(head), None if remembered is None else bytes(remembered))

    def _carried(self, turn: Turn, ctx: Any) -> Iterator[Any]:
        _keep(self._head, turn.head)
        if turn.is_remembered:
            _keep(self._remembered, turn.remembered)
        for look_ms in turn.looks_ms:
            ctx.timer_service().register_processing_time_timer(look_ms)
        for sending in turn.sendings:
            yield self._row(sending)

    def _row(self, sending: Sending) -> Any:
        topic, message = sending
        return Row(message.key or None, message.value, dict(message.headers), self._plan.prefix + topic)

    def _late(self, event: Envelope, topic: str, watermark_ms: int) -> Sending:
        reason = f"its time is {watermark_ms - event.time_ms} ms before the watermark: it came too late"
        return dead_letters_topic(self._plan.app), dead_message(event, topic, ("penstock-late", reason, 0))


def found_file(file: str) -> Path:
    """Return the app's file where this process has it: in its place, or among what Flink brought here (-pyfs)."""
    path = Path(file)
    places = [path, *(Path(each) / path.name for each in sys.path), *(Path(each) for each in sys.path)]
    for place in places:
        if place.name == path.name and place.is_file():
            return place
    raise Invalid(
        "the job", (Finding("file", f"{file} is not here", "submit it with the job: flink run -pyfs APP.PY"),)
    )


def _keep(state: Any, body: bytes | None) -> None:
    if body is None:
        state.clear()
    else:
        state.update(body)
