from penstock.demo.team import spread
from penstock.runtime.collection import Found


def found(*sources):
    return [Found(f"{source}#{number}", 0.0, "", {"source": source}) for number, source in enumerate(sources)]


def sources(hits):
    return [hit.source for hit in hits]


def test_at_most_two_passages_of_one_source_keep_others_out():
    assert sources(spread(found(*"aaaabcd"), 5)) == ["a", "a", "b", "c", "d"]


def test_places_that_no_other_source_wants_are_filled_with_the_same():
    assert sources(spread(found(*"aaaab"), 4)) == ["a", "a", "b", "a"]
    assert sources(spread(found(*"aaa"), 5)) == ["a", "a", "a"]
