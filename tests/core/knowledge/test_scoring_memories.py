"""How memories are scored and whom they reach, against the plain meaning of both."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.knowledge.filters import Equal, matches
from penstock.core.knowledge.memories import (
    HALF_LIFE_S,
    SCOPES,
    SUMMARY,
    Recalled,
    RecallWeights,
    Whose,
    candidates_of,
    metadata_of,
    oldest,
    parts_of,
    ranked,
    reaching,
    recency,
    summary_id,
    wrong_memory,
    wrong_scope,
    wrong_weights,
)
from penstock.runtime.collection import Found

DAY_MS = 24 * 3600 * 1000
NOW_MS = 1000 * DAY_MS


def memory(id, *, relevance=0.0, importance=1.0, days=0.0, **more):
    at_ms = NOW_MS - round(days * DAY_MS)
    return Found(
        id, relevance, f"text of {id}", {**metadata_of(Whose("s", "u", "a"), "user", importance, at_ms), **more}
    )


def ids(found, weights=RecallWeights(), limit=10):  # noqa: B008 - frozen
    return [each.id for each in ranked(found, weights, NOW_MS, limit)]


def test_each_part_counts_by_its_weight_alone():
    near, fresh, great = memory("near", relevance=9, days=50), memory("fresh"), memory("great", importance=10, days=50)
    three = [near, fresh, great]
    assert ids(three, RecallWeights(1, 0, 0))[0] == "near"
    assert ids(three, RecallWeights(0, 1, 0))[0] == "fresh"
    assert ids(three, RecallWeights(0, 0, 1))[0] == "great"


def test_a_score_is_the_weighted_sum_of_its_parts_from_0_to_1():
    weights = RecallWeights(2.0, 3.0, 5.0, 10 * 86_400)
    found = [memory("a", relevance=-2, importance=10, days=10), memory("b", relevance=6, importance=1, days=20)]
    a, b = sorted(ranked(found, weights, NOW_MS, 5), key=lambda each: each.id)
    assert (a.relevance, a.recency, a.importance) == (0, 0.5, 1)
    assert (b.relevance, b.recency, b.importance) == (1, 0.25, 0)
    assert a.score == 3 * 0.5 + 5
    assert b.score == 2 + 3 * 0.25


def test_the_decay_is_that_of_the_paper():
    assert recency(NOW_MS - 3_600_000, NOW_MS, HALF_LIFE_S) == pytest.approx(0.995)
    assert recency(NOW_MS + DAY_MS, NOW_MS, HALF_LIFE_S) == 1  # clocks differ
    assert recency(0, 10**15, 1.0) == 0


found_memories = st.lists(
    st.builds(
        memory,
        st.text("ab", min_size=1, max_size=3),
        relevance=st.sampled_from([0.0, 1.0, 2.0]),
        importance=st.sampled_from([1.0, 5.0]),
        days=st.sampled_from([0.0, 1.0]),
    ),
    max_size=12,
    unique_by=lambda each: each.id,
)


@given(found_memories, st.randoms(), st.integers(1, 5))
def test_the_order_of_the_candidates_does_not_count_and_ties_go_to_the_newer_then_by_id(found, random, limit):
    expected = ranked(found, RecallWeights(), NOW_MS, limit)
    mixed = list(found)
    random.shuffle(mixed)
    assert ranked(mixed, RecallWeights(), NOW_MS, limit) == expected
    assert expected == sorted(expected, key=lambda each: (-each.score, -each.at_ms, each.id))
    assert all(0 <= part <= 1 for each in expected for part in (each.relevance, each.recency, each.importance))


def test_what_says_nothing_of_itself_is_old_and_everyday():
    bare = Found("x", 1.0, "text", {"at_ms": "yesterday", "importance": "great", "summarises": "{", "lang": "en"})
    [said] = ranked([bare], RecallWeights(), NOW_MS, 1)
    assert (said.at_ms, said.importance, said.summarises, said.metadata) == (0, 0, (), {"lang": "en"})
    assert isinstance(said, Recalled)
    assert parts_of({"summarises": '["a","b"]'}) == ("a", "b")


whoses = st.builds(Whose, *[st.sampled_from(["", "one", "two"])] * 3)


@given(whoses, st.sampled_from(SCOPES), whoses, st.sampled_from([None, *SCOPES]), st.booleans())
def test_a_memory_reaches_exactly_those_of_its_scope(theirs, scope, mine, asked, summarised):
    said = metadata_of(theirs, scope, 5, 0)
    same = {
        "session": theirs.session == mine.session != "",
        "user": theirs.user == mine.user != "",
        "agent": theirs.agent == mine.agent != "",
        "tenant": True,
    }[scope]
    expected = same and asked in (None, scope)
    assert matches(reaching(mine, asked, None), said) == expected
    assert matches(reaching(mine, asked, Equal("lang", "en")), said) is False
    assert matches(reaching(mine, asked, None, summarised=summarised), {**said, SUMMARY: "s"}) == (
        expected and summarised
    )


def test_nobody_is_reached_as_the_several_of_a_batch():
    said = metadata_of(Whose(user="*"), "user", 5, 0)
    assert not matches(reaching(Whose(user="*"), "user", None), said)
    assert [each.path for each in wrong_scope(Whose(user="*"), "user")] == ["user"]


def test_all_that_is_wrong_is_said_at_once():
    wrong = wrong_memory(" ", Whose(user="*"), "world", 11, {"at_ms": "1", "lang": "en"})
    assert [each.path for each in wrong] == ["scope", "text", "importance", "user", "metadata.at_ms"]
    assert [each.path for each in wrong_memory("x" * 20_001, Whose(), "session", math.nan, {})] == [
        "session",
        "text",
        "importance",
    ]
    assert wrong_memory("x", Whose("s"), "session", 10, {"lang": "en"}) == []
    assert len(wrong_weights(RecallWeights(-1, math.nan, math.inf, 0))) == 4
    assert [each.path for each in wrong_weights(RecallWeights(0, 0, 0))] == ["weights"]
    assert wrong_weights(RecallWeights()) == []


def test_candidates_are_bounded():
    assert [candidates_of(limit) for limit in (1, 5, 6, 50, 1000)] == [20, 20, 24, 200, 200]


@given(found_memories, st.randoms(), st.integers(0, 5), st.integers(2, 6))
def test_summed_up_is_all_but_the_newest_oldest_first(found, random, keep, least):
    mixed = list(found)
    random.shuffle(mixed)
    older = oldest(mixed, keep, least)
    assert len(older) == (len(found) - keep if len(found) - keep >= least else 0)
    left = [each for each in found if each not in older]
    at = [(int(each.metadata["at_ms"]), each.id) for each in older]
    assert at == sorted(at)
    assert not at or all((int(each.metadata["at_ms"]), each.id) > at[-1] for each in left)


def test_a_summary_is_bounded_and_has_the_id_of_its_parts():
    many = [memory(f"{number:03}", days=100 - number) for number in range(80)]
    assert [each.id for each in oldest(many, 10, 2)] == [f"{number:03}" for number in range(50)]
    long = [Found(each.id, 0.0, "x" * 20_000, each.metadata) for each in many]
    assert len(oldest(long, 10, 2)) == 3
    assert summary_id(["a", "b"]) == summary_id(["a", "b"]) != summary_id(["ab"])
