"""Documents become passages with ids that last: an edit changes few of them."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.core.knowledge.chunking import Document, size
from penstock.core.knowledge.documents import Chunking, chunking_of, document_passages, prefix_of, root_of
from penstock.errors import Invalid, LimitReached

WORDS = ["water", "turbine", "penstock", "valve", "dam", "gate", "river", "flow", "head", "power", "pressure", "pipe"]


def paragraphs(count, seed=7):
    chance = Random(seed)
    return [" ".join(chance.choices(WORDS, k=chance.randint(20, 60))) + "." for _ in range(count)]


def cut(texts, **options):
    return {
        each.id: each.text for each in document_passages(Document("d", "", "\n\n".join(texts)), Chunking(**options))
    }


def test_a_short_document_is_one_passage_as_it_came():
    (only,) = document_passages(Document("a#b", "Title", "# One\n\nshort  text", {"lang": "en"}))
    assert (only.id, only.text, only.metadata) == ("a%23b", "# One\n\nshort  text", {"lang": "en"})


@pytest.mark.parametrize("by", ["structure", "sentences"])
def test_an_edit_of_one_paragraph_changes_few_passages(by):
    before = paragraphs(60)
    whole = cut(before, by=by)
    assert len(whole) > 16
    for place in range(0, 60, 7):
        after = [*before]
        after[place] = "A paragraph that is new, and longer than the one that it replaces, by quite some words. " * 3
        changed = cut(after, by=by)
        assert len(whole.items() ^ changed.items()) <= 12, place
        inserted = cut([*before[:place], "Something short.", *before[place:]], by=by)
        assert len(whole.items() ^ inserted.items()) <= 12, place


def test_sections_are_named_by_their_headings_and_keep_their_names():
    long = " ".join(WORDS * 12)
    text = f"# One\n\n{long}\n\n# Two\n\n{long}"
    assert [each.id for each in document_passages(Document("d", "", text))] == ["d#one", "d#two"]
    assert [each.id for each in document_passages(Document("d", "", f"# Zero\n\n{long}\n\n{text}"))][1:] == [
        "d#one",
        "d#two",
    ]


@pytest.mark.parametrize("by", ["structure", "sentences", "tokens"])
@pytest.mark.parametrize("words_max", [20, 180])
@given(text=st.text(max_size=3000))
@settings(max_examples=25, deadline=None)
def test_no_passage_is_too_long_and_no_id_comes_twice(by, words_max, text):
    found = document_passages(Document("d", "", text), Chunking(by, words_max))
    assert found
    assert all(size(each.text) <= words_max for each in found)
    assert len({each.id for each in found}) == len(found)
    assert all(each.id == "d" or each.id.startswith("d#") for each in found)


@given(st.text(max_size=8), st.text(max_size=8))
def test_no_two_documents_share_a_root_or_a_passage(one, other):
    if one != other:
        assert root_of(one) != root_of(other)
        assert not root_of(one).startswith(prefix_of(other))


def test_options_of_a_generation_say_how_documents_are_cut():
    assert chunking_of({}) == Chunking()
    assert chunking_of({"by": "tokens", "words_max": "64", "other": "x"}) == Chunking("tokens", 64)
    with pytest.raises(Invalid) as caught:
        chunking_of({"by": "odd", "words_max": "3"})
    assert {each.path for each in caught.value.findings} == {"by", "words_max"}


def test_a_document_without_end_is_refused():
    with pytest.raises(LimitReached):
        document_passages(Document("d", "", "word " * 250_000), Chunking("tokens", 20))
