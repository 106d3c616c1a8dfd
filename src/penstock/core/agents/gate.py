"""Who may begin now: of the deliveries of one agent whose turn has come, those that its limits let through, fairly.

- Those whom the same limits concern are *kin*: one of them that may not begin stands for all, so nothing looks at each of those
  who wait. A kin that a limit stops is parked there, and comes back when the limit lets one through again.
- Nothing here knows a clock: whoever asks says what time it is, and is told when to ask again.
"""

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Any, Generic, Literal, TypeVar

from penstock.core.agents.buckets import is_full, new_bucket
from penstock.core.agents.fair_queue import FairQueue, Order
from penstock.core.agents.flow import TENANT, Flow, Rate, rank_of
from penstock.core.timing.token_bucket import TokenBucket, taken

T = TypeVar("T")
GROUPS_MIN = 256  # groups in memory from which on it pays to look for those that nobody needs
DROPPED_MIN = 64
Values = dict[str, Any]
Member = tuple[int, str, str, int]  # number of the rule, tenant, value, partition


class Group(Generic[T]):
    """Those that share one limit: all deliveries of the agent, those of a tenant, or those with one value of a field."""

    __slots__ = (
        "asked",
        "at_once",
        "bucket",
        "known",
        "members",
        "name",
        "parked",
        "rate",
        "rule",
        "running",
        "shared",
        "tenant",
        "timed",
    )

    def __init__(self, tenant: str, name: str, rule: int) -> None:
        self.tenant = tenant
        self.name = name
        self.rule = (
            rule  # the number of the rate; the three of them say where its bucket is stored. Below 0: it has none
        )
        self.at_once = 0  # how many may go on, where it has no rate
        self.shared = 0  # of how many, where several workers share the limit
        self.running = 0
        self.asked = 0  # tickets that are held by somebody
        self.rate: Rate | None = None
        self.bucket: TokenBucket | None = None
        self.known = False  # whether its bucket is being looked up in the store, or was
        self.timed = False  # whether it is among those that open by themselves
        self.members = 0
        self.parked: Kins[T] = FairQueue()


class Ticket(Generic[T]):
    """A wish to begin. It may be used again, after `leave`, for another attempt."""

    __slots__ = ("item", "kin", "order", "state")

    def __init__(self, item: T, kin: "Kin[T]", order: Order) -> None:
        self.item = item
        self.kin = kin
        self.order = order
        self.state: Literal["out", "waiting", "in", "gone"] = "out"


class Kin(Generic[T]):
    """The tickets of one tenant that the same limits concern."""

    __slots__ = ("alive", "dropped", "groups", "key", "listed", "place", "tenant", "tickets")

    def __init__(self, tenant: str, key: tuple[Member, ...], groups: tuple[Group[T], ...]) -> None:
        self.tenant = tenant
        self.key = key
        self.groups = groups
        self.alive = 0  # tickets that are held by somebody
        self.tickets: list[tuple[Order, Ticket[T]]] = []
        self.dropped = 0  # of them, those that nobody waits for any more
        self.place: Kins[T] | None = None  # where it waits: for its turn, or for a limit
        self.listed: Order | None = None  # under which order; entries with another one are stale

    def head(self) -> "Ticket[T] | None":
        """Return the first ticket that somebody waits for."""
        while self.tickets and self.tickets[0][1].state != "waiting":
            heappop(self.tickets)
            self.dropped -= 1
        return self.tickets[0][1] if self.tickets else None

    def wait_in(self, place: "Kins[T]") -> None:
        """Wait there, in the order of the first ticket."""
        self.place, self.listed = place, self.tickets[0][0]
        place.put(self.tenant, self.listed, (self.listed, self))

    def drop(self) -> None:
        """Note that one more of the tickets is waited for no more."""
        self.dropped += 1
        if self.dropped >= DROPPED_MIN and 2 * self.dropped > len(self.tickets):
            self.tickets = [each for each in self.tickets if each[1].state == "waiting"]
            heapify(self.tickets)
            self.dropped = 0


Kins = FairQueue[tuple[Order, Kin[T]]]


class Gate(Generic[T]):
    """The limits of one agent, and those who wait for them."""

    def __init__(self, flow: Flow, *, key: str | None = None, partitions: int = 1, shared: bool = False) -> None:
        """`shared`: other workers go by the same limits, so nobody goes on until `grant` says how many may."""
        self.flow = flow
        self._key = key  # the field that decides the partition: what is limited by it need not be divided
        self._partitions = partitions
        self._groups: dict[Member, Group[T]] = {}
        self._kins: dict[tuple[str, tuple[Member, ...]], Kin[T]] = {}
        self._queue: Kins[T] = FairQueue()
        self._times: list[tuple[int, int, Group[T]]] = []
        self._number = 0
        self._sweep_at = GROUPS_MIN
        self.limits = [each.at_once for each in flow.concurrencies]
        # What is limited by the key is one worker's: that of the key's partition.
        self._shared = [
            shared and each.scope == "all" and (not each.by or each.by != key) for each in flow.concurrencies
        ]
        self._granted: dict[Member, int] = {}
        self.shared: dict[Member, Group[T]] = {}  # those whose limit is shared
        self.on_short: Callable[[], None] = (
            nobody  # somebody is stopped for want of a grant, or one could be taken back
        )
        self.waiting = 0
        self.running = 0
        self.unknown: list[Group[T]] = []  # whose buckets must be looked up: give them to `learned`
        self.forgotten: list[Group[T]] = []  # whose buckets are full again, and need not be stored any more

    def grant(self, member: Member, count: int) -> None:
        """Let so many of those whom a shared limit concerns go on at once here, from now on."""
        if self._granted.get(member, 0) == count:
            return
        if count:
            self._granted[member] = count
        else:
            self._granted.pop(member, None)
        group = self.shared.get(member)
        if group is not None:
            group.at_once = count
            while self._pass_on(group):
                pass

    def ticket(self, item: T, tenant: str, time_ms: int, values: Values, partition: int = 0) -> Ticket[T]:
        """Return a ticket for an event of that time, with these values of the fields that the flow names."""
        members = tuple(self._members(tenant, values, partition))
        kin = self._kins.get((tenant, members))
        if kin is None:
            groups = tuple(self._group(each) for each in members)
            kin = self._kins[tenant, members] = Kin(tenant, members, groups)
        kin.alive += 1
        for group in kin.groups:
            group.asked += 1
        self._number += 1
        priority = self.flow.priority
        rank = rank_of(time_ms, values.get(priority), self.flow.aging_s) if priority else 0.0
        return Ticket(item, kin, (rank, self._number))

    def enter(self, ticket: Ticket[T]) -> None:
        """Let it wait until `next` returns it."""
        assert ticket.state == "out", ticket.state
        ticket.state = "waiting"
        self.waiting += 1
        kin = ticket.kin
        head = kin.head()
        heappush(kin.tickets, (ticket.order, ticket))
        if head is None or kin.place is None:
            kin.wait_in(self._queue)
        elif ticket.order < head.order:
            kin.wait_in(kin.place)

    def admitted(self, ticket: Ticket[T]) -> None:
        """Count it as one that goes on already, whatever the limits say: it began in an earlier process."""
        assert ticket.state == "out", ticket.state
        self._let_in(ticket)

    def leave(self, ticket: Ticket[T]) -> None:
        """It goes on no more; it may enter again."""
        if ticket.state == "in":
            ticket.state = "out"
            self.running -= 1
            for group in ticket.kin.groups:
                if group.rule < 0:
                    group.running -= 1
                    self._pass_on(group)
                    if group.shared and group.running >= group.at_once:
                        self.on_short()

    def close(self, ticket: Ticket[T]) -> None:
        """Forget a ticket, wherever it is: nobody will let it enter again."""
        kin = ticket.kin
        self.leave(ticket)
        if ticket.state == "waiting":
            self.waiting -= 1
            ticket.state = "gone"
            kin.drop()
        ticket.state = "gone"
        kin.alive -= 1
        for group in kin.groups:
            group.asked -= 1
        if not kin.alive:
            del self._kins[kin.tenant, kin.key]
            for member, group in zip(kin.key, kin.groups, strict=True):
                group.members -= 1
                if not group.members and group.rule < 0:
                    del self._groups[member]
                    self.shared.pop(member, None)

    def next(self, now_ms: int) -> Ticket[T] | None:
        """Return the next one that may begin, which is in from now on; None: ask again after `leave`, or at `due_ms`."""
        if len(self._groups) > self._sweep_at:
            self._sweep(now_ms)
        while self._times and self._times[0][0] <= now_ms:
            group = heappop(self._times)[2]
            group.timed = False
            self._pass_on(group)
        while (kin := _popped(self._queue)) is not None:
            ticket = kin.head()
            closed = None if ticket is None else self._closed(kin, now_ms)
            if ticket is not None and closed is None:
                heappop(kin.tickets)
                self._let_in(ticket, now_ms)
                if kin.head() is not None:
                    kin.wait_in(self._queue)
                self._others(kin, now_ms)
                return ticket
            if closed is not None:
                kin.wait_in(closed.parked)
            self._others(kin, now_ms)
            self._queue.again(kin.tenant)
        return None

    @property
    def due_ms(self) -> int | None:
        """When a limit opens by itself that stops somebody now."""
        return self._times[0][0] if self._times else None

    def learned(self, group: Group[T], bucket: TokenBucket) -> None:
        """The bucket of a group was looked up."""
        group.bucket = bucket
        self._pass_on(group)

    def _members(self, tenant: str, values: Values, partition: int) -> list[Member]:
        flow = self.flow
        members: list[Member] = []
        for number, rule in enumerate((*flow.concurrencies, *flow.rates)):
            of_tenant = tenant if rule.by else ""
            value = "" if rule.by in ("", TENANT) else str(values.get(rule.by))
            own = partition if isinstance(rule, Rate) and self._partitions > 1 else 0
            members.append((number, of_tenant, value, own))
        return members

    def _group(self, member: Member) -> Group[T]:
        group = self._groups.get(member)
        if group is None:
            number, tenant, value, partition = member
            rule = number - len(self.limits)
            name = f"{partition}/{value}" if self._partitions > 1 else value
            group = self._groups[member] = Group[T](tenant, name, rule)
            if rule < 0 and self._shared[number]:
                group.shared, group.at_once = self.limits[number], self._granted.get(member, 0)
                self.shared[member] = group
            elif rule < 0:
                group.at_once = self.limits[number]
            else:
                group.rate = self.flow.rates[rule]
        group.members += 1
        return group

    def declared_bucket(self, group: Group[T], now_ms: int) -> TokenBucket:
        """Return the full bucket of a group that has a rate."""
        assert group.rate is not None
        whole = group.rate.by != "" and group.rate.by == self._key
        return new_bucket(group.rate, 1 if whole else self._partitions, now_ms)

    def _let_in(self, ticket: Ticket[T], now_ms: int | None = None) -> None:
        if ticket.state == "waiting":
            self.waiting -= 1
        ticket.state = "in"
        self.running += 1
        for group in ticket.kin.groups:
            if group.rule < 0:
                group.running += 1
            elif group.bucket is not None and now_ms is not None:
                group.bucket, _ = taken(group.bucket, 1, now_ms)

    def _closed(self, kin: Kin[T], now_ms: int) -> Group[T] | None:
        for group in kin.groups:
            if not self._is_open(group, now_ms):
                return group
        return None

    def _is_open(self, group: Group[T], now_ms: int) -> bool:
        if group.rule < 0:
            if group.running >= group.at_once and group.at_once < group.shared:
                self.on_short()
            return group.running < group.at_once
        if group.bucket is None:
            if not group.known:
                group.known = True
                self.unknown.append(group)
            return False
        _, wait_ms = taken(group.bucket, 1, now_ms)
        if wait_ms and not group.timed:
            group.timed = True
            self._number += 1
            heappush(self._times, (now_ms + wait_ms, self._number, group))
        return not wait_ms

    def _others(self, kin: Kin[T], now_ms: int) -> None:
        """Of each limit of this kin that still lets somebody through, give the next one a try."""
        for group in kin.groups:
            if len(group.parked) and self._is_open(group, now_ms):
                self._pass_on(group)

    def _pass_on(self, group: Group[T]) -> bool:
        """Let the first kin that is parked here wait for its turn again."""
        while (kin := _popped(group.parked)) is not None:
            if kin.head() is not None:
                kin.wait_in(self._queue)
                return True
        return False

    def _sweep(self, now_ms: int) -> None:
        """Forget the buckets that are full, and that nobody waits for."""
        if len(self._groups) <= self._sweep_at:
            return
        for member, group in list(self._groups.items()):
            if not group.members and (group.bucket is None or is_full(group.bucket, now_ms)):
                del self._groups[member]
                if group.bucket is not None:
                    self.forgotten.append(group)
        self._sweep_at = max(GROUPS_MIN, 2 * len(self._groups))


def nobody() -> None:
    """Stand in for nobody who shares the limits."""


def _popped(place: Kins[T]) -> Kin[T] | None:
    """Return the kin that is next there, which waits there no more."""
    while len(place):
        order, kin = place.pop()
        if kin.place is place and kin.listed == order:
            kin.place = kin.listed = None
            return kin
        place.again(kin.tenant)  # it waits elsewhere by now, or here under another order
    return None
