"""Words, first vectors and a finer model's come to one order, however many candidates the finer model knows."""

import pytest

from penstock.core.knowledge.fusion import fused
from penstock.core.knowledge.refining import mixed, refined

WORDS = {"a": 9.0, "b": 6.0, "c": 5.0, "d": 1.0}
NEAR = {"a": 0.2, "b": 0.5, "c": 0.4, "d": 0.3, "e": 0.45}


def ids(hits):
    return [each.id for each in hits]


def test_where_the_finer_model_knows_nothing_it_is_as_without_it():
    assert refined(WORDS, NEAR, {}, limit=5) == fused(WORDS, NEAR, limit=5)


def test_where_it_knows_all_it_decides_more_than_the_first_vectors():
    flat = dict.fromkeys(NEAR, 1.0)
    assert ids(refined(flat, NEAR, {"a": 0.9, "b": 0.1, "c": 0.2, "d": 0.3, "e": 0.0}, limit=1)) == ["a"]
    assert ids(fused(flat, NEAR, limit=1)) == ["b"]


def test_only_the_order_and_spacing_of_its_cosines_count_not_their_scale():
    finer = {"a": 0.1, "b": 0.7, "c": 0.4, "d": 0.2, "e": 0.6}
    moved = {each: 0.8 + cosine / 10 for each, cosine in finer.items()}
    pairs = zip(refined(WORDS, NEAR, finer, limit=5), refined(WORDS, NEAR, moved, limit=5), strict=True)
    assert all(one.id == other.id and one.score == pytest.approx(other.score) for one, other in pairs)


def test_a_passage_it_has_not_seen_is_neither_favoured_nor_set_back():
    # The finer model agrees with the first vectors, on another scale; "b" is the one that it has not seen.
    agreeing = {each: 0.6 + cosine / 5 for each, cosine in NEAR.items() if each != "b"}
    flat = dict.fromkeys(NEAR, 1.0)
    assert ids(refined(flat, NEAR, agreeing, limit=5)) == ids(fused(flat, NEAR, limit=5))


def test_of_one_passage_alone_nothing_can_be_told():
    assert mixed(NEAR, {"b": 0.9}) == {}
    assert refined(WORDS, NEAR, {"unknown": 0.9}, limit=3) == fused(WORDS, NEAR, limit=3)


def test_nothing_found_is_nothing():
    assert refined({}, {}, {}, limit=5) == []
    assert refined({}, {}, {"a": 1.0}, limit=5) == []
