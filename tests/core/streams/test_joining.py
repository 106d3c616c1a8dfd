"""Whom a value of one stream meets in another: a brute-force oracle, in any interleaving of the two sides."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.streams.joining import JoinClock, Joining, SideRule, due_ms, gone_on, met
from penstock.errors import LimitReached

HOW = Joining(-3, 5, SideRule(2), SideRule(4))
times = st.lists(st.integers(0, 40), max_size=20)


def late(values, disorder):
    """Return which values come too late: those older than the newest one before them, less the disorder."""
    newest, found = -(10**9), set()
    for number, at in enumerate(values):
        if at < newest - disorder:
            found.add(number)
        newest = max(newest, at)
    return found


def right_pairs(left, right):
    """Return the pairs that there are to be: of all that is not late, whatever came first."""
    late_left, late_right = late(left, 2), late(right, 4)
    return sorted(
        (number, other)
        for number, at in enumerate(left)
        for other, there in enumerate(right)
        if number not in late_left and other not in late_right and -3 <= there - at <= 5
    )


def interleaved(left, right, chance):
    """Return both sides in one line, each in its own order."""
    sides = ["left"] * len(left) + ["right"] * len(right)
    chance.shuffle(sides)
    numbers = {"left": iter(enumerate(left)), "right": iter(enumerate(right))}
    return [(side, *next(numbers[side])) for side in sides]


class Table:
    """Does what is decided, with numbers for values."""

    def __init__(self, how=HOW):
        self.how, self.clock = how, JoinClock()
        self.kept, self.pairs, self.times, self.late = {}, [], [], []

    def take(self, side, name, at, seen=1):
        other = "right" if side == "left" else "left"
        self.clock, found = met(self.how, self.clock, side, at, seen)
        if found.is_late:
            self.late.append((side, name))
        for each in found.pairs:
            there = self.kept[other, each.number]
            self.pairs.append((name, there) if side == "left" else (there, name))
            self.times.append(max(at, each.at_ms))
        if found.number:
            self.kept[side, found.number] = name
        self.drop(found)

    def drop(self, found):
        for each in found.drops:
            del self.kept[each]
        assert len(self.kept) == len(self.clock.left.waiting) + len(self.clock.right.waiting)


@given(times, times, st.integers(0, 10_000))
def test_pairs_are_all_that_is_near_and_not_late_in_whatever_order_the_sides_come(left, right, seed):
    table = Table()
    for side, number, at in interleaved(left, right, Random(seed)):
        table.take(side, number, at)
    assert sorted(table.pairs) == right_pairs(left, right)
    assert len(table.late) == len(late(left, 2)) + len(late(right, 4))


@given(times, times, st.integers(0, 10_000))
def test_pairs_are_never_further_out_of_order_than_is_said(left, right, seed):
    table, newest = Table(), -(10**9)
    for side, number, at in interleaved(left, right, Random(seed)):
        table.take(side, number, at)
    for at in table.times:
        assert at >= newest - HOW.disorder_ms
        newest = max(newest, at)


def test_a_value_goes_once_nobody_can_come_whom_it_could_meet():
    table = Table()
    table.take("left", 0, 10)
    for number, at in enumerate((11, 19)):
        table.take("right", number, at)
    assert ("left", 1) in table.kept  # until 15 somebody may come, and the right side is 4 out of order
    table.take("right", 2, 20)
    assert ("left", 1) not in table.kept
    table.take("left", 1, 100)
    assert [each for each in table.kept if each[0] == "right"] == []


def test_too_many_that_wait_are_refused_and_change_nothing():
    table = Table(Joining(0, 5, values_max=3))
    for number in range(3):
        table.take("left", number, number)
    before = table.clock
    with pytest.raises(LimitReached, match="wait for the other stream"):
        table.take("left", 3, 3)
    assert table.clock is before


def test_a_side_that_is_silent_lets_the_other_one_go_by_the_clock_on_the_wall():
    how = Joining(0, 5_000, SideRule(0, 10_000), SideRule(1_000, 10_000), forget_ms=60_000)
    table = Table(how)
    table.take("left", 0, 1_000_000, seen=50_000)
    assert due_ms(how, table.clock) == 60_000
    clock, found = gone_on(how, table.clock, 59_999)
    assert (found.drops, clock.is_waiting) == ([], True)
    clock, found = gone_on(how, table.clock, 60_000)
    assert (found.drops, clock.is_waiting) == ([("left", 1)], False)
    assert due_ms(how, clock) == 110_000


def test_a_side_that_does_not_go_on_by_itself_keeps_the_other_one_waiting():
    how = Joining(0, 5_000, SideRule(0, None), SideRule(0, None))
    table = Table(how)
    table.take("left", 0, 1_000, seen=50_000)
    assert due_ms(how, table.clock) == 0
    assert gone_on(how, table.clock, 10**12)[1].drops == []
