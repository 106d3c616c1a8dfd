"""Adapting the static table to a corpus, and finding out whether it helps: on questions that were kept from learning.

- Questions are the titles of passages, or sentences cut out of them; learning and the index see the passages without them. Where
  people judged queries, theirs are asked instead.
- Half of the questions choose how much of the corpus goes in, the other half say whether that helps: by the mean difference in
  nDCG@10 of a hybrid search, with its interval of 95 % (bootstrap over questions). It helped when all of it is above 0.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct, structs

from penstock.core.knowledge.adapting import ROUNDS, Tokens, Vectors, latent, mixed, sums, unit
from penstock.core.knowledge.fusion import fused
from penstock.core.knowledge.judging import Judged, JudgedDocument, judged_ranking
from penstock.core.knowledge.layers import Layers
from penstock.core.knowledge.passages import Passage
from penstock.core.knowledge.rows import analysed
from penstock.errors import Refused

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHARES = (0.15, 0.3, 0.5)  # of what the corpus says
PASSAGES_MAX = 100_000  # of a larger corpus they are taken evenly
PASSAGES_MIN = 50
QUESTIONS_MAX = 600
QUESTIONS_MIN = 20
INDEXED_MAX = 10_000  # passages among which the questions are asked
CANDIDATES = 200
DRAWS = 2_000
TITLE_WORDS_MIN = 2
SENTENCE_WORDS_MIN = 5
_SENTENCE = re.compile(r"(?<=[.!?;])\s+|\n{2,}")
Cut = Callable[[Sequence[str]], list[Tokens]]


class Asked(Struct, frozen=True):
    """A question, and how relevant passages are to it."""

    text: str
    grades: Mapping[str, float]


class Adapted(Struct, frozen=True):
    """What adapting came to. `interval` is that of the difference; figures are nDCG@10 of the half that was not chosen by."""

    passages: int
    questions: int
    share: float
    before: float
    after: float
    difference: float
    interval: tuple[float, float]
    vectors_before: float
    vectors_after: float

    @property
    def helped(self) -> bool:
        return self.share > 0 and self.interval[0] > 0


def adapted(corpus: Judged, table: Vectors, cut: Cut, advance: Callable[[int], None]) -> tuple[Vectors, Adapted]:
    """Return a table adapted to the documents of a corpus, and whether it helps. `cut` returns the rows of texts' tokens.

    Queries of the corpus are asked where it has some. `advance` hears of `steps_of(corpus)` steps.
    """
    documents, asked = _held_out(corpus)
    if len(documents) < PASSAGES_MIN or len(asked) < QUESTIONS_MIN:
        problem = f"there are {len(documents):,} passages and {len(asked):,} questions to be made of them"
        raise Refused(problem, f"adapt to {PASSAGES_MIN} passages or more, of some sentences each")
    tokens = cut([each.body for each in documents])
    learned = latent(tokens, len(table), advance)
    trial = _Trial(documents, asked, tokens, cut)
    found = {share: trial.ask(mixed(table, learned, tokens, share)) for share in (0.0, *SHARES)}
    share = max(found, key=lambda each: (found[each].hybrid[::2].mean(), -each))
    before, after = found[0.0], found[share]
    differences = after.hybrid[1::2] - before.hybrid[1::2]
    said = Adapted(
        len(documents),
        len(differences),
        share,
        float(before.hybrid[1::2].mean()),
        float(after.hybrid[1::2].mean()),
        float(differences.mean()),
        _interval(differences),
        float(before.vectors[1::2].mean()),
        float(after.vectors[1::2].mean()),
    )
    # One that was not chosen is still there to be looked at: the least of the corpus.
    return mixed(table, learned, tokens, share or SHARES[0]), said


def steps_of(corpus: Judged) -> int:
    """Return how many steps `adapted` takes."""
    return min(len(corpus.documents), PASSAGES_MAX) * (ROUNDS + 1)


def corpus_of(passages: Sequence[Passage]) -> Judged:
    """Return the passages of a collection as a corpus that nobody judged."""
    documents = [JudgedDocument(each.id, each.text, each.metadata.get("title", "")) for each in passages]
    return Judged(documents, {}, {})


class _Figures(Struct, frozen=True):
    """nDCG@10 of each question."""

    hybrid: NDArray[np.float64]
    vectors: NDArray[np.float64]


class _Trial:
    """The same questions asked with one table after another."""

    def __init__(
        self, documents: Sequence[JudgedDocument], asked: Sequence[Asked], tokens: Sequence[Tokens], cut: Cut
    ) -> None:
        wanted = {each for one in asked for each in one.grades}
        step = max(1, len(documents) // INDEXED_MAX)
        chosen = [at for at, each in enumerate(documents) if each.id in wanted or at % step == 0]
        self._ids = [documents[at].id for at in chosen]
        self._tokens = [tokens[at] for at in chosen]
        self._asked = asked
        self._questions = cut([each.text for each in asked])
        layers = Layers()
        layers.put([analysed(Passage(documents[at].id, documents[at].body), None) for at in chosen])
        texts = [each.text for each in asked]
        self._matching = [{hit.id: hit.score for hit in hits} for hits in layers.matching(texts, limit=CANDIDATES)]
        self._layers = layers
        self._place = {each: at for at, each in enumerate(self._ids)}

    def ask(self, table: Vectors) -> _Figures:
        """Return how well the questions are answered."""
        passages, questions = unit(sums(table, self._tokens)), unit(sums(table, self._questions))
        depth = min(CANDIDATES, len(self._ids))
        near: list[dict[str, float]] = []
        for question in questions:
            cosines = passages @ question
            best = np.argsort(-cosines, kind="stable")[:depth]
            own = set(best.tolist()) | {self._place[each] for each in self._matching[len(near)]}
            near.append({self._ids[at]: float(cosines[at]) for at in own})
        only_near = [list(close.keys() - words.keys()) for close, words in zip(near, self._matching, strict=True)]
        more = self._layers.relevances([each.text for each in self._asked], only_near)
        hybrid: list[float] = []
        vectors: list[float] = []
        for one, words, others, close in zip(self._asked, self._matching, more, near, strict=True):
            hits = fused(words | others, close, limit=10)
            hybrid.append(judged_ranking([each.id for each in hits], one.grades).ndcg)
            ranked = sorted(close, key=lambda each, close=close: (-close[each], each))
            vectors.append(judged_ranking(ranked[:10], one.grades).ndcg)
        return _Figures(np.array(hybrid), np.array(vectors))


def _held_out(corpus: Judged) -> tuple[list[JudgedDocument], list[Asked]]:
    """Return the documents without the questions, and the questions."""
    step = max(1, -(-len(corpus.documents) // PASSAGES_MAX))
    documents = list(corpus.documents[::step])
    if corpus.asked:
        known = {each.id for each in documents}
        mine = [Asked(text, corpus.relevant[query]) for query, text in sorted(corpus.asked.items(), key=_chance)]
        return documents, [each for each in mine if known & each.grades.keys()][:QUESTIONS_MAX]
    asked: list[Asked] = []
    for at in sorted(range(len(documents)), key=lambda at: _chance((documents[at].id, ""))):
        if len(asked) == QUESTIONS_MAX:
            break
        found = _question_of(documents[at])
        if found is not None:
            question, documents[at] = found
            asked.append(Asked(question, {documents[at].id: 1.0}))
    return documents, asked


def _question_of(document: JudgedDocument) -> tuple[str, JudgedDocument] | None:
    """Return a document's title, or one of its sentences, and the document without it; None where too little is left."""
    title, text = document.title.strip(), document.text.strip()
    rest = text[len(title) :] if text.casefold().startswith(title.casefold()) else text
    if len(title.split()) >= TITLE_WORDS_MIN and len(rest.split()) >= SENTENCE_WORDS_MIN:
        return title, structs.replace(document, title="", text=rest.strip())
    sentences = [each for each in _SENTENCE.split(text) if each]
    long = [at for at, each in enumerate(sentences) if len(each.split()) >= SENTENCE_WORDS_MIN]
    if len(sentences) == 1 or not long:
        return None
    at = long[int(_chance((document.id, "")), 16) % len(long)]
    left = " ".join(sentences[:at] + sentences[at + 1 :])
    return sentences[at], structs.replace(document, title="", text=left)


def _chance(of: tuple[str, str]) -> str:
    """Return a number that is always the same, to draw by."""
    return blake2b(of[0].encode(errors="replace"), digest_size=8).hexdigest()


def _interval(differences: NDArray[np.float64]) -> tuple[float, float]:
    """Return the interval of 95 % of a mean."""
    drawn = np.random.default_rng(20_261_126).integers(0, len(differences), (DRAWS, len(differences)))
    low, high = np.percentile(differences[drawn].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)
