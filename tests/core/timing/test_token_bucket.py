"""A bound that holds over every window of time, and clocks that are set while it holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.timing.token_bucket import full_bucket, taken
from penstock.errors import Invalid, LimitReached

NOW_MS = 1_700_000_000_000

buckets = st.builds(
    lambda rate, per_ms, burst: full_bucket(rate=rate, per_ms=per_ms, burst=burst, now_ms=NOW_MS),
    st.integers(1, 50),
    st.sampled_from([1, 7, 1_000, 60_000]),
    st.integers(1, 40),
)
# (time that passes, how far the clock is set back meanwhile, what is asked for as parts of a burst)
rounds = st.lists(
    st.tuples(st.integers(0, 3_000), st.just(0) | st.integers(0, 10_000), st.integers(0, 100)), min_size=1, max_size=40
)


def played(bucket, history):
    """Return (real time, amount) of what was taken. The clock loses what it is set back, for good."""
    real_ms = back_ms = 0
    takings = []
    for passes_ms, set_back_ms, percent in history:
        real_ms += passes_ms
        back_ms += set_back_ms
        amount = bucket.burst * percent // 100
        bucket, wait_ms = taken(bucket, amount, NOW_MS + real_ms - back_ms)
        if wait_ms == 0:
            takings.append((real_ms, amount))
    return takings


@given(buckets, rounds)
def test_no_window_of_time_sees_more_than_a_burst_and_what_came_in_meanwhile(bucket, history):
    takings = played(bucket, history)
    for at, (first_ms, _) in enumerate(takings):
        total = 0
        for last_ms, amount in takings[at:]:
            total += amount
            assert total * bucket.per_ms <= bucket.burst * bucket.per_ms + bucket.rate * (last_ms - first_ms)


@given(buckets, rounds, st.integers(1, 40), st.integers(-20_000, 20_000))
def test_the_wait_is_long_enough_no_longer_than_needed_and_bounded(bucket, history, amount, off_ms):
    clock_ms = NOW_MS
    for passes_ms, set_back_ms, percent in history:
        clock_ms += passes_ms - set_back_ms
        bucket, _ = taken(bucket, bucket.burst * percent // 100, clock_ms)
    clock_ms, amount = clock_ms + off_ms, min(amount, bucket.burst)
    waiting, wait_ms = taken(bucket, amount, clock_ms)
    if wait_ms:
        assert wait_ms <= 2 * bucket.filling_ms
        assert taken(waiting, amount, clock_ms + wait_ms)[1] == 0
        assert taken(waiting, amount, clock_ms + wait_ms - 1)[1] == 1


def test_a_burst_goes_at_once_and_then_the_rate_rules():
    bucket, waits = full_bucket(rate=2, per_ms=1_000, burst=3, now_ms=NOW_MS), []
    for _ in range(4):
        bucket, wait_ms = taken(bucket, 1, NOW_MS)
        waits.append(wait_ms)
    assert waits == [0, 0, 0, 500]
    assert taken(bucket, 1, NOW_MS + 499)[1] == 1
    assert taken(bucket, 1, NOW_MS + 500)[1] == 0


def test_what_has_to_wait_takes_nothing():
    bucket, _ = taken(full_bucket(rate=1, per_ms=1_000, burst=10, now_ms=NOW_MS), 8, NOW_MS)
    waiting, wait_ms = taken(bucket, 5, NOW_MS)
    assert wait_ms == 3_000
    assert taken(waiting, 2, NOW_MS)[1] == 0


def test_a_rate_that_does_not_divide_loses_nothing():
    bucket, count = full_bucket(rate=3, per_ms=1_000, burst=1, now_ms=NOW_MS), 0
    for ms in range(10_001):
        bucket, wait_ms = taken(bucket, 1, NOW_MS + ms)
        count += wait_ms == 0
    assert (
        count == 1 + 29
    )  # every 334 ms: a third of a second is not a whole number of ms, and a burst of 1 keeps no rest


def test_nothing_comes_in_twice_while_the_clock_goes_back_and_forth():
    bucket, _ = taken(full_bucket(rate=1, per_ms=1, burst=10_000, now_ms=NOW_MS), 10_000, NOW_MS)
    for _ in range(100):
        bucket, _ = taken(bucket, 0, NOW_MS + 50)
        bucket, _ = taken(bucket, 0, NOW_MS)
    assert taken(bucket, 50, NOW_MS + 50)[1] == 0
    assert taken(bucket, 51, NOW_MS + 50)[1] == 1


def test_a_clock_that_is_set_back_by_a_day_does_not_stop_the_taking_for_a_day():
    bucket, _ = taken(full_bucket(rate=1, per_ms=1_000, burst=5, now_ms=NOW_MS), 5, NOW_MS)
    yesterday_ms = NOW_MS - 86_400_000
    bucket, wait_ms = taken(bucket, 1, yesterday_ms)
    assert wait_ms == 1_000
    assert taken(bucket, 1, yesterday_ms + 1_000)[1] == 0


def test_what_is_held_can_be_taken_while_the_clock_is_behind():
    bucket, _ = taken(full_bucket(rate=1, per_ms=1_000, burst=5, now_ms=NOW_MS), 2, NOW_MS)
    assert taken(bucket, 3, NOW_MS - 1_000)[1] == 0
    assert taken(bucket, 4, NOW_MS - 1_000)[1] == 2_000


def test_a_clock_that_is_set_forward_gives_no_more_than_a_burst():
    bucket, _ = taken(full_bucket(rate=5, per_ms=1, burst=7, now_ms=NOW_MS), 7, NOW_MS)
    bucket, wait_ms = taken(bucket, 7, NOW_MS + 10**12)
    assert wait_ms == 0
    assert taken(bucket, 1, NOW_MS + 10**12)[1] == 1


def test_more_than_a_burst_is_refused_for_good():
    with pytest.raises(LimitReached):
        taken(full_bucket(rate=1, per_ms=1, burst=5, now_ms=NOW_MS), 6, NOW_MS)


def test_a_bucket_without_a_bound_is_refused_with_all_that_is_wrong():
    with pytest.raises(Invalid) as caught:
        full_bucket(rate=0, per_ms=-1, burst=0, now_ms=NOW_MS)
    assert [each.path for each in caught.value.findings] == ["rate", "per_ms", "burst"]
