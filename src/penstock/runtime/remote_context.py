"""What a handler holds that runs elsewhere: it reads like the context of the engine, and asks the engine for all of it.

What a handling emits and changes is collected here and told when it has ended; what it reads, and its steps, are asked for at
once. Nothing is kept here that a death could lose: the journal, the session and the values are the engine's.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NoReturn, Protocol, cast

import msgspec

from penstock.core.agents.approvals import Approval
from penstock.core.agents.journal import encode_value, shaped
from penstock.core.events.texts import storable
from penstock.core.knowledge.passages import DEFAULT_TENANT
from penstock.core.routing.router import Routed
from penstock.core.sessions.history import History, SessionMessage
from penstock.errors import LimitReached, Refused
from penstock.ports.clock import Clock
from penstock.runtime.approving import requested
from penstock.runtime.collection import Collection
from penstock.runtime.context import Context
from penstock.runtime.found import Found, Search
from penstock.runtime.lanes import Delivery
from penstock.runtime.memory import Entry
from penstock.runtime.misuse import misused
from penstock.runtime.models import Models
from penstock.runtime.remembering import Session, Values
from penstock.runtime.routing import LiveRouter, RouteAsked
from penstock.runtime.services import ForgettingControl, GenerationControl, RunControl, Services
from penstock.runtime.steps import scope
from penstock.runtime.streams import PIECE_BYTES, PIECE_BYTES_MAX, STREAM_BYTES_MAX, StreamWriter


class Wire(Protocol):
    """The way from one handling to its engine."""

    async def step(self, name: str, call: Callable[..., Any], given: "Given", *, effects: bool) -> Any:
        """Have the engine say whether a step is to be executed, and return what it comes to."""
        ...

    async def ask(self, what: str, body: Any) -> Any:
        """Return what the engine answers, as plain data."""
        ...

    def tell(self, stream: str, name: str, piece: bytes) -> None: ...


Given = tuple[tuple[Any, ...], dict[str, Any]]


class RemoteContext(Context):
    """A context in a worker of a host."""

    __slots__ = ("_told", "_wire")

    def __init__(self, delivery: Delivery, clock: Clock, models: Models, wire: Wire) -> None:
        # Whatever asks for another part of an engine than these two is overridden below.
        super().__init__(delivery, cast("Services", SimpleNamespace(clock=clock, models=models)))
        self._wire = wire
        self._told: dict[str, tuple[int, int]] = {}  # by stream: pieces and bytes

    async def approval(self, title: str, *, payload: Any = None, **asked: Any) -> Approval[Any]:
        """Have a person approve something. The handling keeps its place on the host while it waits: better ask in a workflow."""
        if self._delivery.agent.options.batch or self.over:
            raise Refused(
                f"{title!r} cannot be asked here", "ask in a handler that takes one event, before it has ended"
            )
        requested(title, payload, asked)  # says what is wrong with it, here
        to = asked.pop("to", None)
        kind = None if to is None else (getattr(to, "__module__", ""), getattr(to, "__qualname__", ""))
        plain = await self._wire.ask("approval", {"title": title, "payload": payload, "to": kind, **asked})
        value = plain["value"]
        return Approval(
            plain["approved"],
            value if to is None or value is None else shaped(value, to),
            plain["by"],
            plain["reason"],
            timed_out=plain["timed_out"],
        )

    @property
    def session(self) -> Session:
        return self.session_of(self.key)

    def session_of(self, session: str) -> Session:
        if self._session is None:
            self._session = RemoteSession(self.tenant, session, self._services, self._wire)
        elif self._session.id != session:
            raise Refused(
                f"this handling works with session {self._session.id!r} already", "use one session per handling"
            )
        return self._session

    @property
    def values(self) -> Values:
        if self._values is None:
            self._values = RemoteValues((self.tenant, self.agent, self.key), self._services, self._wire)
        return self._values

    @property
    def changed(self) -> tuple[Session | None, Values | None]:
        """What was said and set, if anything."""
        return self._session, self._values

    def let_go(self) -> None:
        self.over = True

    @property
    def runs(self) -> RunControl:
        return self._engines("runs")

    @property
    def questions(self) -> NoReturn:
        return self._engines("questions")

    @property
    def forgetting(self) -> ForgettingControl:
        return self._engines("forgetting")

    def keeper(self, name: str) -> GenerationControl:
        return self._engines(f"keeper({name!r})")

    def _engines(self, what: str) -> NoReturn:
        raise Refused(f"ctx.{what} belongs to penstock's own agents", "they run in the engine's process")

    def collection(self, name: str) -> Collection:
        return cast("Collection", RemoteCollection(name, self._wire))

    def router(self, name: str) -> LiveRouter:
        return cast("LiveRouter", RemoteRouter(name, self._wire))

    def tell(self, text: str, *, name: str = "") -> None:
        self._say("", text, name)

    def stream(self, name: str = "") -> StreamWriter:
        """Return a stream of this run to write to. Offsets count what this handling wrote to it here."""
        if self._delivery.agent.options.batch:
            raise Refused(f"{self.agent!r} takes batches, whose runs have no streams", "take events one at a time")
        return RemoteWriter(self._say, name)

    def _say(self, stream: str, piece: Any, name: str) -> int:
        if self.over:
            raise Refused("the handling has ended", "await in the handler what it starts")
        if isinstance(piece, str):
            storable("a piece", piece, PIECE_BYTES_MAX)
        body = encode_value(piece, f"a piece of stream {stream!r}")
        pieces, size = self._told.get(stream, (0, 0))
        size += len(body) + PIECE_BYTES
        if size > STREAM_BYTES_MAX:
            raise LimitReached(f"stream {stream!r} of {self.run_id}, in bytes,", size, STREAM_BYTES_MAX)
        self._told[stream] = pieces + 1, size
        self._wire.tell(stream, name, body)
        return pieces

    async def _step(
        self, name: str, call: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any], *, effects: bool
    ) -> Any:
        if self.over:
            raise misused(f"step {name!r}", self.run_id, over=True)
        if self._delivery.agent.options.batch:
            return await self._step_of_batch(name, call, args, options, effects=effects)
        self._delivery.journal.next_step(scope.get() + name)  # so that `idempotency_key` counts as the engine does
        return await self._wire.step(name, call, (args, options), effects=effects)


class RemoteSession(Session):
    """A session that is read from the engine when it is asked for."""

    __slots__ = ("_wire",)

    def __init__(self, tenant: str, session: str, services: Services, wire: Wire) -> None:
        super().__init__(tenant, session, services)
        self._wire = wire

    async def _hold(self) -> Entry[History]:
        self.entry = Entry(History(msgspec.convert(await self._wire.ask("session", self.id), list[SessionMessage])))
        return self.entry


class RemoteValues(Values):
    """Values that are read from the engine when they are asked for."""

    __slots__ = ("_wire",)

    def __init__(self, key: tuple[str, str, str], services: Services, wire: Wire) -> None:
        super().__init__(key, services)
        self._wire = wire

    async def _hold(self) -> Entry[dict[str, bytes]]:
        self.entry = Entry(dict(await self._wire.ask("values", None)))
        return self.entry


class RemoteWriter(StreamWriter):
    """A stream whose pieces the engine appends."""

    __slots__ = ("_say",)

    def __init__(self, say: Callable[[str, Any, str], int], name: str) -> None:
        self._say = say
        self._name = name

    def write(self, piece: Any, *, name: str = "") -> int:
        return self._say(self._name, piece, name)


class RemoteCollection:
    """A collection that the engine searches."""

    def __init__(self, name: str, wire: Wire) -> None:
        self.name = name
        self._wire = wire

    async def search(self, search: Search, tenant: str = DEFAULT_TENANT) -> list[Found]:
        plain = await self._wire.ask("search", [self.name, tenant, msgspec.to_builtins(search)])
        return msgspec.convert(plain, list[Found])

    async def embedded(self, text: str) -> tuple[float, ...]:
        return tuple(await self._wire.ask("embed", [self.name, text]))


class RemoteRouter:
    """A router that the engine asks."""

    def __init__(self, name: str, wire: Wire) -> None:
        self.name = name
        self._wire = wire

    async def choose(self, asked: RouteAsked, tenant: str = DEFAULT_TENANT) -> Routed:
        plain = await self._wire.ask("route", [self.name, tenant, msgspec.to_builtins(asked)])
        return msgspec.convert(plain, Routed)
