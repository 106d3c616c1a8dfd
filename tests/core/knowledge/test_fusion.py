import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.knowledge.fusion import fused, fused_by_rank
from penstock.core.knowledge.passages import Hit

WORDS = {"a": 8.0, "b": 4.0, "c": 0.0}
VECTORS = {"c": 0.5, "b": 0.4, "a": 0.3}


def ids(hits):
    return [hit.id for hit in hits]


def test_scores_are_distances_from_the_mean_in_deviations_and_weighted():
    # By hand: words (8 - 4) / sqrt(32 / 3) = 1.2247, 0, -1.2247; vectors the other way round: 1.2247 * (1 - 2 * 0.375).
    found = fused(WORDS, VECTORS, weight=0.375, limit=9, peak=None)
    assert [(hit.id, pytest.approx(hit.score)) for hit in found] == [
        ("a", 1.2247449 / 4),
        ("b", pytest.approx(0, abs=1e-9)),
        ("c", -1.2247449 / 4),
    ]


def test_a_passage_that_stands_out_by_its_words_lends_less_weight_to_the_vectors():
    many = {f"x{number:02}": 0.0 for number in range(40)}
    close = {**dict.fromkeys(many, 0.1), "b": 0.9}
    # One of 41 or 42 stands out by 6.3 deviations: 0.5 * (3.5 / 6.3) ** 1.5 is less than a half.
    assert ids(fused({**many, "a": 9.0}, close, weight=0.5, limit=1)) == ["a"]
    # Where the words hardly tell passages apart, the vectors decide.
    assert ids(fused({name: float(at % 2) for at, name in enumerate([*many, "a"])}, close, weight=0.5, limit=1)) == [
        "b"
    ]


def test_the_weight_decides_between_the_two():
    assert ids(fused(WORDS, VECTORS, weight=0, limit=2)) == ["a", "b"]
    assert ids(fused(WORDS, VECTORS, weight=1, limit=2)) == ["c", "b"]


def test_cosines_that_lie_close_together_count_as_much_as_those_far_apart():
    close = {name: 0.8 + cosine / 100 for name, cosine in VECTORS.items()}
    far = fused(WORDS, VECTORS, weight=0.6, limit=9)
    assert ids(far) == ["c", "b", "a"]
    assert [(hit.id, pytest.approx(hit.score)) for hit in far] == [
        (hit.id, hit.score) for hit in fused(WORDS, close, weight=0.6, limit=9)
    ]


def test_equal_scores_come_by_id():
    assert ids(fused({"z": 1.0, "y": 1.0}, {}, limit=2)) == ["y", "z"]
    assert ids(fused({"z": 0.1, "y": 0.1, "x": 0.1}, {"z": 0.7, "y": 0.7, "x": 0.7}, limit=3)) == ["x", "y", "z"]
    assert [hit.id for hit in fused_by_rank([[Hit("z", 1.0)], [Hit("y", 9.0)]], limit=2)] == ["y", "z"]


def test_one_kind_of_score_alone_keeps_its_order():
    assert ids(fused({}, VECTORS, limit=9)) == ["c", "b", "a"]
    assert ids(fused(WORDS, {}, limit=9)) == ["a", "b", "c"]
    assert fused({}, {}, limit=9) == []


def test_a_candidate_without_vector_is_as_far_as_the_farthest():
    assert ids(fused({"b": 1.0, "c": 1.0, "a": 1.0}, {"a": -0.9, "c": 0.2}, limit=3)) == ["c", "a", "b"]


def test_ranks_are_added_as_reciprocals():
    words, vectors = [Hit("a", 8.0), Hit("b", 4.0)], [Hit("c", 0.5), Hit("b", 0.4), Hit("d", -0.2)]
    hits = fused_by_rank([words, vectors], limit=2)
    assert [(hit.id, pytest.approx(hit.score)) for hit in hits] == [("b", 2 / 62), ("a", 1 / 61)]


candidates = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(-1, 50))


@given(candidates, candidates, st.floats(0, 1), st.integers(0, 9))
def test_a_fused_list_is_ordered_finite_and_made_of_the_candidates(words, vectors, weight, limit):
    hits = fused(words, vectors, weight=weight, limit=limit)
    assert len(hits) == min(limit, len({*words, *vectors}))
    assert set(ids(hits)) <= {*words, *vectors}
    assert [(-hit.score, hit.id) for hit in hits] == sorted((-hit.score, hit.id) for hit in hits)
    assert all(math.isfinite(hit.score) for hit in hits)


@given(candidates, candidates, st.randoms(use_true_random=False))
def test_the_order_of_the_candidates_makes_no_difference(words, vectors, random):
    def shuffled(scores):
        return dict(random.sample(sorted(scores.items()), len(scores)))

    assert fused(shuffled(words), shuffled(vectors), limit=9) == fused(words, vectors, limit=9)


def test_the_only_one_of_two_that_has_the_word_is_first_whatever_little_vectors_differ():
    assert [each.id for each in fused({"larks": 0.3}, {"owls": 0.017, "larks": -0.001}, limit=2)] == ["larks", "owls"]


def test_one_of_a_few_can_stand_out_by_its_words():
    for count in range(2, 40):
        cosines = {f"p{number}": number / 100 for number in range(count)}
        assert fused({"p0": 1.0}, cosines, limit=1)[0].id == "p0", count
