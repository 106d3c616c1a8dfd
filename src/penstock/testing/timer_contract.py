"""The contract of `TimerStore`, as tests. An adapter inherits them and supplies the store that the timers are written in.

    class TestMyTimers(TimerStoreContract):
        @pytest.fixture
        async def store(self, tmp_path: Path) -> AsyncGenerator[MyStore]:
            async with open_my_store(tmp_path) as store:
                yield store

        @pytest.fixture
        def reopened(self, store: MyStore) -> Callable[[], Awaitable[MyStore]]:
            async def another() -> MyStore: ...  # as after a crash: `store` is not closed in order

            return another

Each test names the guarantee that it checks. There is no way to switch one off.
"""

from collections.abc import Sequence

import pytest

from penstock.core.agents.unit import Writes
from penstock.core.events.envelope import Envelope
from penstock.core.timing.timers import FIRST, Timer, TimerClock, TimerWrite
from penstock.errors import Fenced
from penstock.ports.store import Store
from penstock.testing.commits import NOW_MS, ReopenedStore, clashing, one_of_each, recorded


def waiting(
    id: str,
    due_ms: int = NOW_MS,
    *,
    clock: TimerClock = "elapsed",
    partition: int = 0,
    tenant: str = "t",
    set_ms: int = NOW_MS,
) -> Timer:
    """Return a timer of agent "a"."""
    event = Envelope(f"event of {id}", "/contract", "Made.v1", "k", NOW_MS, b'{"x":1}', tenant, correlation_id="c")
    return Timer(id, partition, clock, due_ms, set_ms, "made", event, "a", "nag")


def set_(*timers: Timer) -> list[TimerWrite]:
    """Return the writes that set timers."""
    return [TimerWrite(each.id, each) for each in timers]


def ids_of(timers: Sequence[Timer]) -> list[str]:
    return [each.id for each in timers]


class TimerStoreContract:
    @pytest.fixture
    def store(self) -> Store:
        raise NotImplementedError("supply the store under test")

    @pytest.fixture
    def reopened(self) -> ReopenedStore:
        raise NotImplementedError("supply what opens another store on what was committed")

    async def test_t1_timers_come_by_when_they_are_due(self, store: Store) -> None:
        timers = [
            waiting("late", NOW_MS + 2),
            waiting("early", NOW_MS),
            waiting("b", NOW_MS + 1),
            waiting("a", NOW_MS + 1),
        ]
        await store.commit(await store.claim("w"), 1, Writes(timers=set_(*timers)))
        assert ids_of(await store.timers_due("elapsed", after=FIRST, limit=10)) == ["early", "a", "b", "late"]
        assert ids_of(await store.timers_due("elapsed", after=FIRST, limit=2)) == ["early", "a"]
        assert ids_of(await store.timers_due("elapsed", after=(NOW_MS + 1, "a"), limit=10)) == ["b", "late"]
        assert ids_of(await store.timers_due("elapsed", after=(NOW_MS + 1, ""), limit=10)) == ["a", "b", "late"]

    async def test_t1_each_clock_has_an_order_of_its_own(self, store: Store) -> None:
        timers = [waiting("e"), waiting("w", clock="wall")]
        await store.commit(await store.claim("w"), 1, Writes(timers=set_(*timers)))
        assert ids_of(await store.timers_due("elapsed", after=FIRST, limit=10)) == ["e"]
        assert ids_of(await store.timers_due("wall", after=FIRST, limit=10)) == ["w"]

    async def test_t1_pages_hold_each_timer_once(self, store: Store) -> None:
        timers = [waiting(f"{number:03}", NOW_MS + number // 40) for number in range(100)]
        await store.commit(await store.claim("w"), 1, Writes(timers=set_(*reversed(timers))))
        found: list[Timer] = []
        after = FIRST
        while page := await store.timers_due("elapsed", after=after, limit=7):
            found += page
            after = page[-1].place
        assert found == timers

    async def test_t2_a_commit_that_is_refused_leaves_timers_as_they_were(self, store: Store) -> None:
        old = await store.claim("old")
        first = Writes(events=[recorded("old")], timers=set_(waiting("kept")))
        await store.commit(old, 1, first)
        writes = clashing("offset")
        writes.timers = [*set_(waiting("new")), TimerWrite("kept")]
        with pytest.raises(Fenced):
            await store.commit(old, 2, writes)
        assert ids_of(await store.timers()) == ["kept"]
        await store.claim("new")
        with pytest.raises(Fenced):
            await store.commit(old, 2, Writes(timers=[TimerWrite("kept")]))
        assert ids_of(await store.timers()) == ["kept"]

    async def test_t2_a_repeated_commit_changes_nothing_more(self, store: Store) -> None:
        claim = await store.claim("w")
        await store.commit(claim, 1, Writes(timers=set_(waiting("x"))))
        await store.commit(claim, 2, Writes(timers=[TimerWrite("x")]))
        await store.commit(claim, 1, Writes(timers=set_(waiting("x"))))
        assert await store.timer("x") is None

    async def test_t2_the_last_write_of_an_id_wins(self, store: Store) -> None:
        moved, writes = waiting("moved", NOW_MS + 5), [*set_(waiting("moved"), waiting("gone")), TimerWrite("gone")]
        writes += [TimerWrite("back"), *set_(waiting("back"), moved)]
        await store.commit(await store.claim("w"), 1, Writes(timers=writes))
        assert ids_of(await store.timers_due("elapsed", after=FIRST, limit=10)) == ["back", "moved"]
        assert await store.timer("moved") == moved

    async def test_t2_a_timer_fires_in_one_commit(self, store: Store, reopened: ReopenedStore) -> None:
        claim = await store.claim("w")
        await store.commit(claim, 1, Writes(timers=set_(waiting("x"))))
        await store.commit(claim, 2, Writes(events=[recorded("event of x")], timers=[TimerWrite("x")]))
        for each in (store, await reopened()):
            assert await each.timer("x") is None
            assert await each.event("event of x") is not None

    async def test_t3_a_timer_is_found_whole_after_a_kill(self, store: Store, reopened: ReopenedStore) -> None:
        timer = waiting("x.0123", NOW_MS + 7, clock="wall", partition=3)
        await store.commit(await store.claim("w"), 1, Writes(timers=set_(timer)))
        for each in (store, await reopened()):
            assert await each.timer("x.0123") == timer
            assert list(await each.timers()) == [timer]
            assert list(await each.timers_due("wall", after=FIRST, limit=5)) == [timer]
        assert await store.timer("another") is None

    async def test_t3_odd_ids_are_kept_apart(self, store: Store) -> None:
        ids = ["a", "A", "a\x00b", "a\\0b", "ключ 🚀", "%", "k" * 5_000]
        await store.commit(await store.claim("w"), 1, Writes(timers=set_(*(waiting(each) for each in ids))))
        assert {each.id for each in await store.timers()} == set(ids)
        await store.commit(await store.claim("w"), 1, Writes(timers=[TimerWrite("a\x00b")]))
        assert {each.id for each in await store.timers()} == set(ids) - {"a\x00b"}

    async def test_t3_the_latest_setting_is_told(self, store: Store) -> None:
        assert await store.timers_set_ms() == 0
        timers = [
            waiting("a", NOW_MS + 9, set_ms=NOW_MS + 2),
            waiting("b", NOW_MS + 1, set_ms=NOW_MS + 1, partition=1),
            waiting("c", clock="wall", set_ms=NOW_MS + 5),
        ]
        await store.commit(await store.claim("w"), 1, Writes(timers=set_(*timers)))
        assert await store.timers_set_ms() == NOW_MS + 2
        assert await store.timers_set_ms(partitions=[1, 2]) == NOW_MS + 1
        assert await store.timers_set_ms(partitions=[]) == 0

    async def test_t4_partitions_that_are_not_asked_for_stay_out(self, store: Store) -> None:
        timers = [waiting(str(partition), partition=partition) for partition in range(4)]
        await store.commit(await store.claim("w"), 1, Writes(timers=set_(*timers)))
        assert ids_of(await store.timers_due("elapsed", after=FIRST, limit=10, partitions=[1, 3])) == ["1", "3"]
        assert ids_of(await store.timers_due("elapsed", after=FIRST, limit=1, partitions=[3])) == ["3"]
        assert ids_of(await store.timers_due("elapsed", after=FIRST, limit=10, partitions=[])) == []

    async def test_t4_a_tenant_sees_its_own(self, store: Store) -> None:
        timers = [waiting("2", NOW_MS + 1), waiting("1"), waiting("theirs", tenant="u")]
        await store.commit(await store.claim("w"), 1, Writes(timers=set_(*timers)))
        assert ids_of(await store.timers(tenant="t")) == ["1", "2"]
        assert ids_of(await store.timers(tenant="t", limit=1)) == ["1"]
        assert ids_of(await store.timers(tenant="u")) == ["theirs"]
        assert len(await store.timers()) == 3

    async def test_t2_timers_are_written_beside_all_else(self, store: Store) -> None:
        writes = one_of_each()
        writes.timers = set_(waiting("x"))
        await store.commit(await store.claim("w"), 1, writes)
        assert ids_of(await store.timers()) == ["x"]
        assert await store.event("each") is not None
