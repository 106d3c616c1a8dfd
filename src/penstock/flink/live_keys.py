"""The keys that are in memory, and what commits say of them."""

from collections.abc import Callable

from penstock.core.agents.unit import DeadLetter, RunChange, Sent, SessionDelta, ValueWrite, Writes
from penstock.core.events.dead_messages import dead_message
from penstock.core.events.envelope import Position, Recorded, event_of
from penstock.core.events.messages import Message, to_message
from penstock.core.sessions.history import MESSAGES_MAX
from penstock.core.timing.timers import Timer, TimerWrite
from penstock.errors import Refused
from penstock.flink.keyed_state import Head, Messages, Remembered, Underway, keyed_name
from penstock.flink.marks import Marking
from penstock.runtime.lanes import weight

ENDED = ("succeeded", "failed", "cancelled")
Sending = tuple[str, Message]  # a topic, and what goes there


class Live:
    """A key while anything of it is in memory."""

    def __init__(self, name: str, head: Head, remembered: Remembered) -> None:
        self.name = name
        self.head = head
        self.remembered = remembered
        self.is_remembered = False  # whether something was remembered that is not kept yet
        self.sendings: list[Sending] = []
        self.looked = 0  # how often what is under way was looked at
        self.marking = Marking()


class LiveKeys:
    """Those of a subtask. `dead_letters` is the topic for events that an agent could not handle."""

    def __init__(self, dead_letters: str) -> None:
        self.lives: dict[str, Live] = {}
        self.under_way: dict[str, tuple[Live, Underway]] = {}  # by event id
        self.weight = 0  # of what is under way
        self.recorded = 0  # how often a journal was written
        self.recorded_of: dict[str, int] = {}  # by run: when last
        self.dead_letters = dead_letters
        self.on_ended: Callable[[Underway], None] | None = None
        self._timers: dict[str, Live] = {}  # who has which timer

    def of(self, tenant: str, key: str) -> Live | None:
        """Return a key that is in memory."""
        return self.lives.get(keyed_name(tenant, key))

    def enter(self, live: Live) -> None:
        """Have a key in memory."""
        self.lives[live.name] = live
        self._timers.update(dict.fromkeys(live.head.timers, live))

    def leave(self, live: Live) -> None:
        """Let go of a key that nothing is under way for."""
        del self.lives[live.name]
        for timer_id in live.head.timers:
            del self._timers[timer_id]

    def begun(self, live: Live, entry: Underway) -> None:
        """An event is under way."""
        self.under_way[entry.event.id] = live, entry
        self.weight += weight_of(entry)

    def ended(self, live: Live, entry: Underway) -> None:
        """All agents are done with an event."""
        del self.under_way[entry.event.id]
        self.weight -= weight_of(entry)
        live.head.under_way.remove(entry)
        if self.on_ended is not None:
            self.on_ended(entry)

    def due(self, live: Live, now_ms: int) -> list[Timer]:
        """Take the timers of a key whose time has come."""
        found = sorted((each for each in live.head.timers.values() if each.due_ms <= now_ms), key=lambda it: it.place)
        for timer in found:
            self._drop(timer.id)
        return found

    def apply(self, writes: Writes) -> None:
        """Sort a commit into the keys that it concerns."""
        for sent in writes.sent:
            self._send(sent)
        for timer in writes.timers:
            self._set(timer)
        for delta in writes.sessions:
            self._add(delta)
        for value in writes.values:
            self._write(value)
        for chunk in writes.journal:
            event_id, agent = event_of(chunk.run_id)
            if event_id in self.under_way:
                self.under_way[event_id][1].chunks.setdefault(agent, []).append(chunk.body)
                self.recorded += 1
                self.recorded_of[chunk.run_id] = self.recorded
        for letter in writes.dead:
            self._bury(letter)
        for change in writes.runs:  # last: an event that all are done with is forgotten
            self._changed(change)

    def _send(self, sent: Sent) -> None:
        found = self.under_way.get(sent.event.causation_id)
        if found is None:
            raise Refused(f"{sent.event.type} follows from no event under way", "tell the authors of penstock")
        found[0].sendings.append((sent.topic, to_message(sent.event)))

    def _set(self, write: TimerWrite) -> None:
        self._drop(write.id)
        if write.timer is None:
            return
        found = self.under_way.get(write.timer.event.causation_id)
        if found is None:
            raise Refused(f"the timer {write.id!r} follows from no event under way", "tell the authors of penstock")
        found[0].head.timers[write.id] = write.timer
        self._timers[write.id] = found[0]

    def _drop(self, timer_id: str) -> None:
        holder = self._timers.pop(timer_id, None)
        if holder is not None:
            del holder.head.timers[timer_id]

    def _add(self, delta: SessionDelta) -> None:
        live = self.of(delta.tenant, delta.session)
        if live is not None:
            live.is_remembered = True
            live.remembered.messages.append(Messages(delta.number, delta.count, delta.expires_ms, delta.body))
            del live.remembered.messages[:-MESSAGES_MAX]

    def _write(self, value: ValueWrite) -> None:
        live = self.of(value.tenant, value.key)
        if live is None:
            return  # of an event without a key, whose values nobody can read again
        live.is_remembered = True
        values = live.remembered.values.setdefault(value.agent, {})
        if value.body is None:
            values.pop(value.name, None)
        else:
            values[value.name] = value.body

    def _bury(self, letter: DeadLetter) -> None:
        found = self.under_way.get(event_of(letter.run_id)[0])
        if found is not None:
            told = letter.agent, letter.reason, letter.attempts
            found[0].sendings.append((self.dead_letters, dead_message(letter.event.event, found[1].topic, told)))

    def _changed(self, change: RunChange) -> None:
        event_id, agent = event_of(change.run_id)
        found = self.under_way.get(event_id)
        if change.status in ENDED:
            self.recorded_of.pop(change.run_id, None)
        if found is None:
            return
        live, entry = found
        if change.status not in ENDED:
            entry.runs[agent] = change
            return
        entry.runs.pop(agent, None)
        entry.chunks.pop(agent, None)
        if agent in entry.left:
            entry.left.remove(agent)
        if not entry.left:
            self.ended(live, entry)


def weight_of(entry: Underway) -> int:
    """Return how much of the memory for waiting events one takes."""
    return weight(Recorded(Position(entry.topic, 0, 0), entry.event))
