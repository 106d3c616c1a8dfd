"""Large parts: only the codes around a query are looked at, and nothing that matters is missed by it."""

from itertools import pairwise

import numpy as np
import pytest

from penstock.core.knowledge.codes import rotation
from penstock.core.knowledge.filters import Not, Range
from penstock.core.knowledge.layers import merge_sources
from penstock.core.knowledge.merging import merged
from penstock.core.knowledge.neighbourhoods import Neighbourhoods, centers_of
from penstock.core.knowledge.passages import Passage
from penstock.core.knowledge.rows import analysed
from penstock.core.knowledge.sealed import Sealed, nearest
from penstock.core.knowledge.sealed_vectors import gather_from
from penstock.core.knowledge.sealing import arrays_of
from penstock.core.knowledge.segment import Segment

DIMS = 128
SIZE = 30_000
SUBJECTS = 60


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def about_something(count, *, seed=1):
    """Vectors as texts have them: each is about one of some subjects."""
    subjects = unit(np.random.default_rng(0).standard_normal((SUBJECTS, DIMS)))
    random = np.random.default_rng(seed)
    return unit(subjects[random.integers(0, SUBJECTS, count)] + 0.07 * random.standard_normal((count, DIMS)))


def part_of(parts, **options):
    found, size = merge_sources(parts)
    pieces = {}
    for name, piece in merged(found, **options):
        pieces.setdefault(name, []).append(piece)
    arrays = {name: np.concatenate(each) for name, each in pieces.items()}
    return Sealed(arrays, gather_from(arrays["exact"]), np.zeros(size, np.bool_))


def source(vectors, first=0, *, without=()):
    segment = Segment()
    segment.put(
        [
            analysed(
                Passage(f"p{first + at}", "", {"n": str(first + at)}),
                None if first + at in without else vector.astype("<f4").tobytes(),
            )
            for at, vector in enumerate(vectors)
        ]
    )
    segment.freeze()
    return arrays_of(segment, lambda: None)


def alive(arrays):
    return np.zeros(len(arrays["lengths"]), np.bool_)


@pytest.fixture(scope="module")
def vectors():
    return about_something(SIZE)


@pytest.fixture(scope="module")
def sealed(vectors):
    """A part of two, of which the first has every eleventh row dead, and every seventh without a vector."""
    first = source(vectors[:20_000], without=range(0, 20_000, 7))
    second = source(vectors[20_000:], 20_000)
    dead = alive(first)
    dead[::11] = True
    return part_of([(first, dead), (second, alive(second))], neighboured_min=1_000)


def there(number):
    return number >= 20_000 or bool(number % 7 and number % 11)


def found(part, query, limit=10, only=None):
    return [int(hit.id[1:]) for hit in nearest([part], query[None], limit=limit, filter=only, passages=part.alive)[0]]


def exact(vectors, query, limit=10, lets=there):
    numbers = np.array([each for each in range(len(vectors)) if lets(each)])
    return numbers[np.argsort(-(vectors[numbers] @ query), kind="stable")[:limit]].tolist()


def recall(part, vectors, **options):
    queries = about_something(60, seed=9)
    return np.mean([len({*found(part, each, **options)} & {*exact(vectors, each, **options)}) / 10 for each in queries])


def test_a_search_looks_through_a_part_of_the_codes_and_finds_the_nearest(sealed, vectors):
    near_by = Neighbourhoods(sealed.arrays, DIMS)
    looked_at = [
        sum(each.stop - each.start for each in near_by.stretches(query, 1_000)) / SIZE for query in about_something(20)
    ]
    assert max(looked_at) < 0.8, "a search of some hundred thousand would gain nothing"
    assert recall(sealed, vectors) > 0.97


def test_the_stretches_are_whole_neighbourhoods_apart_from_each_other(sealed):
    near_by = Neighbourhoods(sealed.arrays, DIMS)
    ends = {0, *sealed.arrays["center_ends"].tolist()}
    for query in about_something(20):
        stretches = near_by.stretches(query, 100)
        assert all({each.start, each.stop} <= ends and each.start < each.stop for each in stretches)
        assert all(one.stop < next_.start for one, next_ in pairwise(stretches))


def test_who_wants_many_looks_through_more(sealed):
    near_by, query = Neighbourhoods(sealed.arrays, DIMS), about_something(1)[0]
    few, many, all_of_them = (
        sum(each.stop - each.start for each in near_by.stretches(query, wanted)) for wanted in (1, 700, SIZE)
    )
    assert few < many < all_of_them == np.count_nonzero(sealed.arrays["has_vector"])


def test_places_and_rows_are_each_others_inverse_and_codes_lie_by_them(sealed, vectors):
    arrays = sealed.arrays
    rows, places = arrays["code_rows"], arrays["code_places"]
    assert np.array_equal(rows[places], np.arange(len(rows)))
    numbers = np.array([int(sealed.ids[row][1:]) for row in rows.tolist()])
    signs = np.packbits(vectors[numbers] @ rotation(DIMS) > 0, axis=1).view(np.uint64)
    has = arrays["has_vector"][rows]
    agree = np.mean(arrays["code_0"][has] == signs[has, 0])
    assert agree > 0.99, "but for signs of what is almost zero"
    assert not has[int(arrays["center_ends"][-2]) :].any(), "those without a vector lie behind all others"


def test_a_filter_that_lets_many_through_finds_them_in_their_rows(sealed, vectors):
    for only, lets in (
        (Range("n", gte="9000"), lambda number: number >= 9_000 and there(number)),
        (Not(Range("n", gte="25000")), lambda number: number < 25_000 and there(number)),
    ):
        queries = about_something(20, seed=4)
        hits = [len({*found(sealed, each, only=only)} & {*exact(vectors, each, lets=lets)}) / 10 for each in queries]
        assert np.mean(hits) > 0.95


def test_a_part_with_neighbourhoods_is_merged_again(sealed, vectors):
    more = about_something(SIZE + 3_000)[SIZE:]
    young = source(more, SIZE)
    old = alive(sealed.arrays)
    old[::13] = True
    gone = {int(sealed.ids[row][1:]) for row in range(0, len(old), 13)}
    both = part_of([(sealed.arrays, old), (young, alive(young))], neighboured_min=1_000)
    flat = part_of([(sealed.arrays, old), (young, alive(young))])
    assert "center_ends" in both.arrays
    assert "center_ends" not in flat.arrays
    together = np.concatenate([vectors, more])

    def lets(number):
        return number not in gone and there(number)

    for part in (both, flat):
        hits = [
            len({*found(part, each)} & {*exact(together, each, lets=lets)}) / 10 for each in about_something(30, seed=3)
        ]
        assert np.mean(hits) > 0.95


def test_vectors_made_by_chance_have_no_neighbourhoods():
    random = np.random.default_rng(2)
    assert centers_of(unit(random.standard_normal((8_000, DIMS))), 500_000) is None


def test_equal_and_missing_vectors_make_no_trouble():
    same = np.tile(unit(np.ones((1, DIMS))), (5_000, 1))
    centers = centers_of(same, 500_000)
    assert centers is None or np.isfinite(centers.vectors).all()
    assert centers_of(same[:0], 500_000) is None
    nothing = source(same, without=range(5_000))
    assert "near" not in part_of_words(nothing).arrays


def part_of_words(arrays):
    found, size = merge_sources([(arrays, alive(arrays))])
    pieces = {}
    for name, piece in merged(found, neighboured_min=0):
        pieces.setdefault(name, []).append(piece)
    made = {name: np.concatenate(each) for name, each in pieces.items()}
    return Sealed(made, gather_from(np.zeros((size, 0), np.int16)), np.zeros(size, np.bool_))
