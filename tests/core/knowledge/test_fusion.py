import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.knowledge.fusion import fused, fused_by_rank
from penstock.core.knowledge.passages import Hit

WORDS = [Hit("a", 8.0), Hit("b", 4.0)]
VECTORS = [Hit("c", 0.5), Hit("b", 0.4), Hit("d", -0.2)]


def test_scores_are_scaled_by_the_best_and_weighted():
    assert [(hit.id, pytest.approx(hit.score)) for hit in fused(WORDS, VECTORS, limit=9)] == [
        ("a", 0.7),
        ("b", 0.7 * 0.5 + 0.3 * 0.8),
        ("c", 0.3),
        ("d", 0.0),
    ]


def test_the_weight_decides_between_the_lists():
    assert [hit.id for hit in fused(WORDS, VECTORS, weight=0, limit=2)] == ["a", "b"]
    assert [hit.id for hit in fused(WORDS, VECTORS, weight=1, limit=2)] == ["c", "b"]


def test_equal_scores_come_by_id():
    assert [hit.id for hit in fused([Hit("z", 1.0), Hit("y", 1.0)], [], limit=2)] == ["y", "z"]
    assert [hit.id for hit in fused_by_rank([[Hit("z", 1.0)], [Hit("y", 9.0)]], limit=2)] == ["y", "z"]


def test_one_list_alone_keeps_its_order():
    assert [hit.id for hit in fused([], VECTORS, limit=9)] == ["c", "b", "d"]
    assert [hit.id for hit in fused(WORDS, [], limit=9)] == ["a", "b"]
    assert fused([], [], limit=9) == []


def test_vectors_that_all_point_away_count_nothing():
    assert fused([], [Hit("a", -0.1), Hit("b", -0.5)], limit=9) == [Hit("a", 0.0), Hit("b", 0.0)]


def test_ranks_are_added_as_reciprocals():
    hits = fused_by_rank([WORDS, VECTORS], limit=2)
    assert [(hit.id, pytest.approx(hit.score)) for hit in hits] == [("b", 2 / 62), ("a", 1 / 61)]


hit_lists = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(-1, 50)).map(
    lambda scores: [Hit(name, score) for name, score in sorted(scores.items(), key=lambda item: -item[1])]
)


@given(hit_lists, hit_lists, st.floats(0, 1), st.integers(0, 9))
def test_a_fused_list_is_ordered_bounded_and_made_of_the_candidates(words, vectors, weight, limit):
    hits = fused(words, vectors, weight=weight, limit=limit)
    candidates = {hit.id for hit in (*words, *vectors)}
    assert len(hits) == min(limit, len(candidates))
    assert {hit.id for hit in hits} <= candidates
    assert [(-hit.score, hit.id) for hit in hits] == sorted((-hit.score, hit.id) for hit in hits)
    assert all(0 <= hit.score <= 1 + 1e-9 for hit in hits)
