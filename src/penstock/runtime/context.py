"""What a handler has in its hands: steps, emitted events, the session, values, models.

Nothing that a handler does here is written before it has ended well; then all of it is written together (C3). Steps are the
exception: what a step returned is written with the next commit, so that it is never executed again (C4).
"""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from datetime import datetime
from typing import Any, NamedTuple, ParamSpec, TypeVar, overload

from penstock.core.agents.approvals import Approval
from penstock.core.agents.unit import Writes
from penstock.core.events.envelope import Envelope
from penstock.core.events.event import Event
from penstock.core.events.partitions import partition_of
from penstock.core.events.subjects import SHARED
from penstock.core.knowledge.passages import IndexWrite
from penstock.errors import LimitReached, Missing, Refused
from penstock.runtime import approving
from penstock.runtime.appending import Outgoing
from penstock.runtime.calling import is_awaitable
from penstock.runtime.collection import Collection
from penstock.runtime.delays import Delays
from penstock.runtime.lanes import Delivery
from penstock.runtime.misuse import misused
from penstock.runtime.models import BoundModel
from penstock.runtime.questions import Questions
from penstock.runtime.releases import Piece
from penstock.runtime.remembering import Session, Values, write_session, write_values
from penstock.runtime.routing import LiveRouter
from penstock.runtime.run_streams import Teller
from penstock.runtime.services import ForgettingControl, GenerationControl, RunControl, Services
from penstock.runtime.steps import Steps, scope
from penstock.runtime.streams import StreamWriter
from penstock.runtime.tracing import Traces

P = ParamSpec("P")
R = TypeVar("R")
EMITTED_MAX = 10_000
_current: "ContextVar[Context | None]" = ContextVar("penstock_context", default=None)


def current() -> "Context | None":
    """Return the context of the handler that is running here, if one is."""
    return _current.get()


class Attempted(NamedTuple):
    """What a host must know of an attempt beside its events."""

    lane: str
    model: str
    traces: Traces | None


class Context:
    """One attempt at handling one event (or one batch)."""

    __slots__ = (
        "_delivery",
        "_services",
        "_session",
        "_steps",
        "_teller",
        "_values",
        "delays",
        "emitted",
        "events",
        "index",
        "outgoing",
        "over",
    )

    def __init__(self, delivery: Delivery, services: Services) -> None:
        self._delivery = delivery
        self._services = services
        self._session: Session | None = None
        self._values: Values | None = None
        self.emitted: list[tuple[Event, str | None]] = []
        self.outgoing: list[Outgoing] = []  # what was emitted, written down when the handler has ended
        self.delays: Delays | None = None  # what is to happen later
        self.index: list[IndexWrite] = []  # passages of an index that lies in the state store
        self.events = delivery.events
        self.over = False  # whether the attempt has ended; tasks that it left behind may still run
        self._steps = Steps(delivery.run_id, delivery.journal, delivery.events[0].event, services, delivery.executing)

    @property
    def run_id(self) -> str:
        return self._delivery.run_id

    @property
    def agent(self) -> str:
        """The name of the agent that handles."""
        return self._delivery.agent.name

    @property
    def attempt(self) -> int:
        """1 for the first attempt."""
        return self._delivery.attempt

    @property
    def event(self) -> Envelope:
        """The envelope of the event that is handled (of the first one of a batch)."""
        return self._delivery.events[0].event

    @property
    def tenant(self) -> str:
        return self.event.tenant

    @property
    def key(self) -> str:
        return self._delivery.lane[len(self.tenant) + 1 :]

    @property
    def subject(self) -> str:
        """Whom the event is about; empty for nobody, "*" for a batch about several."""
        if len(self.events) == 1:
            return self.events[0].event.subject
        subjects = {each.event.subject for each in self.events}
        return subjects.pop() if len(subjects) == 1 else SHARED

    def now_ms(self) -> int:
        """Return the time on the wall; another attempt gets another one."""
        return self._services.clock.now_ms()

    @overload
    async def step(self, name: str, call: Callable[P, Awaitable[R]], /, *args: P.args, **options: P.kwargs) -> R: ...
    @overload
    async def step(self, name: str, call: Callable[P, R], /, *args: P.args, **options: P.kwargs) -> R: ...
    async def step(self, name: str, call: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
        """Call something outside once, and remember what it returned: a run that is resumed gets it from the journal.

        It begins only when all that led to it is durable (C7). If the process dies between the call and the record, the
        call is made again with the same `idempotency_key`: pass that on to whatever you call.
        """
        return await self._step(name, call, args, options, effects=True)

    async def read(self, name: str, call: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
        """A step whose call changes nothing outside (a search, a model, a computation): it need not wait for durability."""
        return await self._step(name, call, args, options, effects=False)

    async def approval(self, title: str, *, payload: Any = None, **asked: Any) -> Approval[Any]:
        """Have a person approve something, as `WorkflowContext.approval` does. The key waits with it: a workflow's does not."""
        if self._delivery.agent.options.batch or self.over:
            raise Refused(
                f"{title!r} cannot be asked here", "ask in a handler that takes one event, before it has ended"
            )
        request = approving.requested(title, payload, asked)
        return await approving.approved_once(self._steps, request, self._delivery.outside)

    def idempotency_key(self, name: str) -> str:
        """Return the key of the *next* call of step `name`: the same each time the run is resumed."""
        return f"{self.run_id}/{self._delivery.journal.upcoming_step(scope.get() + name)}"

    def emit(
        self,
        event: Event,
        *,
        key: str | None = None,
        after_s: float | None = None,
        at: datetime | None = None,
        timer: str = "",
    ) -> None:
        """Append an event to its topic when this handling is committed. `key` overrides the value of its key field.

        `after_s`, `at`: so much later, or at a time on the wall; over restarts too. `timer` names it: for each agent and key
        there is one of a name, and setting it again moves it.
        """
        if after_s is not None or at is not None or timer:
            self.later.emit(event, key, after_s, at, timer)
            return
        if self.over or (_current.get() or self) is not self:
            raise misused("an event", self.run_id, over=self.over)
        if len(self.emitted) >= EMITTED_MAX:
            raise LimitReached("the number of events emitted by one handling", len(self.emitted) + 1, EMITTED_MAX)
        self.emitted.append((event, key))

    def cancel_timer(self, name: str) -> None:
        """Cancel this agent's timer of that name for this key when this handling is committed; none is no error."""
        self.later.cancel(name)

    @property
    def later(self) -> Delays:
        """What is to happen later; for penstock's own agents."""
        if self.delays is None:
            self.delays = Delays(self.agent, self.key)
        return self.delays

    @property
    def session(self) -> "Session":
        """The session of this key: its conversation."""
        if self._session is None:
            self._session = Session(self.tenant, self.key, self._services)
        return self._session

    def session_of(self, session: str) -> "Session":
        """The session with another key, where an agent is ordered by something else. One session per handling."""
        if self._session is None:
            self._require_here(session)
            self._session = Session(self.tenant, session, self._services)
        elif self._session.id != session:
            raise Refused(
                f"this handling works with session {self._session.id!r} already", "use one session per handling"
            )
        return self._session

    def _require_here(self, session: str) -> None:
        """Refuse a session that another worker may be changing."""
        partitions = self._services.partitions
        if partitions > 1 and partition_of(self.tenant, session, partitions) != self._delivery.partition:
            hint = "order the agent by what names the session, or emit an event with that key"
            raise Refused(f"session {session!r} lies in another partition than this event", hint)

    @property
    def values(self) -> "Values":
        """What this agent remembers for this key."""
        if self._values is None:
            self._values = Values((self.tenant, self._delivery.agent.name, self.key), self._services)
        return self._values

    def write_memory(self, writes: Writes) -> None:
        """Add what this handling changed in its session and values, which other handlings see from now on."""
        if self._session is not None and self._session.added and self._session.entry is not None:
            write_session(writes, self._session, self._session.entry, self._services, self.subject)
        if self._values is not None and self._values.changed and self._values.entry is not None:
            write_values(writes, self._values, self._values.entry, self._services, self.subject)

    def let_go(self) -> None:
        """The handling is over: what it held may be dropped from memory."""
        self.over = True
        if self._session is not None and self._session.entry is not None:
            self._services.memory.sessions.let_go(self._session.entry)
        if self._values is not None and self._values.entry is not None:
            self._services.memory.values.let_go(self._values.entry)

    @property
    def attempted(self) -> Attempted:
        """What is to be known of the attempt where its handler runs elsewhere; for hosts."""
        return Attempted(self._delivery.lane, self._delivery.model, self._services.traces)

    def begin_again(self) -> None:
        """Have the handler called once more in this attempt: its process died, and nothing is written yet; for hosts."""
        if self._services.streams.runs:
            self._services.streams.rewind(self.run_id, self.attempt)
        self._delivery.journal.rewind()

    @property
    def runs(self) -> RunControl:
        """What can be said to workflow runs; for penstock's own agents."""
        if self._services.control is None:
            raise Missing("a workflow", "declare one: @app.workflow")
        return self._services.control

    @property
    def questions(self) -> Questions:
        """The steps that wait for people; for penstock's own agents."""
        return self._services.questions

    @property
    def forgetting(self) -> ForgettingControl:
        """Who has all go that is about somebody; for penstock's own agents."""
        if self._services.forgetting is None:
            raise Missing("whom events are about", "declare it with the event: class Asked(Event, subject=...)")
        return self._services.forgetting

    def model(self, name: str = "default") -> BoundModel:
        """Return a model of the app, whose answers are steps of this run."""
        return self._services.models.bound(self._delivery.model or name, self)

    def collection(self, name: str) -> Collection:
        """Return a knowledge collection of the app. Its searches are not steps: `app.knowledge(...)`'s are."""
        return self._services.collection(name)

    def router(self, name: str) -> LiveRouter:
        """Return a router of the app. Its choices are not steps: `app.router(...)`'s are."""
        return self._services.router(name)

    def keeper(self, name: str) -> GenerationControl:
        """Return who keeps the generations of a collection; for penstock's own agents."""
        return self._services.keeper(name)

    def tell(self, text: str, *, name: str = "") -> None:
        """Show a piece of an answer to whoever follows the run, at once: `ctx.stream().write(text)`.

        A batch agent has no streams: only who listens at this moment gets it.
        """
        if self._delivery.agent.options.batch:
            piece = Piece("token", self.run_id, name, text=text, provisional=True)
            self._services.releases.tell(self.event.correlation_id, piece)
        else:
            self._services.streams.token(self._telling(), "", text, name)

    def stream(self, name: str = "") -> StreamWriter:
        """Return a stream of this run to write to. What is told outside of a step is told again by another attempt."""
        if self._delivery.agent.options.batch:
            raise Refused(f"{self.agent!r} takes batches, whose runs have no streams", "take events one at a time")
        return StreamWriter(self._services.streams, self._telling, name)

    def _telling(self) -> Teller:
        if self.over:
            raise Refused("the handling has ended", "await in the handler what it starts")
        try:
            return self._teller
        except AttributeError:  # made when it is needed: most handlings tell nothing
            self._teller = teller_of(self._delivery)
            return self._teller

    async def _step(
        self, name: str, call: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any], *, effects: bool
    ) -> Any:
        if self._delivery.agent.options.batch:
            return await self._step_of_batch(name, call, args, options, effects=effects)
        if self.over or (_current.get() or self) is not self:
            raise misused(f"step {name!r}", self.run_id, over=self.over)
        if effects and self._delivery.outside is not None:
            return self._steps.simulate(name, call, self._delivery.outside)
        return await self._steps.execute(name, call, args, options, effects=effects)

    async def _step_of_batch(
        self, name: str, call: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any], *, effects: bool
    ) -> Any:
        """Call without a record: after a crash the events may come in other batches, where no record would be found."""
        if effects:
            hint = (
                "use ctx.read for what changes nothing outside, or emit an event to an agent that takes one at a time"
            )
            raise Refused(f"step {name!r} has effects, and {self._delivery.agent.name!r} takes batches", hint)
        result = call(*args, **options)
        return await result if is_awaitable(result) else result


def teller_of(delivery: Delivery) -> Teller:
    """Return the run of a delivery as one that tells on its way."""
    recorded = delivery.events[0]
    cause, partition = recorded.event, recorded.position.partition
    correlation = cause.correlation_id or cause.id
    return Teller(delivery.run_id, cause.tenant, partition, correlation, delivery.journal, delivery.attempt)


def entered(context: Context | None) -> None:
    """Make the context the current one of this task; None once its handling is over.

    A task that has ended keeps its variables: with the context among them, each turn would be a cycle for the collector.
    """
    _current.set(context)


def required() -> Context:
    """Return the current context, or say that there must be one."""
    context = _current.get()
    if context is None:
        raise Missing("a running handler", "call this from within an agent")
    return context
