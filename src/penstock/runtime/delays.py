"""What a handling wants to happen later: events that wait for their time, under a name or without, and names to be forgotten.

It is collected while the handler runs, checked when it has ended, and set by the commit that is done with its event (C3).
"""

from msgspec import Struct
from msgspec.structs import replace

from penstock.core.agents.unit import Writes
from penstock.core.events.envelope import Envelope, Recorded, emitted_id
from penstock.core.events.event import Event
from penstock.core.events.texts import storable
from penstock.core.timing.timers import When, named_timer_id, when
from penstock.errors import LimitReached, Refused
from penstock.runtime.appending import Appender
from penstock.runtime.timers import Timers

DELAYED_MAX = 10_000
NAME_BYTES_MAX = 1024
FIRST_NUMBER = 1_000_000  # events that are emitted at once are counted from 0
LOOP_MS_MIN = 1000  # a timer by name that waits so long is no loop: it goes on for ever, and no faster than that


class Delayed(Struct):
    """One wish: without an event the timer of that name is cancelled; without a time the event is emitted at once."""

    event: Event | None
    key: str | None
    when: When | None
    name: str = ""
    chain: str = ""  # the event begins a chain of events of its own, of this name


class Delays:
    """The wishes of one handling."""

    def __init__(self, agent: str, key: str) -> None:
        self.agent = agent
        self.key = key
        self.wishes: list[Delayed] = []

    def emit(self, event: Event, key: str | None, after_s: object, at: object, name: str) -> None:
        """Wish for an event later; `Invalid` for what is no time, `Refused` for what is no name."""
        chosen = when(after_s, at)
        if chosen is None:
            raise Refused(f"the timer {name!r} has no time", "give after_s=... or at=...")
        self.add(Delayed(event, key, chosen, storable("the name of a timer", name, NAME_BYTES_MAX)))

    def cancel(self, name: str) -> None:
        """Wish that the timer of this name does not fire."""
        if not storable("the name of a timer", name, NAME_BYTES_MAX):
            raise Refused("the name of the timer is empty", "give the name that it was set with: emit(..., timer=NAME)")
        self.add(Delayed(None, None, None, name))

    def add(self, wish: Delayed) -> None:
        if len(self.wishes) >= DELAYED_MAX:
            raise LimitReached("the number of timers set by one handling", len(self.wishes) + 1, DELAYED_MAX)
        self.wishes.append(wish)

    def check(self, appender: Appender, timers: Timers, cause: Envelope) -> None:
        """Refuse what must not be emitted, before anything of the handling is written."""
        for wish in self.wishes:
            if wish.event is not None:
                starts_anew = bool(wish.chain) or _is_slow(wish, timers)
                appender.check(wish.event, wish.key, replace(cause, depth=0) if starts_anew else cause)

    def write(self, appender: Appender, timers: Timers, *, run: str, cause: Recorded, writes: Writes) -> list[Recorded]:
        """Add the wishes to a commit, and return the events that are emitted at once."""
        now_ms = timers.now_ms()
        tenant = cause.event.tenant
        emitted: list[Recorded] = []
        for number, wish in enumerate(self.wishes, FIRST_NUMBER):
            timer_id = named_timer_id(tenant, self.agent, self.key, wish.name) if wish.name else ""
            if wish.event is None:
                timers.cancel(timer_id, writes)
                continue
            placed = appender.unplaced(wish.event, wish.key, run=run, cause=cause.event, number=number, now_ms=now_ms)
            topic, event = placed
            if wish.chain:
                event_id = chain_id(tenant, wish.chain)
                event = replace(event, id=event_id, correlation_id=event_id, causation_id="", depth=0)
            elif _is_slow(wish, timers):
                event = replace(event, depth=0)
            if wish.when is None:
                emitted.append(appender.fired(topic, event))
                continue
            partition = cause.position.partition
            chosen = timers.timer(
                timer_id or event.id, partition, wish.when, (topic, event), agent=self.agent, name=wish.name
            )
            timers.set(chosen, writes)
        writes.events.extend(emitted)
        return emitted


def chain_id(tenant: str, chain: str) -> str:
    """Return the id of the event with which a chain begins; nobody outside can give it to an event."""
    return emitted_id(f"{tenant}/{chain}", chain, 0)


def _is_slow(wish: Delayed, timers: Timers) -> bool:
    """Whether a timer by name waits long enough: an agent that wakes itself up again and again is no loop (C9)."""
    if not wish.name or wish.when is None:
        return False
    after_s, at_ms = wish.when.after_s, wish.when.at_ms
    wait_ms = (after_s or 0) * 1000 if at_ms is None else at_ms - timers.now_ms()
    return wait_ms >= LOOP_MS_MIN
