"""How a workflow hears events: it begins to listen, takes what came one by one, and stops.

What came is a signal of a channel of its own, so it is kept and taken as signals are. Each of the three is recorded.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Generic, TypeVar

from msgspec.structs import replace

from penstock.core.agents.journal import decode_value
from penstock.core.agents.listening import CHANNEL, CLOSED, LISTEN, Listening, listening_to, told_listening
from penstock.core.events.event import Event
from penstock.errors import Invalid, LimitReached, Refused
from penstock.runtime.operations import Operations
from penstock.runtime.waiting import next_sent

E = TypeVar("E", bound=Event)
Match = Mapping[str, Any]
LISTENINGS_MAX = 100_000  # of one run at once


class Listener(Generic[E]):
    """Events that a run listens to."""

    __slots__ = ("_event", "_known", "_operations", "_step")

    def __init__(self, operations: Operations, step: str, event: type[E], known: Listening) -> None:
        self._operations = operations
        self._step = step
        self._event = event
        self._known = known

    async def next(self, *, timeout_s: float | None = None) -> E:
        """Take the oldest event that came and was not taken, or wait for it; `TimedOut` when none came in time."""
        operations = self._operations
        sent = await next_sent(operations, self._known.channel, f"waiting for {told_listening(self._known)}", timeout_s)
        try:
            return self._event.decoded_as(sent["type"], sent["data"])
        except Invalid as error:  # of a version that this code cannot read
            operations.misfit(self._step, error)

    def close(self) -> None:
        """Listen no more. What came and was not taken is let go."""
        operations = self._operations
        run, journal = operations.run, operations.journal
        if run.closed or operations.calls.stopping or self._known.channel not in journal.listening:
            return
        known = journal.listening.pop(self._known.channel)
        operations.record(f"{self._step}{CLOSED}", True)
        operations.calls.listen_no_more(run, known)


def listening(
    operations: Operations, event: type[E], key: str | None, match: Match | None, *, once: bool
) -> Listener[E]:
    """Begin to listen, or go on listening, as the journal says."""
    if not (isinstance(event, type) and issubclass(event, Event)):  # pyright: ignore[reportUnnecessaryIsInstance] - users without a type checker
        raise Refused(f"{event!r} is no event class", "wait for a subclass of penstock.Event, or a signal by its name")
    run, journal = operations.run, operations.journal
    kind = operations.services.listeners.kind(event)
    key, plain = listening_to(event, kind.key, key, match or {})
    step = operations.ask(f"{LISTEN}{event.__name__}")
    asked = Listening(
        run.run_id,
        f"{CHANNEL}{event.__name__}{CHANNEL}{blake2b(journal.named(step).encode(), digest_size=8).hexdigest()}",
        run.cause.tenant,
        run.cause.key or run.cause.id,
        kind.topic,
        event.__name__,
        key,
        plain,
        once,
    )
    found = journal.find(step)
    if found is not None:
        known = decode_value(found, Listening)
        if replace(known, run_id=run.run_id, run_key=asked.run_key) != asked:
            operations.halt(f"{step!r} waits for {told_listening(known)}, and the code now for {told_listening(asked)}")
        return Listener(operations, step, event, asked)
    if len(journal.listening) >= LISTENINGS_MAX:
        raise LimitReached(f"what run {run.run_id} listens to", len(journal.listening) + 1, LISTENINGS_MAX)
    operations.record(step, asked)
    journal.listening[asked.channel] = asked
    operations.calls.listen(run, asked)
    return Listener(operations, step, event, asked)
