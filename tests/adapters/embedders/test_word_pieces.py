"""The word pieces must be the tokenizer's own, whatever the text."""

import json
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from penstock.adapters.embedders.static import TABLE
from penstock.adapters.embedders.word_pieces import WordPieces
from penstock.testing.embedder_contract import TEXTS, UNUSUAL_TEXTS


def _tokenizer() -> Tokenizer:
    with np.load(TABLE) as stored:
        return Tokenizer.from_str(zlib.decompress(stored["tokenizer"].tobytes()).decode())


TOKENIZER = _tokenizer()
PIECES = WordPieces(lambda: TOKENIZER)

# Characters at which BERT's normalizer and pre-tokenizer take a decision, beside any others.
EDGES = st.sampled_from(
    [
        *" \t\n\r\x00\x0b\x0c\x1c\x85\xa0\u2028\u200d\ufeff\ufffd\u0301\u3000",
        *"aZ9_-#.'$[]~",
        *"éİß水ﬁ\uff01“🙂≠",
        "[CLS]",
        "[MASK]",
        "##",
    ]
)
ANY = st.lists(EDGES | st.characters(exclude_categories=["Cs"]) | st.text("abcdefgh", min_size=1), max_size=40).map(
    "".join
)


def _expected(text: str) -> list[int]:
    return TOKENIZER.encode(text, add_special_tokens=False).ids


@given(st.lists(ANY, max_size=4))
def test_the_tokens_are_those_of_the_tokenizer(texts):
    assert PIECES.tokens(texts) == [_expected(text) for text in texts]


@pytest.mark.parametrize(
    "text", [t for t in (*TEXTS, *UNUSUAL_TEXTS) if "\ud800" not in t], ids=lambda text: repr(text[:12])
)
def test_the_tokens_of_the_contracts_texts_are_those_of_the_tokenizer(text):
    assert PIECES.tokens([text]) == [_expected(text)]


def test_half_a_character_counts_as_a_question_mark():
    assert PIECES.tokens(["a \ud800 b", "c"]) == [_expected("a ? b"), _expected("c")]


def test_words_beyond_the_bound_push_out_older_ones_and_stay_right():
    pieces = WordPieces(lambda: TOKENIZER)
    for start in range(0, 120_000, 20_000):
        pieces.tokens([" ".join(f"w{n}" for n in range(start, start + 20_000))])
    assert len(pieces._known) <= 50_000
    assert pieces.tokens(["w1 w119999 again"]) == [_expected("w1 w119999 again")]


def test_the_tokenizer_of_the_table_neither_cuts_nor_pads():
    settings = json.loads(TOKENIZER.to_str())
    assert (settings["truncation"], settings["padding"]) == (None, None)
