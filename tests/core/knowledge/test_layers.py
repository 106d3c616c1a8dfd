from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.core.knowledge.filters import All, Any, Equal, Exists, In, Not, Range, matches
from penstock.core.knowledge.layers import HITS_MAX, Layers, merge_sources
from penstock.core.knowledge.merging import merged
from penstock.core.knowledge.passages import Passage, Row
from penstock.core.knowledge.rows import analysed
from penstock.core.knowledge.sealed import Sealed
from penstock.core.knowledge.sealed_vectors import gather_from
from penstock.core.knowledge.sealing import arrays_of
from penstock.core.knowledge.words import idf, saturation, terms
from penstock.errors import Invalid, LimitReached, Refused

WORDS = ["turbine", "valve", "gate", "surge", "tunnel"]
VALUES = ["1", "2", "10", "2.5", "x", "y", "", "-3", "1e1"]

texts = st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join)
vectors = st.none() | st.tuples(*[st.integers(-2, 2)] * 3)
metadata = st.dictionaries(st.sampled_from("fg"), st.sampled_from(VALUES))
ids = st.sampled_from([f"p{number}" for number in range(12)])
puts = st.tuples(st.just("put"), st.lists(st.tuples(ids, texts, vectors, metadata), max_size=5))
drops = st.tuples(st.just("drop"), st.lists(ids, max_size=4))
seals = st.tuples(st.sampled_from(["seal", "merge"]), st.lists(ids, max_size=2))

bounds = st.none() | st.sampled_from(VALUES)
fields = st.sampled_from("fgh")
leaves = (
    st.builds(Equal, fields, st.sampled_from(VALUES))
    | st.builds(In, fields, st.lists(st.sampled_from(VALUES)).map(tuple))
    | st.builds(Range, fields, bounds, bounds, bounds, bounds)
    | st.builds(Exists, fields)
)
filters = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3).map(tuple).flatmap(lambda each: st.sampled_from([All(each), Any(each)]))
        | inner.map(Not)
    ),
    max_leaves=6,
)


class Oracle:
    """The same, one passage at a time."""

    def __init__(self):
        self.kept = {}

    def nearest(self, query, filter):
        length = np.linalg.norm(query)
        found = {
            name: np.dot(query, vector) / np.linalg.norm(vector) / length
            for name, (_, vector, metadata) in self.kept.items()
            if length and vector is not None and np.any(vector) and (filter is None or matches(filter, metadata))
        }
        return ordered(found)

    def matching(self, query, filter):
        counts = {name: Counter(terms(text)) for name, (text, _, _) in self.kept.items()}
        lengths = {name: sum(each.values()) for name, each in counts.items() if each}
        found = {}
        for name, length in lengths.items():
            score = sum(
                idf(len(lengths), sum(term in each for each in counts.values()))
                * saturation(
                    float(counts[name][term]), float(length), average_length=sum(lengths.values()) / len(lengths)
                )
                for term in terms(query)
                if counts[name][term]
            )
            if score > 0 and (filter is None or matches(filter, self.kept[name][2])):
                found[name] = score
        return ordered(found)


def ordered(found):
    return sorted(((name, round(float(score), 4)) for name, score in found.items()), key=lambda hit: (-hit[1], hit[0]))


def shown(hits):
    # Rounded before it is ordered, like the oracle's: what differs in the last bit only is equal to both.
    return ordered({hit.id: hit.score for hit in hits})


def row(id, text="", vector=None, metadata=None):
    packed = None if vector is None else np.array(vector, "<f4").tobytes()
    return analysed(Passage(id, text, metadata or {}), packed)


def seal(layers, *, meanwhile=()):
    """What the adapter does with files, in memory; `meanwhile` is dropped while the part is being made."""
    segment = layers.freeze()
    found, made, size = part_of([(arrays_of(segment, lambda: None), segment.dead.copy())])
    layers.drop(meanwhile)
    layers.seal(found, made, size)


def merge(layers, place, *, meanwhile=()):
    found, made, size = part_of([(part.arrays, part.dead.copy()) for part in layers.parts[place]])
    layers.drop(meanwhile)
    layers.merge(place, found, made, size)


def part_of(parts):
    found, size = merge_sources(parts)
    pieces = {}
    for name, piece in merged(found) if size else ():
        pieces.setdefault(name, []).append(piece)
    arrays = {name: np.concatenate(each) for name, each in pieces.items()}
    return found, lambda dead: Sealed(arrays, gather_from(arrays.get("exact")), dead), size


@settings(max_examples=200, deadline=None)
@given(st.lists(puts | drops | seals, max_size=8), st.tuples(*[st.integers(-2, 2)] * 3), texts, st.none() | filters)
def test_a_search_finds_what_going_through_all_passages_finds(steps, query, words, filter):
    segment, oracle = Layers(), Oracle()
    for kind, items in steps:
        if kind == "put":
            segment.put([row(*item) for item in items])
            oracle.kept.update({name: item for name, *item in items})
        else:
            if kind == "seal":
                seal(segment, meanwhile=items)
            if kind == "merge":
                merge(segment, slice(len(segment.parts) // 3, len(segment.parts)), meanwhile=items)
            segment.drop(items)
            for name in items:
                oracle.kept.pop(name, None)
        assert len(segment) == len(oracle.kept)
        near = segment.nearest(np.array([query], np.float32), limit=20, filter=filter)[0]
        assert {hit.id: pytest.approx(hit.score, abs=1e-4) for hit in near} == dict(
            oracle.nearest(np.array(query), filter)
        )
        assert [(-hit.score, hit.id) for hit in near] == sorted((-hit.score, hit.id) for hit in near)
        assert shown(segment.matching([words], limit=20, filter=filter)[0]) == oracle.matching(words, filter)


def test_a_score_is_the_same_to_the_last_bit_wherever_its_passage_lies():
    random = np.random.default_rng(5)
    rows = [
        row(f"p{n:05}", " ".join(random.choice(WORDS, 1 + n % 6)), random.standard_normal(8), {"n": str(n)})
        for n in range(3_000)
    ]
    whole, layered = Layers(), Layers()
    whole.put(rows)
    for start in range(0, 3_000, 500):
        layered.put(rows[start : start + 500])
        if start < 2_500:
            seal(layered)
    assert layered.parts
    queries = random.standard_normal((10, 8)).astype(np.float32)
    some = [f"p{n:05}" for n in range(0, 3_000, 71)]
    for case in (None, Range("n", gte="1000", lt="3000")):
        assert layered.nearest(queries, limit=30, filter=case) == whole.nearest(queries, limit=30, filter=case)
        words = ["turbine gate", "surge", "valve"]
        assert layered.matching(words, limit=30, filter=case) == whole.matching(words, limit=30, filter=case)
    assert layered.cosines(queries, [some] * 10) == whole.cosines(queries, [some] * 10)
    assert layered.relevances(["turbine valve"], [some]) == whole.relevances(["turbine valve"], [some])


@settings(max_examples=200, deadline=None)
@given(st.lists(metadata, min_size=1, max_size=12), filters, st.sets(st.integers(0, 11)), st.booleans())
def test_a_filter_lets_through_what_matches(all_metadata, filter, dropped, sealed):
    segment = Layers()
    segment.put([row(f"p{n:02}", "turbine", None, each) for n, each in enumerate(all_metadata)])
    if sealed:
        seal(segment)
    segment.drop(f"p{n:02}" for n in dropped)
    expected = {f"p{n:02}" for n, each in enumerate(all_metadata) if n not in dropped and matches(filter, each)}
    assert {hit.id for hit in segment.matching(["turbine"], limit=20, filter=filter)[0]} == expected


def test_compaction_changes_no_answer():
    random = np.random.default_rng(3)
    rows = [
        row(
            f"p{n:05}",
            " ".join(random.choice(WORDS, 1 + n % 6)),
            random.standard_normal(8),
            {"n": str(n), "k": str(n % 3)},
        )
        for n in range(4_000)
    ]
    kept = [each for number, each in enumerate(rows) if number % 4 == 0]
    compacted, fresh = Layers(), Layers()
    compacted.put(rows)
    compacted.drop(each.id for number, each in enumerate(rows) if number % 4)
    compacted.put(kept[:50])
    fresh.put([*kept[50:], *kept[:50]])
    queries = random.standard_normal((20, 8)).astype(np.float32)
    for case in (None, Equal("k", "1"), Range("n", gte="1000", lt="3000")):
        assert compacted.nearest(queries, limit=30, filter=case) == fresh.nearest(queries, limit=30, filter=case)
        for one, other in zip(
            compacted.matching(["turbine gate", "surge"], limit=30, filter=case),
            fresh.matching(["turbine gate", "surge"], limit=30, filter=case),
            strict=True,
        ):
            assert shown(one) == shown(other)


def test_writing_the_same_passages_again_and_again_does_not_grow_a_segment():
    segment = Layers()
    rows = [row(f"p{n}", "turbine valve", (1.0, n), {"n": str(n)}) for n in range(600)]
    for _ in range(20):
        segment.put(rows)
    assert len(segment) == segment._top.vectors == 600
    assert len(segment._top.ids) < 5_000
    assert len(segment.matching(["turbine"], limit=1_000)[0]) == 600


def test_a_vector_of_another_length_is_refused_and_nothing_of_its_batch_is_kept():
    segment = Layers()
    segment.put([row("a", "turbine", (1.0, 2.0))])
    with pytest.raises(Refused, match="3 dimensions and the space 2"):
        segment.put([row("b", "turbine", (1.0, 2.0)), row("c", "turbine", (1.0, 2.0, 3.0))])
    with pytest.raises(Refused, match="3 dimensions and the space 2"):
        segment.nearest(np.ones((1, 3), np.float32), limit=1)
    assert [hit.id for hit in segment.matching(["turbine"], limit=5)[0]] == ["a"]


def test_limits_are_kept():
    segment = Layers()
    segment.put([row("a", "turbine", (1.0, 2.0))])
    assert segment.nearest(np.ones((2, 2), np.float32), limit=0) == [[], []]
    assert segment.matching(["turbine"], limit=0) == [[]]
    with pytest.raises(LimitReached):
        segment.matching(["turbine"], limit=HITS_MAX + 1)


@pytest.mark.parametrize(
    "vector", [b"", b"odd", np.array([1, np.nan], "<f4").tobytes(), np.array([np.inf], "<f4").tobytes()]
)
def test_what_is_no_vector_is_refused(vector):
    with pytest.raises(Invalid):
        analysed(Passage("a", "text"), vector)


def test_tiny_and_huge_vectors_have_a_direction():
    segment = Layers()
    segment.put([row("tiny", "", (1e-40, 0.0)), row("huge", "", (0.0, 3e38))])
    hits = segment.nearest(np.array([[3e38, 0.0], [0.0, 1e-40]], np.float32), limit=1)
    assert [(hit.id, hit.score) for each in hits for hit in each] == [("tiny", 1.0), ("huge", 1.0)]


def test_a_passage_called_by_a_word_comes_before_one_that_mentions_it():
    segment = Layers()
    segment.put([row("a", "a penstock of steel"), row("b", "a penstock of steel")])
    assert [hit.id for hit in segment.matching(["penstock"], limit=2)[0]] == ["a", "b"]
    segment.put([row("b", "a penstock of steel", metadata={"title": "penstock"})])
    assert [hit.id for hit in segment.matching(["penstock"], limit=2)[0]] == ["b", "a"]


def test_parts_are_merged_once_enough_of_them_are_much_alike():
    layers = Layers()

    def sealed(count, of=""):
        first = len(layers)
        layers.put([row(f"{of}{first + at}", "weir") for at in range(count)])
        seal(layers)
        return [part.alive for part in layers.parts]

    assert sealed(50) == [50]
    for smaller in (8, 1, 1):
        sealed(smaller)
        assert layers.to_merge() is None
    sealed(1)
    assert layers.to_merge() == slice(1, 5)  # 8, 1, 1, 1: the 50 are more than four times as many
    merge(layers, slice(1, 5), meanwhile=["50"])
    assert [part.alive for part in layers.parts] == [50, 10]
    layers.drop(map(str, range(13)))
    assert layers.to_merge() == slice(0, 1)  # more than a quarter of it is dead
    merge(layers, slice(0, 1))
    assert [part.size for part in layers.parts] == [37, 11]
    assert {hit.id for hit in layers.matching(["weir"], limit=99)[0]} == {str(at) for at in range(13, 61)} - {"50"}


def test_common_words_are_looked_up_only_where_they_can_matter_and_no_passage_is_missed():
    """Twenty thousand passages: words are taken one after the other, some only looked up, and parts pass on what they found."""
    random = np.random.default_rng(7)
    names = ["weir", "gate", "sluice", "turbine", "surge", "valve", "tunnel", "penstock"]
    often = np.array([0.9, 0.8, 0.6, 0.3, 0.05, 0.01, 0.002, 0.0005])
    texts = [" ".join(np.repeat(names, has * random.integers(1, 4, 8))) for has in random.random((20_000, 8)) < often]
    whole, layers = Layers(), Layers()
    for start, end in ((0, 14_000), (14_000, 19_000), (19_000, 20_000)):
        rows = [row(str(at), texts[at]) for at in range(start, end)]
        whole.put(rows)
        layers.put(rows)
        if end < 20_000:
            seal(layers)
    queries = [" ".join(random.choice(names, 4, replace=False)) for _ in range(30)] + [
        "weir gate",
        "gate sluice penstock",
    ]
    gone = [str(at) for at in random.choice(20_000, 3_000, replace=False)]
    for dropped in ([], gone[:10], gone):
        for each in (whole, layers):
            each.drop(dropped)
        for limit in (1, 10, 300):
            assert layers.matching(queries, limit=limit) == whole.matching(queries, limit=limit)


def test_v8_a_row_that_holds_no_numbers_is_as_one_without_a_vector():
    # A write refuses them (the contract of vectors): a file that was damaged, or written before that, may hold one all the same.
    east, odd = (np.asarray(each, "<f4").tobytes() for each in ([1, 0], [np.nan, np.inf]))
    layers = Layers()
    layers.put([Row("a", b"", b"", east, {}), Row("b", b"", b"", odd, {})])
    layers.put([Row("c", b"", b"", odd, {})])
    assert len(layers) == 3
    for query in ([1, 0], [0, -1]):
        assert [hit.id for hit in layers.nearest(np.asarray([query], np.float32), limit=5)[0]] == ["a"]
    assert [dict(each) for each in layers.cosines(np.asarray([[1, 0]], np.float32), [["a", "b", "c"]])] == [{"a": 1.0}]
