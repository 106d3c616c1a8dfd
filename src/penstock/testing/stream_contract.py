"""The contract of `StreamStore`, as tests. An adapter inherits them and supplies what `StateStoreContract` asks for."""

import pytest

from penstock.core.agents.unit import Writes
from penstock.errors import Fenced
from penstock.ports.store import Store
from penstock.testing.commits import (
    ALL,
    ReopenedStore,
    change,
    expect_nothing_of_each,
    found,
    heard,
    one_of_each,
    recorded,
    told,
)


class StreamStoreContract:
    @pytest.fixture
    def store(self) -> Store:
        raise NotImplementedError("supply the store under test")

    @pytest.fixture
    def reopened(self) -> ReopenedStore:
        raise NotImplementedError("supply what opens another store on what was committed")

    async def test_p1_chunks_come_in_the_order_of_their_offsets(self, store: Store) -> None:
        claim = await store.claim("w")
        await store.commit(claim, 1, Writes(streams=[told("e:a", 0, "a", "b"), told("e:a", 2, "c")]))
        await store.commit(claim, 2, Writes(streams=[told("e:a", 3, "d"), told("e:a", 1027, "e", "f")]))
        chunks = await store.pieces("t", "e:a", "", from_offset=0, limit=ALL)
        assert [(each.first, each.count) for each in chunks] == [(0, 2), (2, 1), (3, 1), (1027, 2)]
        assert list(chunks[:1]) == [told("e:a", 0, "a", "b")]
        assert await heard(store, "e:a") == "a b c d e f"

    async def test_p1_a_limit_keeps_the_first(self, store: Store) -> None:
        chunks = [told("e:a", number, str(number)) for number in range(20)]
        await store.commit(await store.claim("w"), 1, Writes(streams=chunks))
        assert list(await store.pieces("t", "e:a", "", from_offset=5, limit=3)) == chunks[5:8]

    async def test_p2_a_stream_is_durable_with_its_commit(self, store: Store, reopened: ReopenedStore) -> None:
        claim = await store.claim("w")
        await store.commit(claim, 1, Writes(streams=[told("e:a", 0, "a")]))
        await store.commit(claim, 1, Writes(streams=[told("e:a", 0, "a")]))  # again: it was never answered
        for each in (store, await reopened()):
            assert await heard(each, "e:a") == "a"

    @pytest.mark.parametrize(
        ("from_offset", "first"),
        [(-1, 0), (0, 0), (1, 0), (2, 2), (3, 2), (4, 2), (5, 1029), (1028, 1029), (1029, 1029), (1030, None)],
    )
    async def test_p3_reading_begins_with_the_chunk_of_the_offset(
        self, store: Store, from_offset: int, first: int | None
    ) -> None:
        chunks = [told("e:a", 0, "a", "b"), told("e:a", 2, "c", "d", "e"), told("e:a", 1029, "f")]
        await store.commit(await store.claim("w"), 1, Writes(streams=chunks))
        (begun, *_) = [*await store.pieces("t", "e:a", "", from_offset=from_offset, limit=1), None]
        assert (begun and begun.first) == first

    async def test_p3_an_unknown_stream_has_no_pieces(self, store: Store) -> None:
        assert list(await store.pieces("t", "e:a", "", from_offset=0, limit=ALL)) == []
        assert list(await store.streams("t", "e:a")) == []

    async def test_p4_tenants_runs_and_names_are_apart(self, store: Store) -> None:
        chunks = [
            told("1:a", 0, "mine"),
            told("1:a", 0, "named", name="notes"),
            told("2:a", 0, "another run's"),
            told("3:a", 0, "another tenant's", tenant="u"),
        ]
        await store.commit(await store.claim("w"), 1, Writes(streams=chunks))
        assert await heard(store, "1:a") == "mine"
        assert await heard(store, "1:a", name="notes") == "named"
        assert await heard(store, "1:a", name="Notes") == ""
        assert await heard(store, "1:a", tenant="u") == ""
        assert await heard(store, "3:a", tenant="t") == ""
        assert list(await store.streams("t", "3:a")) == []
        assert await heard(store, "3:a", tenant="u") == "another tenant's"

    @pytest.mark.parametrize("name", ["", " ", "a'b\"c", "ключ 🚀", "a\x00b", "%_*?", "../../x", "\\"])
    async def test_p4_a_name_may_be_any_text(self, store: Store, name: str) -> None:
        await store.commit(await store.claim("w"), 1, Writes(streams=[told("e:a", 0, "a\x00", name=name)]))
        assert await heard(store, "e:a", name=name) == "a\x00"
        (end,) = await store.streams("t", "e:a")
        assert end.name == name

    @pytest.mark.parametrize("within", [False, True])
    async def test_p5_a_piece_is_written_once(self, store: Store, reopened: ReopenedStore, *, within: bool) -> None:
        claim = await store.claim("w")
        await store.commit(claim, 1, Writes(events=[recorded("old")], streams=[told("old:a", 0, "old")]))
        writes = one_of_each(offset=2)
        writes.streams = [told("each:a", 0, "a"), told("each:a" if within else "old:a", 0, "another")]
        with pytest.raises(Fenced):
            await store.commit(claim, 2, writes)
        for each in (store, await reopened()):
            await expect_nothing_of_each(each)
            assert await heard(each, "old:a") == "old"
            assert await heard(each, "each:a") == ""

    async def test_p6_a_run_says_whether_it_has_streams(self, store: Store) -> None:
        claim = await store.claim("w")
        events = [recorded("1"), recorded("2", offset=2)]
        await store.commit(claim, 1, Writes(events=events, streams=[told("1:a", 0, "a")]))
        assert [(await found(store, run)).streamed for run in ("1:a", "2:a")] == [True, False]
        await store.commit(claim, 2, Writes(runs=[change("1:a"), change("2:a")]))
        assert [(await found(store, run)).streamed for run in ("1:a", "2:a")] == [True, False]

    async def test_p6_how_far_each_stream_is_durable(self, store: Store) -> None:
        chunks = [told("e:a", 0, "a", "b"), told("e:a", 1026, "c"), told("e:a", 0, "x", name="notes")]
        await store.commit(await store.claim("w"), 1, Writes(streams=chunks))
        default, notes = await store.streams("t", "e:a")
        assert (default.name, default.next, default.chunks) == ("", 1027, 2)
        assert (notes.name, notes.next, notes.chunks) == ("notes", 1, 1)
        assert default.bytes == len(chunks[0].body) + len(chunks[1].body)
