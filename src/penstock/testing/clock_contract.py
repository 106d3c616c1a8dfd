"""The contract of `Clock`, as tests. An adapter inherits them and supplies the clock.

    class TestMyClock(ClockContract):
        @pytest.fixture
        def clock(self) -> MyClock:
            return MyClock()

Each test names the guarantee that it checks. There is no way to switch one off.
"""

import pytest

from penstock.ports.clock import Clock

CROCKFORD = frozenset("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
DRAWS = 10_000


class ClockContract:
    @pytest.fixture
    def clock(self) -> Clock:
        raise NotImplementedError("supply the clock under test")

    def test_k1_monotonic_time_never_goes_back(self, clock: Clock) -> None:
        moments = [clock.monotonic_s() for _ in range(DRAWS)]
        assert moments == sorted(moments)

    async def test_k1_monotonic_time_goes_on_while_one_sleeps(self, clock: Clock) -> None:
        before_s = clock.monotonic_s()
        await clock.sleep(0.02)
        # A timer may fire early by the resolution of the loop's clock.
        assert clock.monotonic_s() - before_s >= 0.015

    async def test_k1_no_sleep_at_all_is_allowed(self, clock: Clock) -> None:
        await clock.sleep(0)

    def test_k1_the_wall_clock_counts_milliseconds_since_1970(self, clock: Clock) -> None:
        # Between 2000 and 2100: seconds or microseconds would be far outside.
        assert 946_684_800_000 <= clock.now_ms() < 4_102_444_800_000

    def test_k2_no_id_comes_twice(self, clock: Clock) -> None:
        assert len({clock.new_id() for _ in range(DRAWS)}) == DRAWS

    def test_k2_later_ids_sort_later(self, clock: Clock) -> None:
        ids = [clock.new_id() for _ in range(DRAWS)]
        assert ids == sorted(ids)

    def test_k2_an_id_is_a_ulid(self, clock: Clock) -> None:
        new_id = clock.new_id()
        assert len(new_id) == 26
        assert set(new_id) <= CROCKFORD
        assert new_id[0] <= "7"  # 128 bits fill 25.6 characters

    def test_k3_chance_lies_between_zero_and_one(self, clock: Clock) -> None:
        assert all(0 <= clock.random() < 1 for _ in range(DRAWS))

    def test_k3_chance_is_uniform(self, clock: Clock) -> None:
        counts = [0] * 10
        for _ in range(DRAWS):
            counts[int(clock.random() * 10)] += 1
        expected = DRAWS / 10
        chi_squared = sum((count - expected) ** 2 / expected for count in counts)
        assert chi_squared < 60, counts  # nine degrees of freedom: a fair source exceeds this once in 700 million runs
