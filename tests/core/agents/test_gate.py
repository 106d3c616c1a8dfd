"""Who may begin: limits are never broken, nobody waits while they could begin, and nobody waits forever."""

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.core.agents.flow import Concurrency, Flow, Rate
from penstock.core.agents.gate import Gate

TENANTS = ("a", "b", "c")
USERS = ("x", "y", "z")


def rules(by):
    return st.one_of(
        st.builds(Concurrency, at_once=st.integers(1, 3), by=by),
        st.builds(Rate, count=st.integers(1, 3), per_s=st.sampled_from([0.01, 0.1]), by=by, burst=st.integers(0, 3)),
    )


flows = st.lists(rules(st.sampled_from(["", "tenant", "user"])), max_size=3).map(
    lambda chosen: Flow(
        concurrency=tuple(each for each in chosen if isinstance(each, Concurrency)),
        rate=tuple(each for each in chosen if isinstance(each, Rate)),
        priority="urgency",
        aging_s=0.1,
    )
)
acts = st.lists(
    st.one_of(
        st.tuples(st.just("enter"), st.sampled_from(TENANTS), st.sampled_from(USERS), st.integers(0, 9)),
        st.tuples(st.just("end"), st.integers(0, 50)),
        st.tuples(st.just("drop"), st.integers(0, 50)),
        st.tuples(st.just("again"), st.integers(0, 50)),
        st.tuples(st.just("pass"), st.integers(1, 200)),
    ),
    max_size=120,
)


class Checked:
    """A gate, and a plain model of it that looks at everybody each time."""

    def __init__(self, flow):
        self.flow = flow
        self.gate = Gate(flow)
        self.now_ms = 1_000_000
        self.waiting, self.going, self.out = [], [], []
        self.begun = []  # (when, tenant, user)

    def same(self, rule, tenant, user):
        return {"": (), "tenant": (tenant,), "user": (tenant, user)}[rule.by]

    def room(self, tenant, user):
        """Whether the limits on how many go on at once let this one through."""
        for rule in self.flow.concurrencies:
            group = self.same(rule, tenant, user)
            if sum(self.same(rule, *ticket.item) == group for ticket in self.going) >= rule.at_once:
                return False
        return True

    def fill(self):
        while (ticket := self.next()) is not None:
            assert self.room(*ticket.item)
            self.waiting.remove(ticket)
            self.going.append(ticket)
            self.begun.append((self.now_ms, *ticket.item))
        if not self.flow.rates:
            assert not any(self.room(*ticket.item) for ticket in self.waiting)
        elif self.gate.due_ms is None:
            assert not self.waiting or not all(self.room(*ticket.item) for ticket in self.waiting)
        assert (self.gate.waiting, self.gate.running) == (len(self.waiting), len(self.going))

    def next(self):
        ticket = self.gate.next(self.now_ms)
        while self.gate.unknown:
            group = self.gate.unknown.pop()
            self.gate.learned(group, self.gate.declared_bucket(group, self.now_ms))
            ticket = ticket or self.gate.next(self.now_ms)
        return ticket

    def act(self, what, *args):
        match what:
            case "enter":
                tenant, user, urgency = args
                ticket = self.gate.ticket((tenant, user), tenant, self.now_ms, {"user": user, "urgency": urgency})
                self.gate.enter(ticket)
                self.waiting.append(ticket)
            case "end" if self.going:
                self.gate.close(self.going.pop(args[0] % len(self.going)))
            case "drop" if self.waiting:
                self.gate.close(self.waiting.pop(args[0] % len(self.waiting)))
            case "again" if self.going:
                ticket = self.going.pop(args[0] % len(self.going))
                self.gate.leave(ticket)
                self.gate.enter(ticket)
                self.waiting.append(ticket)
            case "pass":
                self.now_ms += args[0]
        self.fill()

    def finish(self):
        """Whoever is left gets through, by ends and by time alone."""
        for _ in range(10_000):
            if self.going:
                self.act("end", 0)
            elif self.waiting:
                assert self.gate.due_ms is not None
                self.act("pass", max(1, self.gate.due_ms - self.now_ms))
            else:
                return
        raise AssertionError("somebody waits forever")


@settings(max_examples=300, deadline=None)
@given(flows, acts)
def test_limits_hold_and_nobody_waits_in_vain(flow, chosen):
    checked = Checked(flow)
    for act in chosen:
        checked.act(*act)
    checked.finish()
    for rule in flow.rates:
        begun = {}
        for at_ms, *item in checked.begun:
            begun.setdefault(checked.same(rule, *item), []).append(at_ms)
        for times in begun.values():
            for first in range(len(times)):
                for last in range(first, len(times)):
                    window_ms = times[last] - times[first]
                    most = rule.burst_size + rule.count * window_ms / (rule.per_s * 1000)
                    assert last - first + 1 <= most + 1e-9


def entered(gate, tenant, time_ms=0, **values):
    ticket = gate.ticket((tenant, time_ms, values), tenant, time_ms, values)
    gate.enter(ticket)
    return ticket


def test_tenants_take_turns_however_much_one_has_put_in():
    gate = Gate(Flow(concurrency=1))
    for number in range(100):
        entered(gate, "loud", number)
    for number in range(3):
        entered(gate, "quiet", number)
    order = []
    while (ticket := gate.next(0)) is not None:
        order.append(ticket.item[0])
        gate.close(ticket)
    assert order[:6] == ["loud", "quiet"] * 3
    assert len(order) == 103


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5_000)), min_size=1, max_size=60))
def test_nobody_is_overtaken_by_one_who_came_later_than_the_aging_allows(wishes):
    gate = Gate(Flow(concurrency=1, priority="urgency", aging_s=0.1))
    for urgency, time_ms in wishes:
        entered(gate, "a", time_ms, urgency=urgency)
    order = []
    while (ticket := gate.next(10_000)) is not None:
        order.append(ticket.item)
        gate.close(ticket)
    for at, (_, time_ms, values) in enumerate(order):
        for _, later_ms, others in order[:at]:
            assert later_ms - time_ms <= max(0, others["urgency"] - values["urgency"]) * 100
    if len({time_ms for _, time_ms in wishes}) == 1:
        urgencies = [values["urgency"] for _, _, values in order]
        assert urgencies == sorted(urgencies, reverse=True)


def test_the_urgent_ones_go_first_also_into_a_line_that_is_stopped():
    gate = Gate(Flow(concurrency=(Concurrency(1), Concurrency(1, by="user")), priority="urgency"))
    first = entered(gate, "a", 0, user="x", urgency=0)
    assert gate.next(0) is first
    slow = entered(gate, "a", 1, user="y", urgency=0)
    assert gate.next(0) is None
    urgent = entered(gate, "a", 2, user="y", urgency=5)
    other = entered(gate, "a", 3, user="z", urgency=9)
    assert gate.next(0) is None
    order = []
    gate.close(first)
    while (ticket := gate.next(0)) is not None:
        order.append(ticket)
        gate.close(ticket)
    assert order == [other, urgent, slow]


def test_five_thousand_who_wait_for_the_same_limit_cost_one_look_each():
    gate = Gate(Flow(concurrency=(Concurrency(2, by="tenant"), Concurrency(1, by="user")), rate=Rate(1_000_000)))
    looks = 0
    looked = gate._is_open

    def counted(group, now_ms):
        nonlocal looks
        looks += 1
        return looked(group, now_ms)

    gate._is_open = counted
    for number in range(5_000):
        entered(gate, "a", number, user=f"u{number % 2_500}")
    begun = 0
    while begun < 5_000:
        ticket = gate.next(0)
        if ticket is None:
            group = gate.unknown.pop()
            gate.learned(group, gate.declared_bucket(group, 0))
            continue
        begun += 1
        gate.close(ticket)
    assert looks < 20 * 5_000


def test_what_is_given_up_leaves_no_trace():
    gate = Gate(Flow(concurrency=Concurrency(1, by="user"), rate=Rate(1, per_s=0.001, by="user")))
    for number in range(2_000):
        ticket = entered(gate, "a", number, user=f"u{number}")
        gate.next(number * 10)
        while gate.unknown:
            group = gate.unknown.pop()
            gate.learned(group, gate.declared_bucket(group, number * 10))
        gate.next(number * 10)
        gate.close(ticket)
    assert not gate._kins
    assert len(gate._groups) < 600
    assert gate.forgotten


def test_those_who_were_dropped_do_not_fill_the_memory():
    gate = Gate(Flow(concurrency=1))
    gate.next(0)
    entered(gate, "a")
    assert gate.next(0)
    kept = entered(gate, "a")
    for number in range(1_000):
        gate.close(entered(gate, "a", number))
    assert len(kept.kin.tickets) < 200
