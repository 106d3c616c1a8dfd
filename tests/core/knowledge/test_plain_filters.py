"""Filters in plain form let through what the filters do, judged by the simplest store there is."""

import operator
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.knowledge.filters import Equal, Not, Range, matches
from penstock.core.knowledge.plain_filters import (
    TEXT_BYTES,
    Compares,
    Every,
    Facts,
    Says,
    Some,
    facts_of,
    plain_filter,
)
from penstock.testing.filter_table import FIELDS, TABLE, chance_filters

COMPARISONS = {"gte": operator.ge, "gt": operator.gt, "lte": operator.le, "lt": operator.lt}
FACTS = {name: facts_of(fields) for name, fields in FIELDS.items()}
texts = st.text(max_size=12) | st.text("ab", min_size=TEXT_BYTES - 2, max_size=TEXT_BYTES + 3) | st.just("1e999")


def asked_lets_through(asked, facts: Facts) -> bool:
    return not asked.nothing and lets_through(asked.plain, facts)


def lets_through(plain, facts: Facts) -> bool:
    match plain:
        case None:
            return True
        case Says(tokens, yes):
            return bool(set(tokens) & set(facts.tokens)) == yes
        case Compares(name, compares, value):
            return name in facts.numbers and COMPARISONS[compares](facts.numbers[name], value)
        case Every(parts):
            assert len(parts) > 1
            return all(lets_through(each, facts) for each in parts)
        case Some(parts):
            assert len(parts) > 1
            return any(lets_through(each, facts) for each in parts)


@pytest.mark.parametrize("seed", range(8))
def test_lets_through_what_matches_and_no_more_unless_it_says_so(seed):
    for asked in [*(each for each, _ in TABLE), *chance_filters(Random(seed), 200)]:
        plain = plain_filter(asked)
        for name, fields in FIELDS.items():
            through = asked_lets_through(plain, FACTS[name])
            assert through == matches(asked, fields) or (plain.loose and through), (name, asked)


@given(texts, texts, st.sampled_from(["gte", "gt", "lte", "lt"]), st.booleans())
def test_ranges_order_texts_and_numbers_as_the_language_does(value, bound, side, negated):
    asked = Range("f", **{side: bound})
    asked = Not(asked) if negated else asked
    plain = plain_filter(asked)
    through = asked_lets_through(plain, facts_of({"f": value}))
    assert through or not matches(asked, {"f": value})
    if not plain.loose:
        assert through == matches(asked, {"f": value})


def test_only_bounds_longer_than_what_is_compared_are_loose():
    assert not plain_filter(Range("t", gt="2024-03-01T00:00:00.000001+00:00")).loose
    assert plain_filter(Not(Range("t", gt="x" * TEXT_BYTES))).loose
    assert not plain_filter(Equal("t", "x" * 4_000)).loose


def test_numbers_stay_within_what_json_and_doubles_hold():
    facts = facts_of({"a": "1e999", "b": "-1e999", "c": "\U0010ffff" * 100, "d": "-0.0"})
    assert all(abs(value) <= 1.7976931348623157e308 for value in facts.numbers.values())
    assert all(value.is_integer() and value < 2**53 for name, value in facts.numbers.items() if name.startswith("t"))
    assert "-0.0" not in map(str, facts.numbers.values())
