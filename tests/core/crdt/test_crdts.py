"""Whatever order states are merged in, and however often: all who have seen the same states hold the same."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.crdt.counters import GCounter, LWWRegister, PNCounter
from penstock.core.crdt.sets import GSet, ORSet
from penstock.errors import Refused

REPLICAS = ["a", "b", "c"]
ITEMS = ["wall", "tree", "dog"]
KINDS = [GSet, ORSet, GCounter, PNCounter, LWWRegister]
step = st.tuples(
    st.sampled_from(REPLICAS), st.sampled_from(ITEMS), st.integers(-5, 5), st.sampled_from(["write", "undo", "hear"])
)
each_kind = pytest.mark.parametrize("kind", KINDS)


def written(state, kind, replica, item, number):
    if kind is GSet:
        return state.added(item)
    if kind is ORSet:
        return state.added(replica, item)
    if kind is GCounter:
        return state.added(replica, abs(number))
    if kind is PNCounter:
        return state.added(replica, number)
    return state.written(item, at_ms=number + 5, replica=replica)


def lived(kind, steps):
    """Return the states of three replicas who write, take back, and now and then hear of the next one."""
    states = {replica: kind() for replica in REPLICAS}
    for replica, item, number, what in steps:
        if what == "hear":
            other = REPLICAS[(REPLICAS.index(replica) + 1) % 3]
            states[replica] = states[replica].merge(states[other])
        elif what == "undo" and kind is ORSet:
            states[replica] = states[replica].removed(item)
        else:
            states[replica] = written(states[replica], kind, replica, item, number)
    return states


@each_kind
@given(st.lists(step, max_size=25))
def test_merging_is_commutative_associative_and_idempotent(kind, steps):
    a, b, c = lived(kind, steps).values()
    assert a.merge(b) == b.merge(a)
    assert a.merge(b).merge(c) == a.merge(b.merge(c))
    assert a.merge(b).merge(b) == a.merge(b)
    assert a.merge(a) == a


@each_kind
@given(st.lists(step, max_size=25))
def test_what_was_heard_before_changes_nothing(kind, steps):
    states = lived(kind, steps)
    early = lived(kind, steps[: len(steps) // 2])
    assert states["a"].merge(early["a"]) == states["a"]


@each_kind
@given(st.lists(step, max_size=10))
def test_it_can_be_kept_and_read_back(kind, steps):
    for state in lived(kind, steps).values():
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=kind) == state
        assert msgspec.json.decode(msgspec.json.encode(state), type=kind) == state


@given(st.lists(st.tuples(st.sampled_from(REPLICAS), st.integers(-9, 9))))
def test_a_counter_counts_each_thing_once_whoever_hears_of_it_how_often(counted):
    states = {replica: PNCounter() for replica in REPLICAS}
    for replica, number in counted:
        states[replica] = states[replica].added(replica, number)
    total = PNCounter()
    for state in [*states.values()] * 3:
        total = total.merge(state)
    assert total.value == sum(number for _, number in counted)


def test_a_counter_that_only_grows_refuses_to_shrink():
    with pytest.raises(Refused, match="PNCounter"):
        GCounter().added("a", -1)


def test_of_adding_and_removing_at_the_same_time_adding_wins():
    start = ORSet().added("a", "wall")
    again, without = start.added("b", "wall"), start.removed("wall")
    assert "wall" in again.merge(without)
    assert "wall" not in start.merge(without)
    assert len(without.added("c", "wall")) == 1


def test_the_newest_write_counts_and_the_replica_decides_between_equals():
    early, late = (LWWRegister().written(value, at_ms=at, replica="a") for value, at in (("x", 1), ("y", 2)))
    assert late.merge(early).value == early.merge(late).value == "y"
    assert late.written("z", at_ms=1, replica="b").value == "y"
    assert late.written("z", at_ms=2, replica="b").value == "z"
