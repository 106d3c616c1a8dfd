"""Names of places tell collections, generations and lengths apart, and can be read again."""

import re

from hypothesis import given
from hypothesis import strategies as st

from penstock.core.knowledge.places import key_of, place, places_of

names = st.text(max_size=80) | st.sampled_from(["a", "a__g1", "a_", "_", "a__g1__d2", "a-b", "A", "ä", "x" * 5_000])


@given(names, names, st.integers(1, 99), st.integers(0, 4096))
def test_a_collection_finds_its_own_places_and_no_other(mine, other, generation, dims):
    known = [place("penstock", mine, generation, dims), place("penstock", other, generation + 1, dims)]
    found = places_of("penstock", mine, [each.name for each in known] + ["penstock", "else__g1__d1"])
    assert found == (known[:1] if mine != other else known)
    assert places_of("other", mine, [each.name for each in known]) == []
    assert all(re.fullmatch(r"[A-Za-z]\w{0,254}", each.name, re.ASCII) for each in known)


@given(names, names, names, names)
def test_keys_of_different_passages_differ(tenant, id, other_tenant, other_id):
    assert (key_of(tenant, id) == key_of(other_tenant, other_id)) == ((tenant, id) == (other_tenant, other_id))
