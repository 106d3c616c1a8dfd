"""Spans of what an engine does, where an app is traced (`Services.traces`): nothing of this is called where it is not.

- A span is open while something is done here, and never while a run waits: for another attempt, for time, for people, for others.
  Each part has a span of its own, in the trace of the event, linked to the first part.
- An event that is emitted carries the part that emitted it, so whoever handles it, wherever and whenever, lies below that.
- Names, numbers and ids leave; what somebody said, keys and the texts of errors do not.
"""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Final, TypeVar

from penstock.core.agents.tools import Tool
from penstock.core.events.envelope import Envelope, Recorded
from penstock.core.telemetry.spans import LINKS_MAX, Kind, SpanAsked, Value, first_of
from penstock.ports.tracer import Span, Tracer
from penstock.runtime.calling import called, is_awaitable
from penstock.runtime.lanes import Delivery

T = TypeVar("T")
SYSTEM: Final = "penstock"  # as semantic conventions name who carries messages, or finds passages
incoming: ContextVar[str] = ContextVar("penstock_traceparent", default="")  # what a caller from outside said
incoming_state: ContextVar[str] = ContextVar("penstock_tracestate", default="")  # and what he said beside it


class Part:
    """What goes on in a task: one attempt at a handling, one life of a run."""

    __slots__ = ("number", "span")

    def __init__(self, span: Span) -> None:
        self.span = span
        self.number = 1


_here: ContextVar[Part | None] = ContextVar("penstock_part", default=None)


def emitted_by(cause: Envelope) -> str:
    """Return the `traceparent` of an event that follows from another one here."""
    part = _here.get()
    return cause.traceparent if part is None else part.span.traceparent


class Traces:
    """Makes the spans of one engine."""

    def __init__(self, tracer: Tracer) -> None:
        self.tracer = tracer
        self._parts: dict[str, Part] = {}  # of the handlings under way, by run

    # events

    def sent(self, topic: str, type: str, event_id: str) -> str:
        """Return the `traceparent` of an event that comes from outside: below what its sender said, or is in."""
        said = incoming.get()
        attributes = _messaging("send", topic)
        attributes |= {"messaging.message.id": event_id, "penstock.event.type": type}
        state = incoming_state.get() if said else ""
        asked = SpanAsked(f"send {topic}", "producer", said or None, event_id, attributes=attributes, state=state)
        span = self.tracer.begin(asked)
        span.end()
        return span.traceparent

    # handlings

    async def handling(self, work: Awaitable[T], delivery: Delivery) -> T:
        """Do an attempt at a handling as a part of its event's trace. What the task does after it belongs to it too."""
        part = self._parts[delivery.run_id] = Part(self.tracer.begin(_process(delivery)))
        _here.set(part)
        error = ""
        try:
            with part.span.here():
                return await work
        except BaseException as raised:
            error = type(raised).__name__
            raise
        finally:
            part.span.end(error)
            if self._parts.get(delivery.run_id) is part:
                del self._parts[delivery.run_id]

    def waits(self, delivery: Delivery, *, asking: bool) -> None:
        """A handling waits for people, which may take days, or goes on: then its next part begins."""
        part = self._parts.get(delivery.run_id)
        if part is None:
            return
        if asking:
            part.span.end()
            return
        part.number += 1
        part.span = self.tracer.begin(_process(delivery, part.number))

    # steps

    def step(self, run_id: str, step: str, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return what calls the function of a step as a span."""
        attributes: dict[str, Value] = {"penstock.step": step, "penstock.run.id": run_id}
        return self._spanned(step, call, SpanAsked(f"step {name}", parent=_parent(), attributes=attributes))

    def attempt(
        self, run_id: str, step: str, tool: Tool[..., Any], number: int, call: Callable[..., Any]
    ) -> Callable[..., Any]:
        """Return what calls a tool as a span; another attempt is linked to the first one, whoever made that."""
        attributes: dict[str, Value] = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": tool.name,
            "gen_ai.tool.type": "function",
            "gen_ai.tool.call.id": f"{run_id}/{step}",
            "penstock.attempt": number,
        }
        identity, part = f"{run_id}/{step}", _here.get()
        again = number > 1 and part is not None
        asked = SpanAsked(
            f"execute_tool {tool.name}",
            parent=_parent(),
            identity="" if again else identity,
            links=(first_of(identity, part.span.traceparent, ""),) if number > 1 and part is not None else (),
            attributes=attributes,
        )
        return self._spanned(step, call, asked)

    def _spanned(self, step: str, call: Callable[..., Any], asked: SpanAsked) -> Callable[..., Any]:
        def spanned(*args: Any, **options: Any) -> Any:
            span = self.tracer.begin(asked)
            try:
                with span.here():
                    result = called(step, call, args, options)
            except BaseException as error:
                span.end(type(error).__name__)
                raise
            if is_awaitable(result):
                return self.awaited(span, result)
            span.end()
            return result

        return spanned

    async def awaited(self, span: Span, work: Awaitable[T]) -> T:
        """Wait for something, as a span that ends with it."""
        error = ""
        try:
            with span.here():
                return await work
        except BaseException as raised:
            error = type(raised).__name__
            raise
        finally:
            span.end(error)

    def below(self, name: str, kind: Kind, attributes: dict[str, Value]) -> Span:
        """Begin a span below whatever goes on here."""
        return self.tracer.begin(SpanAsked(name, kind, _parent(), attributes=attributes))

    def where(self) -> str:
        """Return where the attempt lies that goes on here, for who does it elsewhere."""
        return _parent() or self.tracer.where()

    # workflows

    def lives(self, run_id: str, agent: str, cause: Envelope, *, resumed: bool) -> None:
        """A run of a workflow begins, or goes on with another process: what its task does from now on lies below this point.

        A run may wait for days, and a replay takes no time, so it is a point and not a stretch.
        """
        span = self._point("resume_workflow" if resumed else "invoke_workflow", run_id, agent, cause)
        span.end()
        stay_below(span)

    def ended(self, run_id: str, agent: str, cause: Envelope, status: str) -> None:
        """A run of a workflow is over."""
        span = self._point("end_workflow", run_id, agent, cause)
        span.note("penstock.run.status", status)
        span.end("" if status == "succeeded" else status)

    async def waited(self, step: str, work: Awaitable[T], now_ms: Callable[[], int]) -> T:
        """Wait for something durable, and mark where it came: a point, since no span stays open for it."""
        began_ms = now_ms()
        came = await work
        span = self.below(
            f"wait {step.rpartition('#')[0].rpartition('/')[2]}",
            "internal",
            {"penstock.step": step, "penstock.waited_ms": now_ms() - began_ms},
        )
        span.end()
        return came

    def _point(self, name: str, run_id: str, agent: str, cause: Envelope) -> Span:
        """Begin a span in the life of a workflow's run. The first one stands for the run: all others lie below it."""
        origin, is_first = cause.correlation_id or cause.id, name == "invoke_workflow"
        first = first_of(run_id, cause.traceparent, origin)
        asked = SpanAsked(
            f"{name} {agent}",
            parent=cause.traceparent if is_first else first,
            origin=origin,
            identity=run_id if is_first else "",
            links=() if is_first else (first,),
            attributes={
                "gen_ai.operation.name": "invoke_workflow",
                "gen_ai.workflow.name": agent,
                "penstock.run.id": run_id,
                "messaging.message.conversation_id": origin,
            },
            state=cause.tracestate,
        )
        return self.tracer.begin(asked)


def stay_below(span: Span) -> None:
    """Have all that this task does from now on lie below a span."""
    span.stay()
    _here.set(Part(span))


def _parent() -> str | None:
    """Return below what something begins here: None is where the code is, which the user's own spans are part of."""
    part = _here.get()
    return part.span.traceparent if part is not None and part.number > 1 else None


def _process(delivery: Delivery, number: int = 1) -> SpanAsked:
    """Return the span of an attempt, or of another part of it. All but the first one of all are linked to that one."""
    recorded, run_id, agent = delivery.events[0], delivery.run_id, delivery.agent.name
    event = recorded.event
    origin = event.correlation_id or event.id
    again = delivery.attempt > 1 or delivery.journal.recalled or number > 1
    attributes = _messaging("process", recorded.position.topic)
    attributes |= {
        "messaging.destination.partition.id": str(recorded.position.partition),
        "messaging.message.id": event.id,
        "messaging.message.conversation_id": origin,
        "messaging.consumer.group.name": agent,
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": agent,
        "penstock.run.id": run_id,
        "penstock.attempt": delivery.attempt,
    }
    if number > 1:
        attributes["penstock.part"] = number
    links = (first_of(run_id, event.traceparent, origin),) if again else ()
    if len(delivery.events) > 1:
        attributes["messaging.batch.message_count"] = len(delivery.events)
        links += _others(delivery.events)
    return SpanAsked(
        f"process {agent}",
        "consumer",
        event.traceparent,
        origin,
        "" if again else run_id,
        links[:LINKS_MAX],
        attributes,
        state=event.tracestate,
    )


def _others(events: list[Recorded]) -> tuple[str, ...]:
    """Return where the other events of a batch came from: a batch lies in the trace of its first one."""
    found = dict.fromkeys(each.event.traceparent for each in events[1:] if each.event.traceparent)
    found.pop(events[0].event.traceparent, None)
    return tuple(found)


def _messaging(operation: str, topic: str) -> dict[str, Value]:
    return {
        "messaging.system": SYSTEM,
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": topic,
    }
