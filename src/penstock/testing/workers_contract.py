"""The contract of `Workers`, as tests. An adapter inherits them and supplies a store and a way to open it for another worker.

Time is the store's own, so those who are silent here are silent for real: for milliseconds.
"""

import anyio
import pytest

from penstock.core.agents.unit import Writes
from penstock.errors import Fenced, Refused
from penstock.ports.state import Claim
from penstock.ports.store import Store
from penstock.testing.commits import ReopenedStore, expect_nothing_of_each, expect_one_of_each, one_of_each

LONG_MS = 60_000
SHORT_MS = 50


class WorkersContract:
    @pytest.fixture
    def store(self) -> Store:
        raise NotImplementedError("supply the store under test")

    @pytest.fixture
    def beside(self) -> ReopenedStore:
        raise NotImplementedError("supply what opens the same store for another worker")

    async def test_n1_workers_commit_side_by_side(self, store: Store) -> None:
        one, two = await store.join("one"), await store.join("two")
        assert one.epoch != two.epoch
        await store.commit(two, 1, Writes())
        await store.commit(one, 1, one_of_each())
        await store.commit(two, 2, Writes())
        await expect_one_of_each(store)
        await store.commit(one, 1, one_of_each(offset=2))  # each counts its own commits (S4)
        await expect_one_of_each(store)

    async def test_n1_a_claim_ends_those_of_all_workers(self, store: Store) -> None:
        workers = [await store.join("one"), await store.join("two")]
        claim = await store.claim("alone")
        for worker in workers:
            await expect_fenced(store, worker)
        await store.commit(claim, 1, one_of_each())
        await expect_one_of_each(store)

    async def test_n1_who_joins_ends_a_claim(self, store: Store) -> None:
        claim = await store.claim("alone")
        worker = await store.join("one")
        await expect_fenced(store, claim)
        await store.commit(worker, 1, one_of_each())
        assert set((await store.renew(worker, ttl_ms=LONG_MS)).owners.values()) == {0}

    async def test_n1_the_epoch_of_one_and_the_name_of_another_are_no_claim(self, store: Store) -> None:
        one = await store.join("one")
        await expect_fenced(store, Claim("two", one.epoch))
        await store.renew(one, ttl_ms=LONG_MS)

    async def test_n2_all_who_are_alive_are_seen_by_each(self, store: Store, beside: ReopenedStore) -> None:
        one, two = await store.join("one"), await store.join("two")
        other = await beside()
        for each, claim in ((store, one), (other, two)):
            assert (await each.renew(claim, ttl_ms=LONG_MS)).workers == (one.epoch, two.epoch)

    async def test_n2_one_who_is_silent_is_fenced(self, store: Store) -> None:
        one, two = await store.join("one"), await store.join("two")
        await anyio.sleep(2 * SHORT_MS / 1000)
        assert (await store.renew(two, ttl_ms=SHORT_MS)).workers == (two.epoch,)
        await expect_fenced(store, one)

    async def test_n2_one_who_renews_is_not_fenced_however_long_ago_he_joined(self, store: Store) -> None:
        one, two = await store.join("one"), await store.join("two")
        await anyio.sleep(2 * SHORT_MS / 1000)
        await store.renew(one, ttl_ms=LONG_MS)
        await store.renew(two, ttl_ms=SHORT_MS)
        assert (await store.renew(one, ttl_ms=SHORT_MS)).workers == (one.epoch, two.epoch)

    async def test_n2_nobody_fences_himself(self, store: Store) -> None:
        one = await store.join("one")
        await anyio.sleep(2 * SHORT_MS / 1000)
        assert (await store.renew(one, ttl_ms=SHORT_MS)).workers == (one.epoch,)

    async def test_n3_a_partition_is_given_to_one(self, store: Store) -> None:
        await divided(store, 4)
        one, two = await store.join("one"), await store.join("two")
        assert await store.take(one, [0, 1, 2]) == {0, 1, 2}
        assert await store.take(two, [1, 2, 3]) == {3}
        assert await store.take(one, [0, 3]) == {0}  # what one has already is one's own
        owners = dict((await store.renew(two, ttl_ms=LONG_MS)).owners)
        assert owners == {0: one.epoch, 1: one.epoch, 2: one.epoch, 3: two.epoch}

    async def test_n3_what_is_given_up_can_be_taken(self, store: Store, beside: ReopenedStore) -> None:
        await divided(store, 2)
        one, two = await store.join("one"), await store.join("two")
        await store.take(one, [0, 1])
        await store.give(two, [0, 1])  # not his to give
        assert await store.take(two, [0, 1]) == frozenset()
        await store.give(one, [1])
        assert await (await beside()).take(two, [0, 1]) == {1}

    async def test_n3_what_a_fenced_worker_owned_is_free(self, store: Store) -> None:
        await divided(store, 2)
        one, two = await store.join("one"), await store.join("two")
        await store.take(one, [0, 1])
        await anyio.sleep(2 * SHORT_MS / 1000)
        assert dict((await store.renew(two, ttl_ms=SHORT_MS)).owners) == {0: 0, 1: 0}
        assert await store.take(two, [0, 1]) == {0, 1}

    async def test_n3_what_one_who_leaves_owned_is_free_at_once(self, store: Store) -> None:
        await divided(store, 2)
        one, two = await store.join("one"), await store.join("two")
        await store.take(one, [0, 1])
        await store.leave(one)
        await store.leave(one)
        membership = await store.renew(two, ttl_ms=LONG_MS)
        assert (membership.workers, dict(membership.owners)) == ((two.epoch,), {0: 0, 1: 0})
        await expect_fenced(store, one)

    async def test_n3_partitions_that_there_are_not_are_nobodys(self, store: Store) -> None:
        one = await store.join("one")
        assert await store.take(one, [4711]) == frozenset()
        assert await store.take(one, []) == frozenset()

    async def test_n4_nothing_can_be_done_with_a_claim_that_has_ended(self, store: Store) -> None:
        one = await store.join("one")
        two = await store.claim("two")
        await expect_fenced(store, one)
        with pytest.raises(Fenced):
            await store.divide(one, 2)
        owners = (await store.renew(two, ttl_ms=LONG_MS)).owners
        assert set(owners.values()) == {two.epoch}

    async def test_n4_a_commit_that_was_begun_before_the_fence_is_whole_or_nothing(self, store: Store) -> None:
        one, two = await store.join("one"), await store.join("two")
        await anyio.sleep(2 * SHORT_MS / 1000)
        async with anyio.create_task_group() as group:
            group.start_soon(_commit_or_be_fenced, store, one)
            group.start_soon(lambda: store.renew(two, ttl_ms=SHORT_MS))
        with pytest.raises(Fenced):
            await store.commit(one, 2, Writes())
        if await store.event("each") is None:
            await expect_nothing_of_each(store)
        else:
            await expect_one_of_each(store)

    async def test_n5_a_lone_worker_divides_the_store(self, store: Store, beside: ReopenedStore) -> None:
        claim = await store.claim("alone")
        await store.divide(claim, 7)
        assert dict((await store.renew(claim, ttl_ms=LONG_MS)).owners) == dict.fromkeys(range(7), claim.epoch)
        other = await beside()
        worker = await other.join("one")
        assert dict((await other.renew(worker, ttl_ms=LONG_MS)).owners) == dict.fromkeys(range(7), 0)

    async def test_n5_partitions_do_not_become_fewer(self, store: Store) -> None:
        claim = await store.claim("alone")
        await store.divide(claim, 5)
        with pytest.raises(Refused):
            await store.divide(claim, 4)
        await store.divide(claim, 5)
        assert len((await store.renew(claim, ttl_ms=LONG_MS)).owners) == 5

    async def test_n5_one_of_several_divides_nothing(self, store: Store) -> None:
        worker = await store.join("one")
        before = dict((await store.renew(worker, ttl_ms=LONG_MS)).owners)
        with pytest.raises(Refused):
            await store.divide(worker, 64)
        assert dict((await store.renew(worker, ttl_ms=LONG_MS)).owners) == before


async def divided(store: Store, partitions: int) -> None:
    """Divide a store, which is nobody's afterwards: the next one who joins ends the claim."""
    await store.divide(await store.claim("divider"), partitions)


async def expect_fenced(store: Store, claim: Claim) -> None:
    """Check that nothing can be done with the claim."""
    with pytest.raises(Fenced):
        await store.commit(claim, 1_000, one_of_each())
    with pytest.raises(Fenced):
        await store.renew(claim, ttl_ms=LONG_MS)
    with pytest.raises(Fenced):
        await store.take(claim, [0])
    with pytest.raises(Fenced):
        await store.give(claim, [0])
    await expect_nothing_of_each(store)


async def _commit_or_be_fenced(store: Store, claim: Claim) -> None:
    try:
        await store.commit(claim, 1, one_of_each())
    except Fenced:
        return
