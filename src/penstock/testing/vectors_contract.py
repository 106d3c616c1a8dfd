"""The contract of `VectorIndex`, as tests. An adapter inherits them and supplies the `index` fixture.

    class TestMyIndex(VectorIndexContract):
        @pytest.fixture
        def index(self) -> MyIndex:
            return MyIndex()

Each test names the guarantee that it checks. There is no way to switch one off: what an adapter cannot do belongs in
another port.
"""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from penstock.core.knowledge.filters import Equal, Filter
from penstock.core.knowledge.passages import Delete, IndexWrite, Passage, Space, Upsert
from penstock.errors import Invalid
from penstock.ports.vectors import VectorIndex
from penstock.testing.filter_cases import FILTER_CASES, METADATA

SPACE = Space("handbook")
EAST, NORTH, WEST = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (-1.0, 0.0, 0.0)
NORTH_EAST = (1.0, 1.0, 0.0)


class VectorIndexContract:
    async def test_v1_repeating_writes_changes_nothing(self, index: VectorIndex) -> None:
        writes = [put("a", EAST), put("b", NORTH), Delete(SPACE, "b")]
        await index.apply(writes)
        await index.apply(writes)
        assert await near(index, EAST) == ["a"]
        assert set(await index.digests(SPACE)) == {"a"}

    async def test_v1_the_last_write_of_an_id_wins(self, index: VectorIndex) -> None:
        await index.apply([put("a", EAST), put("b", NORTH), put("a", NORTH, text="second"), put("b", EAST)])
        assert await near(index, EAST, limit=1) == ["b"]
        assert (await index.passages(SPACE, ["a"]))["a"].text == "second"
        await index.apply([Delete(SPACE, "a"), put("a", EAST, text="third")])
        assert (await index.passages(SPACE, ["a"]))["a"].text == "third"
        assert await near(index, EAST) == ["a", "b"]

    async def test_v2_what_was_written_is_found_by_the_next_search(self, index: VectorIndex) -> None:
        assert await near(index, EAST) == []
        await index.apply([put("a", EAST)])
        assert await near(index, EAST) == ["a"]
        await index.apply([put("b", NORTH)])
        assert await near(index, NORTH) == ["b", "a"]

    async def test_v2_what_was_deleted_is_not_found_again(self, index: VectorIndex) -> None:
        await index.apply([put("a", EAST), put("b", NORTH), put("c", WEST)])
        await index.apply([Delete(SPACE, "a"), Delete(SPACE, "never there")])
        assert await near(index, EAST) == ["b", "c"]
        assert await index.passages(SPACE, ["a", "b"]) == {"b": passage("b")}
        assert set(await index.digests(SPACE)) == {"b", "c"}

    async def test_v2_an_old_vector_is_not_found_again(self, index: VectorIndex) -> None:
        await index.apply([put("a", EAST), put("b", NORTH_EAST)])
        await index.apply([put("a", WEST)])
        hits = (await index.nearest(SPACE, rows(EAST), limit=5))[0]
        assert [(hit.id, round(hit.score, 4)) for hit in hits] == [("b", 0.7071), ("a", -1.0)]

    async def test_v3_no_search_crosses_tenant_or_collection(self, index: VectorIndex) -> None:
        spaces = [SPACE, Space("handbook", tenant="other"), Space("minutes")]
        for number, space in enumerate(spaces):
            await index.apply(
                [put("same", EAST, space=space, text=f"text {number}"), put(f"own-{number}", EAST, space)]
            )
        for number, space in enumerate(spaces):
            assert await near(index, EAST, space=space) == [f"own-{number}", "same"]
            assert (await index.passages(space, ["same", "own-0"]))["same"].text == f"text {number}"
            assert set(await index.digests(space)) == {"same", f"own-{number}"}
        await index.apply([Delete(spaces[1], "same")])
        assert await near(index, EAST) == ["own-0", "same"]
        assert await near(index, EAST, space=spaces[1]) == ["own-1"]

    async def test_v3_three_generations_live_side_by_side(self, index: VectorIndex) -> None:
        generations = [Space("handbook", generation=number) for number in (1, 2, 3)]
        for dims, space in enumerate(generations, start=2):
            await index.apply([put(f"g{dims}", (1.0,) * dims, space), put("same", (0.0,) * (dims - 1) + (1.0,), space)])
        for dims, space in enumerate(generations, start=2):
            assert await near(index, (1.0,) * dims, space=space) == [f"g{dims}", "same"]

    async def test_v4_every_filter_of_the_table_lets_through_what_it_should(self, index: VectorIndex) -> None:
        await index.apply([put(name, EAST, metadata=metadata) for name, metadata in METADATA.items()])
        for case, expected in FILTER_CASES:
            assert "".join(await near(index, EAST, limit=10, filter=case)) == expected, case

    async def test_v4_matches_are_not_crowded_out_by_better_passages(self, index: VectorIndex) -> None:
        crowd = [put(f"crowd-{number}", EAST) for number in range(200)]
        wanted = [put(f"wanted-{number}", WEST, metadata={"kind": "wanted"}) for number in range(3)]
        await index.apply([*crowd, *wanted])
        found = await near(index, EAST, limit=3, filter=Equal("kind", "wanted"))
        assert found == ["wanted-0", "wanted-1", "wanted-2"]

    async def test_v4_no_more_than_the_limit_come(self, index: VectorIndex) -> None:
        await index.apply([put("a", EAST), put("b", NORTH_EAST), put("c", NORTH)])
        assert await near(index, EAST, limit=2) == ["a", "b"]
        assert await near(index, EAST, limit=1) == ["a"]
        assert await near(index, EAST, limit=100) == ["a", "b", "c"]

    async def test_v4_a_filter_follows_changed_metadata(self, index: VectorIndex) -> None:
        await index.apply([put("a", EAST, metadata={"state": "draft"})])
        await index.apply([put("a", EAST, metadata={"state": "final"})])
        assert await near(index, EAST, filter=Equal("state", "draft")) == []
        assert await near(index, EAST, filter=Equal("state", "final")) == ["a"]

    async def test_v5_hits_come_by_falling_cosine_with_their_scores(self, index: VectorIndex) -> None:
        await index.apply(
            [put("a", WEST), put("b", (0.0, 5.0, 0.0)), put("c", (3.0, 3.0, 0.0)), put("d", (9.0, 0.0, 0.0))]
        )
        hits = (await index.nearest(SPACE, rows((2.0, 0.0, 0.0)), limit=9))[0]
        assert [hit.id for hit in hits] == ["d", "c", "b", "a"]
        assert [hit.score for hit in hits] == pytest.approx([1.0, 0.5**0.5, 0.0, -1.0], abs=1e-4)

    async def test_v5_equal_ones_come_by_id_and_the_first_of_them_stay(self, index: VectorIndex) -> None:
        random = np.random.default_rng(1)
        same = random.standard_normal(33)
        ids = [f"{number:03}" for number in random.permutation(300)]
        await index.apply([put(name, tuple(same * (1 + number % 7))) for number, name in enumerate(ids)])
        assert await near(index, tuple(same + 0.1), limit=7) == [f"{number:03}" for number in range(7)]

    async def test_v5_many_queries_are_answered_as_each_alone(self, index: VectorIndex) -> None:
        random = np.random.default_rng(2)
        vectors = random.standard_normal((500, 16)).astype(np.float32)
        await index.apply([put(f"{number:03}", tuple(map(float, vector))) for number, vector in enumerate(vectors)])
        queries = random.standard_normal((70, 16)).astype(np.float32)
        together = await index.nearest(SPACE, queries, limit=5)
        cosines = (queries / length(queries)) @ (vectors / length(vectors)).T
        for query, hits, expected in zip(queries, together, cosines, strict=True):
            assert [hit.id for hit in hits] == [f"{number:03}" for number in np.argsort(-expected)[:5]]
            assert [hit.id for hit in (await index.nearest(SPACE, query[None], limit=5))[0]] == [hit.id for hit in hits]

    async def test_v6_a_passage_without_direction_is_kept_and_never_found(self, index: VectorIndex) -> None:
        await index.apply([put("none", None), put("zero", (0.0, 0.0, 0.0)), put("a", WEST)])
        assert await near(index, EAST) == ["a"]
        assert set(await index.passages(SPACE, ["none", "zero", "a"])) == {"none", "zero", "a"}
        assert set(await index.digests(SPACE)) == {"none", "zero", "a"}

    async def test_v6_a_vector_can_be_taken_away_and_given_back(self, index: VectorIndex) -> None:
        await index.apply([put("a", EAST), put("b", NORTH)])
        await index.apply([put("a", None)])
        assert await near(index, EAST) == ["b"]
        await index.apply([put("a", EAST)])
        assert await near(index, EAST) == ["a", "b"]

    async def test_v6_a_query_without_direction_finds_nothing(self, index: VectorIndex) -> None:
        await index.apply([put("a", EAST)])
        hits = await index.nearest(SPACE, rows((0.0, 0.0, 0.0), EAST), limit=5)
        assert [[hit.id for hit in each] for each in hits] == [[], ["a"]]

    async def test_v7_cosines_are_the_scores_of_the_hits(self, index: VectorIndex) -> None:
        await index.apply([put("a", EAST), put("b", NORTH_EAST), put("c", WEST), put("gone", EAST)])
        await index.apply([Upsert(SPACE, passage("bare"), None), Delete(SPACE, "gone")])
        scored = await index.cosines(
            SPACE, rows(EAST, NORTH, (0.0, 0.0, 0.0)), [["c", "b", "bare", "gone", "never there"], ["b"], ["a"]]
        )
        assert [dict(each) for each in scored] == [
            {"c": pytest.approx(-1, abs=1e-4), "b": pytest.approx(0.5**0.5, abs=1e-4)},
            {"b": pytest.approx(0.5**0.5, abs=1e-4)},
            {},
        ]

    @pytest.mark.parametrize("odd", [float("nan"), float("inf"), float("-inf")])
    async def test_v8_what_is_no_number_is_refused_and_disturbs_no_search(self, index: VectorIndex, odd: float) -> None:
        await index.apply([put("a", EAST)])
        with pytest.raises(Invalid):
            await index.apply([put("b", NORTH), put("c", (1.0, odd, 0.0))])
        with pytest.raises(Invalid):
            await index.nearest(SPACE, rows((odd, 1.0, 0.0)), limit=5)
        assert await near(index, EAST) == ["a"]
        assert set(await index.digests(SPACE)) == {"a"}

    async def test_an_empty_space_answers_with_nothing(self, index: VectorIndex) -> None:
        assert [list(each) for each in await index.nearest(SPACE, rows(EAST, WEST), limit=5)] == [[], []]
        assert await index.passages(SPACE, ["a"]) == {}
        assert await index.digests(SPACE) == {}
        await index.apply([put("a", EAST), Delete(SPACE, "a")])
        await index.apply([put("b", EAST)])
        await index.apply([Delete(SPACE, "b")])
        assert await near(index, EAST) == []

    async def test_ids_texts_and_metadata_keep_every_character(self, index: VectorIndex) -> None:
        odd = Passage("ß/ 'ключ' \"🙂\"", "naïve\n\ttext 東京 \\ {}", {"schlüssel": "wért 'x' 🙂", "": ""})
        await index.apply([Upsert(SPACE, odd, packed(EAST))])
        assert await near(index, EAST) == [odd.id]
        assert await near(index, EAST, filter=Equal("schlüssel", "wért 'x' 🙂")) == [odd.id]
        assert await index.passages(SPACE, [odd.id]) == {odd.id: odd}
        assert await index.digests(SPACE) == {odd.id: odd.digest}


def put(
    id: str,
    vector: Sequence[float] | None,
    space: Space = SPACE,
    *,
    text: str = "",
    metadata: dict[str, str] | None = None,
) -> IndexWrite:
    """Write a passage; its text is its id when none is given."""
    return Upsert(space, passage(id, text, metadata), None if vector is None else packed(vector))


def passage(id: str, text: str = "", metadata: dict[str, str] | None = None) -> Passage:
    return Passage(id, text or id, metadata or {})


def packed(vector: Sequence[float]) -> bytes:
    return np.asarray(vector, "<f4").tobytes()


def rows(*vectors: Sequence[float]) -> NDArray[np.float32]:
    return np.array(vectors, np.float32)


def length(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.sqrt((vectors * vectors).sum(axis=1, keepdims=True))


async def near(
    index: VectorIndex, vector: Sequence[float], *, space: Space = SPACE, limit: int = 5, filter: Filter | None = None
) -> list[str]:
    """The ids of the hits of one query."""
    return [hit.id for hit in (await index.nearest(space, rows(vector), limit=limit, filter=filter))[0]]
