import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.core.knowledge.nearest import GATHERED_MAX, Vectors
from penstock.core.knowledge.ranking import highest
from penstock.core.knowledge.rows import units


def unit_vectors(count, dims, *, seed=0):
    return units(np.random.default_rng(seed).standard_normal((count, dims)).astype(np.float32))


def filled(vectors, **options):
    index = Vectors(vectors.shape[1], **options)
    index.add(np.arange(len(vectors), dtype=np.int32), vectors)
    return index


def best(found, query, limit):
    at, row, scores = found
    mine = at == query
    return [int(each) for each in row[mine][np.lexsort((row[mine], -scores[mine]))][:limit]]


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(1, 4),
    st.integers(1, 3_000),
    st.integers(1, 40),
    st.sampled_from([1.0, 0.1, 0.0]),
)
def test_the_highest_are_among_those_returned(seed, queries, columns, count, spread):
    random = np.random.default_rng(seed)
    scores = np.round(random.standard_normal((queries, columns)) * spread, 2).astype(np.float32)
    query, column, _ = highest(scores, count, slack=0, at_least=np.full(queries, -np.inf, np.float32))
    for number in range(queries):
        taken = set(column[query == number].tolist())
        last = np.sort(scores[number])[::-1][min(count, columns) - 1]
        assert set(np.flatnonzero(scores[number] >= last).tolist()) <= taken


@pytest.mark.parametrize("queries", [1, 3, 8, 9, 64, 150])
def test_any_number_of_queries_is_answered_exactly(queries):
    vectors = unit_vectors(20_000, 24)
    wanted = unit_vectors(queries, 24, seed=1)
    found = filled(vectors).nearest(wanted, limit=10, rows=None)
    expected = np.argsort(-(wanted @ vectors.T), axis=1)[:, :10].tolist()
    assert [best(found, number, 10) for number in range(queries)] == expected


@pytest.mark.parametrize("allowed", [1, 100, 2_000, 15_000])
def test_few_and_many_candidates_are_searched_exactly(allowed):
    vectors = unit_vectors(20_000, 24)
    rows = np.sort(np.random.default_rng(2).choice(20_000, allowed, replace=False))
    wanted = unit_vectors(12, 24, seed=1)
    found = filled(vectors).nearest(wanted, limit=10, rows=rows)
    expected = rows[np.argsort(-(wanted @ vectors[rows].T), axis=1)[:, :10]].tolist()
    assert [best(found, number, 10) for number in range(12)] == expected


@pytest.mark.parametrize("dims", [64, 100, 256])
@pytest.mark.parametrize("share", [1.0, 0.4])
def test_above_the_exact_bound_nearly_all_of_the_nearest_are_found(dims, share):
    centres = unit_vectors(200, dims, seed=4)
    members = np.random.default_rng(5).integers(0, 200, 30_000)
    vectors = units(centres[members] + unit_vectors(30_000, dims, seed=6))
    index = filled(vectors, exact_max=1_000)
    wanted = units(vectors[:40] + 0.5 * unit_vectors(40, dims, seed=7))
    rows = None if share == 1 else np.flatnonzero(np.random.default_rng(8).random(30_000) < share)
    among = np.arange(30_000) if rows is None else rows
    assert len(among) > GATHERED_MAX
    found = index.nearest(wanted, limit=10, rows=rows)
    expected = among[np.argsort(-(wanted @ vectors[among].T), axis=1)[:, :10]]
    recalled = [len(set(best(found, number, 10)) & set(expected[number].tolist())) for number in range(40)]
    assert sum(recalled) / 400 > 0.95


def test_codes_follow_what_is_added_and_dropped():
    vectors = unit_vectors(12_000, 64)
    index = filled(vectors[:10_000], exact_max=1_000)
    index.nearest(vectors[:1], limit=1, rows=None)
    index.add(np.arange(10_000, 12_000, dtype=np.int32), vectors[10_000:])
    for row in range(0, 12_000, 2):
        index.drop(row)
    index.drop(0)
    assert len(index) == 6_000
    found = index.nearest(vectors[[1, 2, 11_999]], limit=1, rows=None)
    assert best(found, 0, 1) == [1]
    assert best(found, 1, 1) != [2]
    assert best(found, 2, 1) == [11_999]


def test_equal_vectors_have_equal_scores_wherever_they_lie():
    vectors = unit_vectors(5_003, 37)
    vectors[[3, 777, 4_096, 5_002]] = vectors[0]
    for queries in (1, 5, 30):
        wanted = unit_vectors(queries, 37, seed=3)
        wanted[0] = units(vectors[:1] + 0.1 * wanted[:1])[0]
        at, row, scores = filled(vectors).nearest(wanted, limit=2, rows=None)
        mine = at == 0
        assert {0, 3, 777, 4_096, 5_002} <= set(row[mine].tolist())
        assert (
            len(
                {
                    float(score)
                    for score, each in zip(scores[mine], row[mine], strict=True)
                    if each in {0, 3, 777, 4_096, 5_002}
                }
            )
            == 1
        )
