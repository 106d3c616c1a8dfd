"""How often and how fast something is tried again: bounded, growing, never at once."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from penstock.core.agents.policy import DEFAULT_RETRY, NO_RETRY, Retry

chances = st.floats(0, 1, exclude_max=True)
attempts = st.integers(1, 100_000)
retries = st.builds(
    lambda delay_s, factor, more_s: Retry(5, delay_s, factor, delay_s + more_s),
    st.floats(0, 1e6),
    st.floats(1, 1e300) | st.integers(1, 10**12),
    st.floats(0, 1e6),
)


@given(retries, attempts, chances)
def test_a_wait_lies_between_a_tenth_of_its_bound_and_the_bound(retry, attempt, chance):
    wait_s = retry.wait_s(attempt, chance)
    bound_s = bound(retry, attempt)
    assert 0.0999 * bound_s <= wait_s <= bound_s * (1 + 1e-12)
    assert wait_s <= retry.delay_max_s * (1 + 1e-12)


@given(retries, attempts, chances)
def test_a_later_wait_is_not_shorter(retry, attempt, chance):
    assert retry.wait_s(attempt, chance) <= retry.wait_s(attempt + 1, chance)


@given(retries, attempts, chances, chances)
def test_a_greater_chance_waits_longer(retry, attempt, one, other):
    assert retry.wait_s(attempt, min(one, other)) <= retry.wait_s(attempt, max(one, other))


@given(retries)
def test_the_first_wait_grows_from_the_delay(retry):
    assume(retry.delay_s < retry.delay_max_s)
    assert retry.wait_s(1, 0.0) == pytest.approx(retry.delay_s / 10)


@given(retries)
def test_sound_numbers_have_no_findings(retry):
    assert retry.findings("retry") == []


@pytest.mark.parametrize("retry", [DEFAULT_RETRY, NO_RETRY])
def test_the_defaults_are_sound(retry):
    assert retry.findings("retry") == []


@pytest.mark.parametrize(
    ("retry", "path"),
    [
        (Retry(attempts_max=0), "retry.attempts_max"),
        (Retry(delay_s=-0.1), "retry.delay_s"),
        (Retry(factor=0.99), "retry.factor"),
        (Retry(factor=math.inf), "retry.factor"),
        (Retry(factor=math.nan), "retry.factor"),
        (Retry(delay_s=2, delay_max_s=1), "retry.delay_max_s"),
        (Retry(delay_max_s=math.inf), "retry.delay_max_s"),
        (Retry(delay_max_s=math.nan), "retry.delay_max_s"),
    ],
)
def test_each_number_that_is_wrong_is_found(retry, path):
    assert [finding.path for finding in retry.findings("retry")] == [path]


def bound(retry, attempt):
    """The formula of the docstring, in logarithms, which do not overflow."""
    if not retry.delay_s:
        return 0.0
    grown = math.log(retry.delay_s) + (attempt - 1) * math.log(retry.factor)
    return retry.delay_max_s if grown > 700 else min(retry.delay_max_s, math.exp(grown) * (1 - 1e-6))
