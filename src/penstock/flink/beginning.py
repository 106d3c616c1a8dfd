"""Having events handled: at once, where there is room, or one by one after processes died, until who is to blame is known."""

import asyncio
from collections import deque

from penstock.core.events.dead_messages import dead_message
from penstock.core.events.envelope import Position, Recorded
from penstock.errors import Refused
from penstock.flink.begun import ALONE_FROM, DEATHS_MAX, Begun
from penstock.flink.keyed_state import Underway
from penstock.flink.live_keys import Live, LiveKeys, weight_of
from penstock.runtime.delivering import Delivering
from penstock.runtime.subscriptions import WAITING_MAX

UNDER_WAY_MAX = 1000  # events of a subtask that agents have; more wait in Kafka


class Beginning:
    """The events of a subtask on their way to their agents. One that waits here is in the state of its key like any other."""

    def __init__(self, delivering: Delivering, keys: LiveKeys, begun: Begun) -> None:
        self._delivering = delivering
        self._keys = keys
        self._begun = begun
        self._handled: set[str] = set()  # ids of events that agents have
        self._held: deque[tuple[Live, Underway]] = deque()
        self._weight = 0  # of those
        self._alone = ""  # the id of the one beside which nothing is begun
        keys.on_ended = self._ended

    def begin(self, live: Live, entry: Underway, *, again: bool = False) -> None:
        """Have an event handled, by the agents that are not done with it; `again`: a process before this one had begun it."""
        keys, deaths = self._keys, self._begun.deaths(entry.event.id)
        keys.begun(live, entry)
        live.head.see(entry.event.id)
        if not deaths and not self._held and not self._alone and self._has_room:
            self._offer(live, entry, again=again)
            return
        if not again:
            entry.left = [each.agent.name for each in self._delivering.at(entry.topic, 0)]
        if deaths >= DEATHS_MAX:
            self._give_up(live, entry, deaths)
        else:
            self._held.append((live, entry))
            self._go_on()

    @property
    def _has_room(self) -> bool:
        return len(self._handled) < UNDER_WAY_MAX and self._weight < WAITING_MAX // 2

    def _go_on(self) -> None:
        """Begin what may begin, in the order in which it came: beside what killed more than once nothing is."""
        while self._held and not self._alone and self._has_room:
            live, entry = self._held[0]
            may_be_to_blame = self._begun.deaths(entry.event.id) >= ALONE_FROM
            if may_be_to_blame and self._handled:
                return
            self._held.popleft()
            if may_be_to_blame:
                self._alone = entry.event.id
            self._offer(live, entry, again=True)

    def _offer(self, live: Live, entry: Underway, *, again: bool) -> None:
        event_id = entry.event.id
        self._begun.begin(event_id)
        self._handled.add(event_id)
        self._weight += weight_of(entry)
        wanted, entry.left = set(entry.left), []
        for subscription in self._delivering.at(entry.topic, 0):
            name = subscription.agent.name
            if again and name not in wanted:
                continue
            offset = subscription.read_to + 1
            if again:
                subscription.known_to = offset  # its journal is asked for
            entry.left.append(name)
            if not subscription.offer(Recorded(Position(entry.topic, 0, offset), entry.event)):
                raise Refused(f"agent {name!r} is behind", "tell the authors of penstock")
            if offset in subscription.progress:  # it does not take it
                entry.left.remove(name)
        if not entry.left:
            self._keys.ended(live, entry)

    def _give_up(self, live: Live, entry: Underway, deaths: int) -> None:
        reason = f"its handling killed the process {deaths} times"
        for name in entry.left:
            message = dead_message(entry.event, entry.topic, (name, reason, deaths))
            live.sendings.append((self._keys.dead_letters, message))
        entry.left.clear()
        self._keys.ended(live, entry)

    def _ended(self, entry: Underway) -> None:
        event_id = entry.event.id
        if (
            event_id in self._handled
        ):  # one that is given up stays known until a checkpoint has its dead letter, and after
            self._handled.discard(event_id)
            self._weight -= weight_of(entry)
            self._begun.end(event_id)
        if event_id == self._alone:
            self._alone = ""
        if self._held:
            asyncio.get_running_loop().call_soon(self._go_on)  # not within the commit that says so
