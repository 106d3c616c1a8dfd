"""The contract of `Permits`, as tests. An adapter inherits them and supplies a store and a way to open it for another worker."""

import anyio
import pytest

from penstock.errors import Fenced
from penstock.ports.permits import Holding, Wish
from penstock.ports.state import Claim
from penstock.ports.store import Store
from penstock.testing.commits import ReopenedStore

LIMIT = 10
SHORT_MS = 50


class PermitsContract:
    @pytest.fixture
    def store(self) -> Store:
        raise NotImplementedError("supply the store under test")

    @pytest.fixture
    def beside(self) -> ReopenedStore:
        raise NotImplementedError("supply what opens the same store for another worker")

    async def test_q1_a_worker_gets_what_is_free(self, store: Store, beside: ReopenedStore) -> None:
        other = await beside()
        one, two, three = await store.join("one"), await other.join("two"), await store.join("three")
        assert await held(store, one, 6) == 6
        assert await held(other, two, 6) == 4
        assert await held(store, three, 6) == 0
        assert await held(store, one, 1) == 1
        assert await held(store, three, 6) == 5
        assert await held(other, two, 0) == 0
        assert await held(store, three, 20) == 9

    async def test_q1_names_do_not_see_each_other(self, store: Store) -> None:
        one, two = await store.join("one"), await store.join("two")
        wishes = [Wish(f"näme {number} 🚀", 3, number, number) for number in range(6)]
        assert [each.held for each in await store.hold(one, wishes)] == [0, 1, 2, 3, 3, 3]
        assert [each.held for each in await store.hold(two, wishes)] == [0, 1, 1, 0, 0, 0]
        assert [each.name for each in await store.hold(two, wishes)] == [wish.name for wish in wishes]
        assert await store.hold(one, []) == []

    async def test_q1_many_who_ask_at_once_get_no_more_than_there_is(self, store: Store, beside: ReopenedStore) -> None:
        stores = [store, await beside(), await beside()]
        claims = [await each.join("worker") for each in stores]
        got: list[int] = []

        async def ask(place: int) -> None:
            for wanted in (2, 5, 7):
                answer = await held(stores[place], claims[place], wanted)
            got.append(answer)

        async with anyio.create_task_group() as group:
            for place in range(len(stores)):
                group.start_soon(ask, place)
        assert sum(got) == LIMIT

    async def test_q2_what_one_has_is_not_taken_away_by_who_wants_more(self, store: Store) -> None:
        one, two = await store.join("one"), await store.join("two")
        await held(store, one, 7)
        assert await held(store, two, 9) == 3
        for _ in range(2):
            assert await held(store, one, 7) == 7
            assert await held(store, two, 3) == 3

    async def test_q2_a_smaller_limit_takes_what_is_too_much_when_one_asks(self, store: Store) -> None:
        one, two = await store.join("one"), await store.join("two")
        await held(store, one, 7)
        (less,) = await store.hold(two, [Wish("n", 4, 4, 4)])
        assert less.held == 0
        (less,) = await store.hold(one, [Wish("n", 4, 7, 7)])
        assert less.held == 4

    async def test_q3_what_a_worker_held_is_free_when_its_claim_has_ended(self, store: Store) -> None:
        one, two, three = await store.join("one"), await store.join("two"), await store.join("three")
        await held(store, one, 4)
        await held(store, two, 6)
        await store.leave(two)
        assert await held(store, three, 9) == 6
        await anyio.sleep(2 * SHORT_MS / 1000)
        await store.renew(three, ttl_ms=SHORT_MS)
        assert await held(store, three, 10) == 10
        alone = await store.claim("alone")
        assert await held(store, alone, 10) == 10

    async def test_q4_nothing_is_held_with_a_claim_that_has_ended(self, store: Store) -> None:
        one, two = await store.join("one"), await store.join("two")
        await store.leave(one)
        with pytest.raises(Fenced):
            await held(store, one, 1)
        assert await held(store, two, LIMIT) == LIMIT

    async def test_q5_who_else_wants_some_is_told(self, store: Store) -> None:
        one, two, three = await store.join("one"), await store.join("two"), await store.join("three")
        await store.hold(one, [Wish("n", 2, 2, 5)])
        assert await store.hold(two, [Wish("n", 2, 1, 1)]) == [Holding("n", 0, 1, 1, 0)]
        assert await store.hold(three, [Wish("n", 2, 0, 1)]) == [Holding("n", 0, 2, 2, 1)]
        assert await store.hold(one, [Wish("n", 2, 1, 1)]) == [Holding("n", 1, 2, 2, 2)]
        assert await store.hold(two, [Wish("n", 2, 1, 1)]) == [Holding("n", 1, 2, 1, 1)]
        await store.hold(three, [Wish("n", 2, 0, 0)])
        assert await store.hold(one, [Wish("n", 2, 0, 0)]) == [Holding("n", 0, 1, 0, 0)]


async def held(store: Store, claim: Claim, count: int) -> int:
    """Return how many of `count` permits a worker gets."""
    (holding,) = await store.hold(claim, [Wish("n", LIMIT, count, count)])
    return holding.held
