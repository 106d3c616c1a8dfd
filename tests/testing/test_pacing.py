"""Clocks that show themselves as tests want them: each look later, or many looks the same."""

import pytest

from penstock import App
from penstock.testing import PACES, PacedClock, VirtualClock, app, run_virtually
from penstock.testing.clock_contract import ClockContract


@pytest.fixture(params=PACES)
def pace(request):
    return request.param


class TestPacedClock(ClockContract):
    @pytest.fixture
    def clock(self, pace):
        return PacedClock(pace)


def seen(clock, looks=5):
    return [clock.now_ms() for _ in range(looks)]


def test_each_look_at_a_ticking_clock_is_a_millisecond_later():
    async def looked():
        clock = VirtualClock(pace="ticking")
        first = seen(clock)
        await clock.sleep(1)
        return first, seen(clock)

    first, later = run_virtually(looked())
    assert [each - first[0] for each in first] == [0, 1, 2, 3, 4]
    assert [each - first[0] for each in later] == [1000, 1001, 1002, 1003, 1004], "it does not run away"
    assert len(set(seen(PacedClock("ticking"), 1000))) == 1000


def test_a_ticking_clock_can_be_set_back():
    async def looked():
        clock = VirtualClock(pace="ticking")
        before = seen(clock)
        clock.skew_ms -= 60_000
        return before[0], seen(clock)

    before, after = run_virtually(looked())
    assert [each - before for each in after] == [-60_000, -59_999, -59_998, -59_997, -59_996]


def test_many_looks_at_a_coarse_clock_see_the_same():
    async def looked():
        clock = VirtualClock(pace="coarse")
        found = seen(clock)
        await clock.sleep(0.4)
        found += seen(clock)
        await clock.sleep(0.7)
        return [*found, *seen(clock)]

    found = run_virtually(looked())
    assert [each - found[0] for each in found] == [0] * 10 + [1000] * 5


def test_an_app_under_test_has_the_pace_that_is_asked_for(pace):
    async def looked():
        async with app(App("paced"), pace=pace) as live:
            return [each - seen(live.clock, 1)[0] for each in seen(live.clock)]

    assert run_virtually(looked()) == {"steady": [0] * 5, "coarse": [0] * 5}.get(pace, [-5, -5, -5, -5, -5])
