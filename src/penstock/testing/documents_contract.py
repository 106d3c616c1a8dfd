"""The contract of `DocumentIndex`, as tests. An adapter that is a `VectorIndex` too inherits them and supplies `index`."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import pytest

from penstock.core.knowledge.documents import prefix_of, root_of
from penstock.core.knowledge.passages import Delete, IndexWrite, Passage, Space, Upsert

SPACE = Space("handbook")
VECTOR = b"\x00\x00\x80?" * 2  # two ones, little-endian


class IndexOfDocuments(Protocol):
    """A `DocumentIndex` to which passages can be written."""

    async def parts(self, space: Space, documents: Sequence[str]) -> Mapping[str, Mapping[str, str]]: ...
    async def apply(self, writes: Sequence[IndexWrite]) -> None: ...


class DocumentIndexContract:
    @pytest.mark.parametrize("document", ["a", "a#b", "a%23", "a%", "docs/größe.md", "日本", "", "a'b"])
    async def test_d1_a_document_has_its_own_passage_and_those_of_its_prefix(
        self, index: IndexOfDocuments, document: str
    ) -> None:
        mine = [each for each in (root_of(document), f"{prefix_of(document)}1", f"{prefix_of(document)}ü/x") if each]
        await index.apply([put(each) for each in mine])
        found = await index.parts(SPACE, [document])
        assert found == {document: {each: Passage(each, "text").digest for each in mine}}

    async def test_d1_no_passage_is_of_two_documents(self, index: IndexOfDocuments) -> None:
        documents = ["a", "a#", "a#b", "a%23b", "ab", "a$", 'a"', "A"]
        await index.apply([put(part) for each in documents for part in (root_of(each), f"{prefix_of(each)}1")])
        found = await index.parts(SPACE, documents)
        assert {document: set(each) for document, each in found.items()} == {
            each: {root_of(each), f"{prefix_of(each)}1"} for each in documents
        }

    async def test_d1_a_document_that_is_not_there_is_left_out(self, index: IndexOfDocuments) -> None:
        assert await index.parts(SPACE, ["a", "b"]) == {}
        assert await index.parts(SPACE, []) == {}

    async def test_d1_many_documents_can_be_asked_for_at_once(self, index: IndexOfDocuments) -> None:
        names = [f"d{number}" for number in range(1500)]
        await index.apply([put(each) for each in names])
        assert (await index.parts(SPACE, names)).keys() == set(names)

    async def test_d2_what_was_written_and_taken_away_is_seen(self, index: IndexOfDocuments) -> None:
        await index.apply([put("a#1"), put("a#2")])
        await index.apply([Delete(SPACE, "a#1"), put("a#2", "other")])
        assert await index.parts(SPACE, ["a"]) == {"a": {"a#2": Passage("a#2", "other").digest}}

    async def test_d3_other_spaces_have_documents_of_their_own(self, index: IndexOfDocuments) -> None:
        others = [Space("handbook", "acme"), Space("films"), Space("handbook", generation=2)]
        await index.apply([put("a#1", space=each) for each in others])
        assert await index.parts(SPACE, ["a"]) == {}


def put(id: str, text: str = "text", space: Space = SPACE) -> Upsert:
    return Upsert(space, Passage(id, text), VECTOR)
