"""The contract of `Spaces`, as tests. An adapter inherits them and supplies an index that keeps `VectorIndex` too.

class TestMyIndex(SpacesContract):
    @pytest.fixture
    def index(self) -> MyIndex:
        return MyIndex()
"""

from typing import Any

import numpy as np

from penstock.core.knowledge.passages import Delete, Passage, Space, Upsert

SPACE = Space("handbook")
OTHERS = (Space("handbook", "other"), Space("handbook", generation=2), Space("minutes"))


def put(id: str, space: Space = SPACE) -> Upsert:
    vector = np.zeros(8, np.float32)
    vector[len(id) % 8] = 1
    return Upsert(space, Passage(id, f"text of {id}"), vector.tobytes())


class SpacesContract:
    async def test_u1_names_each_space_of_a_collection_that_has_passages(self, index: Any) -> None:
        await index.apply([put("a", each) for each in (SPACE, *OTHERS)])
        found = await index.spaces("handbook")
        assert set(found) == {SPACE, OTHERS[0], OTHERS[1]}
        assert len(found) == len(set(found))
        assert await index.spaces("nothing") == []

    async def test_u1_does_not_name_a_space_that_was_emptied(self, index: Any) -> None:
        await index.apply([put("a"), put("b", OTHERS[0]), put("c", OTHERS[1])])
        await index.apply([Delete(OTHERS[0], "b")])
        assert await index.clear(OTHERS[1], limit=10) == 1
        assert await index.spaces("handbook") == [SPACE]

    async def test_u2_removes_no_more_than_it_was_asked_to(self, index: Any) -> None:
        await index.apply([put(f"{number}") for number in range(5)])
        left: list[int] = []
        for _ in range(4):
            left.append(await index.clear(SPACE, limit=2))
            assert len(await index.digests(SPACE)) == 5 - sum(left)
        assert left == [2, 2, 1, 0]

    async def test_u2_clears_nothing_of_a_space_that_never_was(self, index: Any) -> None:
        assert await index.clear(Space("nothing"), limit=10) == 0

    async def test_u3_changes_no_other_space(self, index: Any) -> None:
        await index.apply([put("a", each) for each in (SPACE, *OTHERS)])
        assert await index.clear(SPACE, limit=10) == 1
        for each in OTHERS:
            assert set(await index.digests(each)) == {"a"}
            assert await index.clear(each, limit=10) == 1

    async def test_u3_what_was_removed_is_not_found_and_may_come_again(self, index: Any) -> None:
        query = np.eye(8, dtype=np.float32)[1:2]
        await index.apply([put("a"), put("b")])
        assert len((await index.nearest(SPACE, query, limit=5))[0]) == 2
        while await index.clear(SPACE, limit=1):
            pass
        assert list((await index.nearest(SPACE, query, limit=5))[0]) == []
        if hasattr(index, "matching"):  # a `WordIndex` too
            assert list((await index.matching(SPACE, ["text"], limit=5))[0]) == []
        assert await index.passages(SPACE, ["a", "b"]) == {}
        await index.apply([put("b")])
        assert [hit.id for hit in (await index.nearest(SPACE, query, limit=5))[0]] == ["b"]
