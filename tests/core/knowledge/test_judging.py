import math

import pytest

from penstock.core.knowledge.judging import Figures, Judged, JudgedDocument, judged_ranking, mean

GRADES = {"a": 3.0, "b": 1.0, "c": 0.0, "d": -1.0}


def test_a_ranking_is_judged_as_trec_eval_judges_it():
    # By hand: gains 0, 1, 3 at ranks 1 to 3 against 3, 1.
    found = judged_ranking(["c", "b", "a", "x"], GRADES)
    assert found.ndcg == pytest.approx((1 / math.log2(3) + 3 / 2) / (3 + 1 / math.log2(3)))
    assert (found.recall, found.mrr) == (1.0, 0.5)


def test_ten_count_for_ndcg_and_a_hundred_for_recall_and_the_first_relevant_one():
    others = [f"x{number}" for number in range(99)]
    late = judged_ranking([*others[:10], "a", *others[10:]], {"a": 1.0})
    assert (late.ndcg, late.recall, late.mrr) == (0.0, 1.0, pytest.approx(1 / 11))
    assert judged_ranking([*others, "y", "a"], {"a": 1.0}) == Figures(0.0, 0.0, 0.0)


def test_a_document_that_comes_twice_counts_once():
    assert judged_ranking(["a", "a"], {"a": 1.0}).ndcg == 1.0


def test_queries_without_a_relevant_document_are_not_asked():
    judged = Judged((), {"q": "cats", "r": "dogs"}, {"q": {"a": 1.0}, "r": {"a": 0.0}})
    assert judged.asked == {"q": "cats"}
    assert mean([]) == Figures(0.0, 0.0, 0.0)


def test_a_title_stands_above_its_text_once():
    assert JudgedDocument("1", "It purrs.", "Cats").body == "Cats\n\nIt purrs."
    assert JudgedDocument("1", "cats purr.", "Cats").body == "cats purr."
    assert JudgedDocument("1", "It purrs.").body == "It purrs."
