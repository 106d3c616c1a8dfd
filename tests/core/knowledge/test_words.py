import math
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.knowledge.languages import LANGUAGES
from penstock.core.knowledge.words import K1, B, idf, passage_terms, query_weights, saturation, terms, text_language


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The turbines are turning", ["turbin", "turn"]),
        ("asyncio.Queue.put_nowait", ["asyncio.queue.put_nowait", "asyncio", "queue", "put", "nowait"]),
        ("getHTTPResponse", ["gethttpresponse"[:-1], "get", "http", "respons"]),
        ("utf8 x86_64", ["utf8", "utf", "8", "x86_64", "86", "64"]),
        ("std::vector", ["std::vector", "std", "vector"]),
        ("__init__", ["init"]),
        ("version 3.11", ["version", "3.11"]),
        ("the end.", ["end"]),
        ("don't, won't, the dog's", ["don", "won", "dog"]),
        ("東京タワー", ["東京", "京タ", "タワ", "ワー"]),
        ("abc東京 水", ["abc", "東京", "水"]),
        ("東京.大阪", ["東京", "大阪"]),
        ("Straße ﬁle Ⅳ", ["strass", "file", "iv"]),
        ("हिन्दी में", ["हिन्द", "म"]),
        ("niño.grande", ["niño.grande", "nino", "grand"]),
        ("книга книгах", ["книг", "книг"]),
        ("ภาษาไทย", ["ภา", "าษ", "ษา", "าไ", "ไท", "ทย"]),
        ("", []),
        ("… ?! —", []),
        ("a b c", []),
    ],
)
def test_terms_of(text, expected):
    assert terms(text) == expected


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("put_nowait", "call asyncio.Queue.put_nowait()"),
        ("queue", "call asyncio.Queue.put_nowait()"),
        ("iphone", "my iPhone"),
        ("response", "getHTTPResponse"),
        ("CAFÉ", "un cafe\u0301"),
        ("GRÖSSE", "die Größe"),
        ("flows", "it flowed, flowing"),
        ("\uff21\uff22\uff23", "abc"),
    ],
)
def test_a_query_shares_a_term_with(query, text):
    assert set(terms(query)) & set(terms(text))


@given(st.text())
def test_any_text_has_terms_without_spaces_that_are_the_same_each_time(text):
    found = terms(text)
    assert all(term and not any(each.isspace() for each in term) for term in found)
    assert terms(text) == found


@given(st.text(alphabet="abcXYZ019_.: äß東京", max_size=30), st.text(alphabet="abcXYZ019_.: äß東京", max_size=30))
def test_two_texts_apart_have_the_terms_of_both(one, other):
    assert terms(f"{one} {other}") == terms(one) + terms(other)


def test_a_question_looks_for_what_its_empty_words_are_about():
    assert list(query_weights("How do I find what my program imports?")) == terms("find program imports")
    assert terms("how do") != []


def test_a_question_of_empty_words_alone_looks_for_them():
    assert set(query_weights("How would you do?")) == set(terms("How would you do?")) != set()


@given(st.text(), st.sampled_from([*LANGUAGES, ""]))
def test_a_question_looks_for_something_if_it_has_terms(text, other):
    weights = query_weights(text, {other: 0.5} if other not in {"", "english"} else {})
    assert bool(weights) == bool(passage_terms(text, "english")[0])
    assert all(weight > 0 for weight in weights.values())


GERMAN = "Die Krankenversicherungen sind für alle da, und der Beitrag wird nicht höher."
SPANISH = "El niño está en la casa de los gatos y no quiere salir."


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (GERMAN, "german"),
        (SPANISH, "spanish"),
        ("Les éditions sont dans la bibliothèque, et elle est fermée.", "french"),
        ("Se on kirja, joka oli kirjastossa, ja kissat.", "finnish"),
        ("wind tunnel", "english"),
        ("def do(self, a, b): return a if b else self.se", "english"),
        ("The law of de Rham and la la la", "english"),
        ("", "english"),
    ],
)
def test_the_language_of_a_text_is_told_by_its_commonest_words(text, language):
    assert text_language(text) == language


@pytest.mark.parametrize(
    ("query", "text", "others"),
    [
        ("versicherung", GERMAN, {"german": 0.1}),
        ("eine Versicherung für die Kranken", GERMAN, {"german": 0.01}),
        ("gato", SPANISH, {"spanish": 0.1}),
        ("NINO", SPANISH, {"spanish": 0.1}),
        ("email", "my e-mail", {}),
        ("e-mail", "my email", {}),
        ("水", "水道", {}),
        ("c++", "C++ and C#", {}),
        ("1000", "some 1,000 of them", {}),
        ("1,000", "some 1000 of them", {}),
    ],
)
def test_a_query_finds_a_passage_of_its_language(query, text, others):
    wanted = query_weights(query, others)
    assert wanted.keys() & set(passage_terms(text)[0])


def test_a_query_in_plain_english_is_looked_for_in_english_only():
    asked = "what is the insurance for"
    assert query_weights(asked, {"german": 0.5}) == query_weights(asked)


def test_a_language_of_few_passages_takes_no_part_in_queries_that_nothing_tells():
    assert query_weights("wind tunnels", {"german": 0.001}) == query_weights("wind tunnels")
    assert "~wind" in query_weights("wind tunnels", {"german": 0.5})


def test_all_that_a_compound_shares_with_a_word_counts_half_a_word():
    parts = {term: weight for term, weight in query_weights("versicherung", {"german": 1.0}).items() if term[0] == "~"}
    assert sum(parts.values()) == pytest.approx(0.5)


def test_long_texts_cost_no_more_than_their_length_allows():
    assert Counter(terms("x" * 100_000)) == {"x" * 100_000: 1}
    assert len(terms("aB" * 50_000)) <= 100_001
    assert len(terms("a." * 50_000)) <= 100_001


def test_bm25_is_lucenes():
    # ln(1 + (10 - 3 + 0.5) / (3 + 0.5)) and 2 / (2 + 1.2 * (0.25 + 0.75 * 6 / 4)), by hand
    assert idf(10, 3) == pytest.approx(1.1451323043)
    assert saturation(2.0, 6.0, average_length=4.0) == pytest.approx(0.5479452055)
    assert (K1, B) == (1.2, 0.75)


def test_a_term_that_all_passages_have_is_still_worth_something():
    assert 0 < idf(10, 10) < idf(10, 9) < idf(10, 1)
    assert idf(1, 1) == pytest.approx(math.log(4 / 3))


@given(st.integers(1, 100), st.integers(1, 100), st.floats(0.1, 100))
def test_more_occurrences_and_shorter_passages_are_worth_more(occurrences, length, average):
    worth = saturation(float(occurrences), float(length), average_length=average)
    assert 0 < worth < 1
    assert worth < saturation(float(occurrences + 1), float(length), average_length=average)
    assert worth > saturation(float(occurrences), float(length + 1), average_length=average)


def test_only_the_stemmers_of_languages_that_come_are_loaded():
    """All 36 of them take a tenth of a second, and whoever wrote first waited for that."""
    script = (
        "import sys\n"
        "from penstock.core.knowledge.words import terms\n"
        "assert terms('running wheels') == ['run', 'wheel']\n"
        "print(sorted(each.rpartition('.')[2] for each in sys.modules if each.endswith('_stemmer')))\n"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "['english_stemmer']"
