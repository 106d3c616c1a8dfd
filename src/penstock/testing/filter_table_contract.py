"""The table of filters x engines, as tests: an index inherits them beside the contract of `VectorIndex`, and supplies `index`.

class TestFiltersOfMyIndex(FilterTableContract):
    @pytest.fixture
    def index(self) -> MyIndex:
        return MyIndex()
"""

from collections.abc import Iterable, Sequence
from random import Random

import pytest

from penstock.core.knowledge.filters import Filter, matches
from penstock.core.knowledge.passages import Space
from penstock.ports.vectors import VectorIndex
from penstock.testing.filter_table import FIELDS, TABLE, chance_filters
from penstock.testing.vectors_contract import EAST, SPACE, near, put

CHANCES = 60
OTHER = Space(SPACE.collection, "another tenant")


class FilterTableContract:
    @pytest.fixture
    async def filled(self, index: VectorIndex) -> VectorIndex:
        """An index with the table's passages; another tenant has the same, which must never come."""
        for space, prefix in ((SPACE, ""), (OTHER, "other-")):
            await index.apply([put(prefix + name, EAST, space, metadata=fields) for name, fields in FIELDS.items()])
        return index

    async def test_v4_every_row_of_the_table_of_engines_lets_through_what_it_should(self, filled: VectorIndex) -> None:
        assert await _differences(filled, TABLE) == []

    async def test_v4_filters_by_chance_let_through_what_matches(self, filled: VectorIndex) -> None:
        chosen = list(chance_filters(Random(len(FIELDS)), CHANCES))
        wanted = [(each, sorted(name for name, fields in FIELDS.items() if matches(each, fields))) for each in chosen]
        assert any(ids for _, ids in wanted)
        assert await _differences(filled, wanted) == []

    async def test_v4_a_filter_and_a_limit_give_the_first_that_match(self, filled: VectorIndex) -> None:
        for each, ids in TABLE[::5]:
            assert await near(filled, EAST, limit=2, filter=each) == ids[:2], each


async def _differences(
    index: VectorIndex, wanted: Iterable[tuple[Filter, Sequence[str]]]
) -> list[tuple[Filter, list[str], list[str]]]:
    """What an index lets through otherwise: the filter, what it should be, what it is."""
    found = [(each, list(ids), await near(index, EAST, limit=len(FIELDS), filter=each)) for each, ids in wanted]
    return [row for row in found if row[1] != row[2]]
