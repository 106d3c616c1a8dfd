"""The contract of `Inbox`, as tests. An adapter inherits them and supplies a store and a way to lose its process."""

import anyio
import pytest

from penstock.core.agents.unit import Sent, Writes
from penstock.core.events.envelope import UNPLACED, Envelope, Position, Recorded
from penstock.errors import Fenced
from penstock.ports.store import Store
from penstock.testing.commits import ReopenedStore, recorded

ALL = [0, 1, 2, 3]


class InboxContract:
    @pytest.fixture
    def store(self) -> Store:
        raise NotImplementedError("supply the store under test")

    @pytest.fixture
    def reopened(self) -> ReopenedStore:
        raise NotImplementedError("supply what opens another store on what was committed")

    @pytest.fixture
    def beside(self) -> ReopenedStore:
        raise NotImplementedError("supply what opens the same store for another worker")

    async def test_i1_what_was_submitted_waits_for_its_owner(self, store: Store, reopened: ReopenedStore) -> None:
        first, second = sent("a", partition=1), sent("b", partition=2, key="kéy 🚀")
        await store.submit([first, second])
        for each in (store, await reopened()):
            assert await waiting(each, [1]) == [first]
            assert await waiting(each, [2]) == [second]
            assert await waiting(each, [0, 3]) == []
            assert await waiting(each, []) == []
            assert await waiting(each, ALL) == [first, second]

    async def test_i1_the_first_ones_come_first_however_many_wait(self, store: Store) -> None:
        many = [sent(f"e{number}", partition=number % 4) for number in range(100)]
        await store.submit(many)
        for partition in ALL:
            found = await store.submitted([partition], limit=10)
            assert [each.sent for each in found] == many[partition:40:4]
        found = await store.submitted(ALL, limit=10)
        assert len(found) == 10
        assert sorted(each.number for each in found) == [each.number for each in found]

    async def test_i2_an_event_that_waits_is_not_taken_again(self, store: Store) -> None:
        await store.submit([sent("a", key="first")])
        await store.submit([sent("a", key="second"), sent("b"), sent("b")])
        assert [each.event.id for each in await waiting(store, ALL)] == ["a", "b"]
        assert (await waiting(store, ALL))[0].event.key == "first"

    async def test_i2_an_event_in_the_log_is_not_taken_again(self, store: Store) -> None:
        claim = await store.claim("w")
        await store.commit(claim, 1, Writes(events=[recorded("a")]))
        await store.submit([sent("a"), sent("b")])
        assert [each.event.id for each in await waiting(store, ALL)] == ["b"]

    async def test_i2_what_came_into_the_log_beside_the_inbox_is_known(self, store: Store) -> None:
        await store.submit([sent("a"), sent("b")])
        await store.commit(await store.claim("w"), 1, Writes(events=[recorded("a")]))
        found = await store.submitted(ALL, limit=9)
        assert [each.sent.event.id for each in found if not each.known] == ["b"]
        assert "a" in [each.sent.event.id for each in found if each.known]

    async def test_i2_many_who_submit_the_same_are_one(self, store: Store, beside: ReopenedStore) -> None:
        other = await beside()
        async with anyio.create_task_group() as group:
            for each in (store, other) * 5:
                group.start_soon(each.submit, [sent("a"), sent("b")])
        assert sorted(each.event.id for each in await waiting(store, ALL)) == ["a", "b"]

    async def test_i3_what_one_sends_comes_in_order(self, store: Store) -> None:
        one, two = await store.join("one"), await store.join("two")
        for number in range(5):
            await store.commit(one, number + 1, Writes(sent=[sent(f"one{number}")]))
            await store.commit(two, number + 1, Writes(sent=[sent(f"two{number}"), sent(f"more{number}")]))
        ids = [each.event.id for each in await waiting(store, ALL)]
        for name in ("one", "two", "more"):
            assert [each for each in ids if each.startswith(name)] == [f"{name}{number}" for number in range(5)]

    async def test_i4_a_commit_that_receives_takes_out_what_it_writes(
        self, store: Store, reopened: ReopenedStore
    ) -> None:
        claim = await store.claim("w")
        await store.submit([sent("a"), sent("b")])
        first = (await store.submitted([0], limit=1))[0]
        place = Position("t", 0, 1)
        await store.commit(claim, 1, Writes(events=[Recorded(place, first.sent.event)], received=[first.number]))
        for each in (store, await reopened()):
            assert [left.event.id for left in await waiting(each, ALL)] == ["b"]
            known = await each.event("a")
            assert known is not None
            assert known.position == place

    async def test_i4_what_a_commit_takes_by_its_id_waits_no_longer(
        self, store: Store, reopened: ReopenedStore
    ) -> None:
        claim = await store.claim("w")
        await store.submit([sent("a"), sent("ünd so"), sent("b")])
        placed = Recorded(Position("t", 0, 1), sent("ünd so").event)
        await store.commit(claim, 1, Writes(events=[placed], taken=["ünd so", "nobody's"]))
        for each in (store, await reopened()):
            assert [left.event.id for left in await waiting(each, ALL)] == ["a", "b"]
            assert await each.event("ünd so") == placed

    async def test_i3_topics_can_be_left_out(self, store: Store) -> None:
        other = Sent("ünd so", 0, sent("c").event)
        await store.submit([sent("a"), other, sent("b")])
        for _ in range(2):
            found = await store.submitted(ALL, limit=9, without=["t"])
            assert [each.sent for each in found if not each.known] == [other]
        assert list(await store.submitted(ALL, limit=9, without=["t", "ünd so"])) == []
        assert {each.event.id for each in await waiting(store, ALL)} == {"a", "b", "c"}

    async def test_i4_a_commit_that_is_fenced_sends_and_receives_nothing(self, store: Store) -> None:
        claim = await store.claim("w")
        await store.submit([sent("a")])
        first = (await store.submitted([0], limit=1))[0]
        await store.claim("rival")
        events = [Recorded(Position("t", 0, 1), first.sent.event)]
        with pytest.raises(Fenced):
            await store.commit(claim, 1, Writes(events=events, received=[first.number], sent=[sent("b")]))
        assert [each.event.id for each in await waiting(store, ALL)] == ["a"]
        known = await store.event("a")
        assert known is not None
        assert not known.position.is_given

    async def test_i4_a_commit_that_is_repeated_sends_once(self, store: Store) -> None:
        claim = await store.claim("w")
        for _ in range(2):
            await store.commit(claim, 1, Writes(sent=[sent("a")]))
        assert [each.event.id for each in await waiting(store, ALL)] == ["a"]

    async def test_i6_an_event_that_waits_is_found_without_its_place_and_its_run_is_queued(self, store: Store) -> None:
        claim = await store.claim("w")
        await store.submit([sent("a", partition=3)])
        waits = await store.event("a")
        assert waits is not None
        assert waits == Recorded(Position("t", 3, UNPLACED), sent("a").event)
        run = await store.run("a:agent")
        assert run is not None
        assert (run.change.status, run.change.tenant, run.change.key) == ("queued", waits.event.tenant, waits.event.key)
        assert await store.event("b") is None
        assert await store.run("b:agent") is None
        (first,) = await store.submitted([3], limit=9)
        placed = Recorded(Position("t", 3, 1), first.sent.event)
        await store.commit(claim, 1, Writes(events=[placed], received=[first.number]))
        assert await store.event("a") == placed

    async def test_i7_of_many_ids_it_is_told_where_each_is(self, store: Store, reopened: ReopenedStore) -> None:
        claim = await store.claim("w")
        placed = [Recorded(Position("t", 0, offset), sent(f"pläced {offset}").event) for offset in (1, 2)]
        await store.commit(claim, 1, Writes(events=placed, sent=[Sent("ünd so", 0, sent("waits").event)]))
        await store.submit([sent("waits too", partition=3)])
        many = [f"nobody's {number}" for number in range(2000)]
        odd = "\x00\" '"
        await store.submit([sent(odd)])
        for each in (store, await reopened()):
            assert await each.places([*many, "waits", "waits too", odd, "pläced 1", "pläced 2", "'"]) == {
                odd: None,
                "pläced 1": Position("t", 0, 1),
                "pläced 2": Position("t", 0, 2),
                "waits": None,
                "waits too": None,
            }
            assert await each.places([]) == {}

    async def test_i7_what_is_in_the_log_and_waits_is_in_the_log(self, store: Store) -> None:
        await store.submit([sent("a")])
        placed = recorded("a")
        await store.commit(await store.claim("w"), 1, Writes(events=[placed]))
        assert await store.places(["a"]) == {"a": placed.position}

    async def test_i5_watchers_are_called(self, store: Store) -> None:
        claim = await store.join("w")
        called = anyio.Event()
        stop = store.watch(called.set)
        await store.submit([sent("a")])
        with anyio.fail_after(5):
            await called.wait()
        stop()
        called = anyio.Event()
        stop = store.watch(called.set)
        await store.commit(claim, 1, Writes(sent=[sent("b")]))
        with anyio.fail_after(5):
            await called.wait()
        stop()

    async def test_i5_watchers_of_another_worker_are_called(self, store: Store, beside: ReopenedStore) -> None:
        other = await beside()
        claim, listener = await store.join("w"), await other.join("listener")
        for number, send in enumerate(("submit", "commit")):
            called = anyio.Event()
            stop = other.watch(called.set)
            with anyio.fail_after(10):
                while not called.is_set():  # who has only just begun to listen may miss what was told before
                    await other.renew(listener, ttl_ms=60_000)
                    await store.renew(claim, ttl_ms=60_000)
                    if send == "submit":
                        await store.submit([sent(f"s{number}")])
                    else:
                        await store.commit(claim, 1, Writes(sent=[sent("c")]))
                    with anyio.move_on_after(0.5):
                        await called.wait()
            stop()


def sent(event_id: str, *, partition: int = 0, key: str = "k") -> Sent:
    """Return an event on its way to topic "t"."""
    return Sent("t", partition, Envelope(event_id, "/test", "T.v1", key, 0, b"{}", correlation_id=event_id))


async def waiting(store: Store, partitions: list[int]) -> list[Sent]:
    """Return what waits for these partitions, and is not known already."""
    return [each.sent for each in await store.submitted(partitions, limit=10_000) if not each.known]
