from penstock.core.knowledge.use_judgements import judged_by_use
from penstock.core.knowledge.uses import KnowledgeUsed


def said(query, *used, verdict="used", at=0):
    return KnowledgeUsed(collection="books", query=query, used=list(used), verdict=verdict), at


def test_the_last_word_on_a_passage_is_its_grade():
    judged = judged_by_use(
        [
            said("how  to stop", "a", "b", at=1),
            said("how to stop", "b", verdict="unhelpful", at=3),
            said(" how to stop ", "b", "c", verdict="helpful", at=2),
        ]
    )
    assert judged.queries == {"how to stop": "how to stop"}
    assert judged.relevant["how to stop"] == {"a": 1.0, "b": 0.0, "c": 2.0}


def test_queries_of_which_nothing_was_of_use_say_nothing_and_only_the_last_ones_count():
    events = [said(f"q{number}", "a", at=number) for number in range(5)]
    events += [said("bad", "a", verdict="unhelpful", at=9), said(" ", "a", at=9), said("q0", "b", at=8)]
    assert list(judged_by_use(events).asked) == ["q1", "q2", "q3", "q4", "q0"]
    assert list(judged_by_use(events, queries_max=2).asked) == ["q4", "q0"]
    assert judged_by_use([]).asked == {}
