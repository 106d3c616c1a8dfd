"""Passages analysed many at once are what each is by itself."""

import numpy as np
import pytest

from penstock.core.knowledge.passages import Delete, Passage, Space, Upsert
from penstock.core.knowledge.rows import analysed, prepared
from penstock.errors import Invalid

SPACE = Space("books")
TEXTS = [
    "A dog's e-mail, 1,000 times",
    "c++ and asyncio.Queue",
    "",
    "Die Größe der Straße ist für uns",
    "el año que viene",
]


def vector(*numbers):
    return np.array(numbers, "<f4").tobytes()


def rows_of(writes):
    return [write.row for write in prepared(writes) if isinstance(write, Upsert)]


def test_many_at_once_are_what_each_is_by_itself():
    random = np.random.default_rng(1)
    vectors = [each.astype("<f4").tobytes() for each in random.standard_normal((40, 256))]
    vectors[3] = vectors[7] = None
    vectors[5] = vector(*[0] * 256)
    writes = [
        Upsert(SPACE, Passage(str(at), TEXTS[at % len(TEXTS)], {"title": TEXTS[at % 3]}), each)
        for at, each in enumerate(vectors)
    ]
    assert rows_of(writes) == [analysed(each.passage, each.vector) for each in writes]
    assert rows_of(writes)[5].vector is None


def test_vectors_of_several_lengths_are_each_what_they_are():
    writes = [Upsert(SPACE, Passage("a", "one"), vector(3, 4)), Upsert(SPACE, Passage("b", "two"), vector(1, 2, 2))]
    assert [np.frombuffer(row.vector, "<f4").tolist() for row in rows_of(writes)] == [
        pytest.approx([0.6, 0.8]),
        pytest.approx([1 / 3, 2 / 3, 2 / 3]),
    ]


def test_deletes_and_what_is_analysed_already_stay_as_they_are():
    ready = prepared([Upsert(SPACE, Passage("a", "one"), vector(1, 0))])
    writes = [Delete(SPACE, "b"), *ready, *ready]
    assert all(one is other for one, other in zip(prepared(writes), writes, strict=True))


@pytest.mark.parametrize("wrong", [b"", b"abc", vector(np.inf, 0), vector(np.nan, 0)])
def test_what_is_no_vector_is_refused_among_others(wrong):
    with pytest.raises(Invalid, match="vector"):
        prepared([Upsert(SPACE, Passage("a", "one"), vector(1, 0)), Upsert(SPACE, Passage("b", "two"), wrong)])


def test_half_a_character_is_refused_among_others():
    with pytest.raises(Invalid, match="half a character"):
        prepared([Upsert(SPACE, Passage(each, each), vector(1, 0)) for each in ("fine", "\ud800")])
