"""Texts as tokens of BERT's vocabulary, by looking up words that were cut before.

Cutting is what costs time in a static embedder, and most words come again. BERT's pre-tokenizer splits at whitespace and
around punctuation, so a run without ASCII whitespace and punctuation is cut by itself, whatever stands around it; the one
exception are the model's marks, such as [CLS], and a text with those goes to the tokenizer whole. So the tokens are exactly
the tokenizer's: tests/adapters/embedders/test_word_pieces.py compares them.
"""

import re
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import chain
from typing import Any

from penstock.adapters.embedders.any_text import encodable

# One character of ASCII punctuation, or all up to the next one or the next ASCII whitespace. Other whitespace and control
# characters stay inside a run, because the tokenizer has its own view of them.
_RUN = re.compile(r"[!-/:-@\[-`{-~]|[^ \t\n\r!-/:-@\[-`{-~]+")
_MARK = re.compile(r"\[(?:PAD|UNK|CLS|SEP|MASK)\]")
# About 12 MB when full. Longer runs are numbers, hashes or languages without spaces: they do not come again.
_RUNS_MAX = 50_000
_RUN_CHARS_MAX = 40
_FEW = 32


class WordPieces:
    """Keeps the tokens of the runs it has seen, up to a bound. Not for use by several threads at once."""

    def __init__(self, make_tokenizer: Callable[[], Any]) -> None:
        """`make_tokenizer` returns a `tokenizers.Tokenizer` with BERT's normalizer and pre-tokenizer that neither cuts nor pads.

        It is called when the first text comes: a tokenizer takes 10 MB, which an app that waits need not hold.
        """
        self._make_tokenizer = make_tokenizer
        self._known: dict[str, Sequence[int]] = {}

    @cached_property
    def _tokenizer(self) -> Any:
        return self._make_tokenizer()

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text's tokens, without [CLS] and [SEP]."""
        runs = [[text] if "[" in text and _MARK.search(text) else _RUN.findall(text) for text in texts]
        found = self._lookup(set(chain.from_iterable(runs)))
        return [list(chain.from_iterable(map(found, own))) for own in runs]

    def _lookup(self, wanted: set[str]) -> Callable[[str], Sequence[int]]:
        missing = [*wanted.difference(self._known)]  # not `-`, which would walk all that is known
        if not missing:
            return self._known.__getitem__
        fresh = dict(zip(missing, self._cut(missing), strict=True))
        found = {run: self._known[run] for run in wanted.difference(missing)} | fresh
        if len(self._known) + len(fresh) > _RUNS_MAX:
            self._known.clear()
        self._known.update((run, ids) for run, ids in fresh.items() if len(run) <= _RUN_CHARS_MAX)
        return found.__getitem__

    def _cut(self, runs: list[str]) -> list[Sequence[int]]:
        # A batch is spread over threads, which costs more than cutting a few words here.
        cut = self._one_by_one if len(runs) <= _FEW else self._at_once
        try:
            return cut(runs)
        except (UnicodeEncodeError, TypeError):
            return cut(encodable(runs, chars_max=max(map(len, runs))))

    def _one_by_one(self, runs: list[str]) -> list[Sequence[int]]:
        return [tuple(self._tokenizer.encode(run, add_special_tokens=False).ids) for run in runs]

    def _at_once(self, runs: list[str]) -> list[Sequence[int]]:
        return [tuple(found.ids) for found in self._tokenizer.encode_batch_fast(runs, add_special_tokens=False)]
