"""The contract of `PassageChecks`, as tests. An adapter inherits them and supplies an index that keeps `VectorIndex` too.

class TestMyChecks(PassageChecksContract):
    @pytest.fixture
    def index(self) -> MyIndex:
        return MyIndex()
"""

from typing import Any

import numpy as np
import pytest

from penstock.core.knowledge.passages import Delete, IndexWrite, Passage, Space, Upsert
from penstock.errors import Invalid, Refused

SPACE = Space("handbook")
OTHER = Space("handbook", "other")


def put(id: str, dims: int | None = 4, space: Space = SPACE, text: str = "text", fill: float = 1.0) -> Upsert:
    vector = None if dims is None else np.full(dims, fill, np.float32).tobytes()
    return Upsert(space, Passage(id, text), vector)


BAD: dict[str, tuple[IndexWrite, type[Exception]]] = {
    "another length than the space has": (put("new", 5), Refused),
    "not a number": (put("new", fill=float("nan")), Invalid),
    "no vector at all": (Upsert(SPACE, Passage("new", "text"), b"abc"), Invalid),
    "half a character in the text": (put("new", text="half \ud800"), Invalid),
    "half a character in the id": (put("half \ud800"), Invalid),
}


class PassageChecksContract:
    @pytest.mark.parametrize("bad", BAD)
    async def test_y1_refuses_what_writing_would_refuse(self, index: Any, bad: str) -> None:
        write, kind = BAD[bad]
        await index.apply([put("old")])
        with pytest.raises(kind):
            await index.apply([write])
        with pytest.raises(kind):
            await index.require([put("good"), write])

    async def test_y1_refuses_two_lengths_in_a_space_that_has_none_yet(self, index: Any) -> None:
        with pytest.raises(Refused):
            await index.require([put("a", 4), put("b", 5)])

    async def test_y2_lets_through_what_can_be_written_and_writes_nothing(self, index: Any) -> None:
        good = [put("old"), put("b", None), put("c", 5, OTHER), put("d", fill=0.0), Delete(SPACE, "e"), put("日本")]
        await index.require(good)
        assert await index.digests(SPACE) == {}
        await index.apply(good)
        await index.require(good)
        assert set(await index.digests(SPACE)) == {"old", "b", "d", "日本"}

    async def test_y2_the_last_write_of_an_id_is_the_one_that_counts(self, index: Any) -> None:
        writes = [put("a", 5), put("a", 4), put("b", 4)]
        await index.require(writes)
        await index.apply(writes)

    async def test_y3_what_is_prepared_does_the_same(self, index: Any) -> None:
        writes = [put("a"), put("b", None), put("a", text="gates and weirs"), Delete(SPACE, "b"), put("c", 5, OTHER)]
        writes += [put(f"many {number}") for number in range(100)]
        await index.apply(writes)
        expected = await index.digests(SPACE), await index.matching(SPACE, ["gates"], limit=9)
        assert len(expected[1][0]) == 1
        await index.apply(
            [Delete(each.space, each.id if isinstance(each, Delete) else each.passage.id) for each in writes]
        )
        ready = await index.prepared(writes)
        assert await index.digests(SPACE) == {}
        assert [each.space for each in ready] == [each.space for each in writes]
        await index.apply(ready)
        assert (await index.digests(SPACE), await index.matching(SPACE, ["gates"], limit=9)) == expected
