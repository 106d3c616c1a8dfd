import math
import random

from penstock.core.patterns.conditions import Between
from penstock.core.patterns.ranges import Ranges


def test_ranges_hold_what_each_says_while_they_come_and_go():
    chance = random.Random(7)
    ranges, there = Ranges(), {}
    for number in range(1500):
        low = chance.choice([-math.inf, chance.randint(-50, 50), chance.random()])
        high = chance.choice([math.inf, chance.randint(-50, 60), chance.random()])
        if low < high:
            there[number] = Between(low, chance.random() < 0.5, high, chance.random() < 0.5)
            ranges.add(there[number], number)
        if there and chance.random() < 0.4:
            gone = chance.choice(list(there))
            ranges.discard(there.pop(gone), gone)
        if number % 7 == 0:
            value = chance.choice([chance.randint(-60, 70), chance.random()])
            assert sorted(ranges.holding(value)) == [each for each, here in there.items() if here.holds(value)]
    for number, between in there.items():
        ranges.discard(between, number)
    assert not list(ranges.holding(0))
    assert (len(ranges), ranges._tree) == (0, None)
