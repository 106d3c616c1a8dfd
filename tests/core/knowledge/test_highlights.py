import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.knowledge.diversity import diverse
from penstock.core.knowledge.highlights import SNIPPET_CHARS, highlights
from penstock.core.knowledge.passages import Hit


def marked(text, query):
    return [text[start:end] for start, end in highlights(text, query).spans]


@pytest.mark.parametrize(
    ("text", "query", "words"),
    [
        ("The turbine turned. Turbines turn.", "how do turbines turn?", ["turbine", "turned", "Turbines", "turn"]),
        ("Die Katze sitzt auf dem Dach und die Häuser sind klein.", "haus der katzen", ["Katze", "Häuser"]),
        ("nothing of that", "entirely else", []),
        ("un cafe\u0301 noir", "CAFÉ", ["cafe\u0301"[:4]]),
        ("", "x", []),
    ],
)
def test_words_of_the_query_are_marked_in_every_form(text, query, words):
    assert [each.rstrip("\u0301") for each in marked(text, query)] == words


def test_the_snippet_is_where_most_of_the_words_are():
    text = "wind. " + "filler words here. " * 40 + "a wind tunnel is measured. " + "more filler again. " * 40
    found = highlights(text, "measured wind tunnel")
    assert "wind tunnel is measured" in found.snippet
    assert len(found.snippet) <= SNIPPET_CHARS
    assert text[found.start : found.end].strip() == found.snippet


@given(st.text(max_size=400), st.text(max_size=20))
def test_any_text_can_be_marked(text, query):
    found = highlights(text, query)
    assert all(0 <= start < end <= len(text) for start, end in found.spans)
    assert text[found.start : found.end].strip() == found.snippet


HITS = [Hit("a", 1.0), Hit("a2", 0.99), Hit("b", 0.5), Hit("c", 0.1)]
VECTORS = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)


def chosen(diversity, limit=2):
    return [hit.id for hit in diverse(HITS, VECTORS, diversity=diversity, limit=limit)]


def test_without_diversity_the_order_stays():
    assert chosen(0.0, 4) == ["a", "a2", "b", "c"]


def test_with_diversity_what_is_alike_comes_last():
    assert chosen(0.5) == ["a", "b"]
    assert chosen(0.5, 4) == ["a", "b", "c", "a2"]
    assert diverse([], np.zeros((0, 3), np.float32), diversity=0.5, limit=3) == []
