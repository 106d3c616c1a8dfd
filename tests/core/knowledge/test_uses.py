"""What passages were used for, and how much that lifts them."""

from itertools import permutations

import pytest

from penstock.core.knowledge.uses import HALF_LIFE_MS, Use, least_used, lifted, with_use

DAY_MS = 24 * 3600 * 1000


def test_a_use_halves_with_time_and_its_order_does_not_matter():
    uses = [("used", 5 * DAY_MS), ("unhelpful", DAY_MS), ("helpful", 40 * DAY_MS)]
    found = set()
    for order in permutations(uses):
        use = None
        for verdict, at_ms in order:
            use = with_use(use, verdict, at_ms)
        found.add(round(use.now(50 * DAY_MS), 12))
    assert len(found) == 1
    assert Use(1.0, 0).now(HALF_LIFE_MS) == pytest.approx(0.5)
    assert Use(1.0, 10).now(0) == 1.0  # a clock that was set back


def test_a_lift_is_bounded_and_what_did_not_help_sinks():
    scores = [3.0, 2.0, 1.0]
    assert lifted(scores, [0, 0, 0], 1.0) == scores
    assert lifted(scores, [0, 0, 1e9], 0.5)[2] == pytest.approx(2.0)
    assert lifted(scores, [-1e9, 0, 0], 0.5)[0] == pytest.approx(2.0)
    assert lifted([], [], 1.0) == []


def test_the_least_used_passage_is_forgotten_first():
    assert least_used({"old": Use(1.0, 0), "new": Use(1.0, DAY_MS), "disliked": Use(-3.0, DAY_MS)}) == "old"
