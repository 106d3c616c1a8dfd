"""Learning routes from examples, by the pure core alone: meanings are those of a few words."""

import numpy as np
import pytest

from penstock.core.routing.judging import judged
from penstock.core.routing.router import EXAMPLES_MAX, Examples, Routed, checked, learned, work_of
from penstock.core.routing.stored import StoredModel, decode_model, encode_model
from penstock.errors import Invalid, LimitReached

ROUTES = {
    "orders": ["where is my order", "my parcel has not come", "track my order", "when is my order here", "order late"],
    "refunds": ["i want my money back", "refund please", "give me a refund", "how do i get a refund", "money back now"],
    "hours": ["when do you open", "are you open on sunday", "opening hours", "until when are you open", "open today"],
}
OUTSIDE = ["what is the capital of france", "tell me a joke", "who won the match", "sing a song", "is it raining"]
WORDS = ("order", "parcel", "refund", "money", "open", "hours")


def meanings(texts):
    rows = np.array([[word in text for word in WORDS] for text in texts], np.float32)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1)


def router(routes=None, outside=OUTSIDE):
    examples = checked(Examples(ROUTES if routes is None else routes, outside))
    return learned(examples, meanings(examples.texts))


def choices(model, *texts, **options):
    return model.choose(texts, meanings(texts), **options)


def test_a_text_comes_to_the_route_whose_examples_it_is_like():
    found = choices(router(), "where is that order of mine", "refund my money", "open on monday")
    assert [each.route for each in found] == ["orders", "refunds", "hours"]
    best = found[0]
    assert not best.out_of_scope
    assert best.score >= 0.5 > best.runner_up_score
    assert [route for route, _ in best.ranked] == ["orders", best.runner_up, best.ranked[2][0]]
    assert [score for _, score in best.ranked] == sorted((score for _, score in best.ranked), reverse=True)


def test_what_is_like_none_of_them_is_out_of_scope_and_says_what_was_nearest():
    (found,) = choices(router(), "why is the sky blue")
    assert (found.route, found.out_of_scope) == ("", True)
    assert found.score < 0.5
    assert found.ranked[0][0] in ROUTES
    assert choices(router(), "why is the sky blue", score_min=0.0)[0].route


def test_the_same_examples_make_the_same_router_whatever_their_order_by_route():
    texts = ["where is my parcel", "joke", "refund"]
    turned = dict(reversed(ROUTES.items()))
    assert choices(router(), *texts) == choices(router(turned), *texts)


def test_the_threshold_is_learned_on_examples_that_were_held_out():
    many = {
        route: [f"{text} {word}" for text in texts for word in ("now", "please")] for route, texts in ROUTES.items()
    }
    held = router(many).held_out
    assert (held.known, held.unknown) == (6, len(OUTSIDE))
    assert held.refused > 0.5
    without = router({**many, "more": ["x y z", "z y x", "y z x", "z x y"]}, ()).held_out
    assert without.unknown == 10  # of every fourth route, which is left out: refunds
    assert without.kept >= 0.85


def test_learning_tells_how_far_it_is():
    seen = []
    examples = checked(Examples(ROUTES, OUTSIDE))
    learned(examples, meanings(examples.texts), seen.append)
    assert sum(seen) == work_of(examples)


def test_a_stored_router_decides_as_it_did():
    model = router()
    stored = decode_model(encode_model(StoredModel(model, "static", "d1")), "x.router")
    assert (stored.embedder, stored.digest) == ("static", "d1")
    texts = ["where is my parcel", "joke", "refund"]
    for was, now in zip(choices(model, *texts), choices(stored.model, *texts), strict=True):
        assert (was.route, was.runner_up) == (now.route, now.runner_up)
        assert now.score == pytest.approx(was.score, abs=5e-3)


@pytest.mark.parametrize("body", [b"", b"\x80", b"not a router", encode_model(StoredModel(router(), "e", "d"))[:-9]])
def test_what_is_no_router_is_refused(body):
    with pytest.raises(Invalid, match="penstock route fit"):
        decode_model(body, "x.router")


def test_all_that_is_wrong_with_examples_is_said_at_once():
    with pytest.raises(Invalid) as caught:
        checked(Examples({"": [" "]}))
    assert [each.path for each in caught.value.findings] == ["(whole)", "(whole)", '""']
    with pytest.raises(LimitReached):
        checked(Examples({"a": [f"text {number}" for number in range(EXAMPLES_MAX)], "b": ["x"]}))
    assert checked(Examples({"a": ["x", " ", "x"], "b": ["y"]}, ["", "z"])) == Examples({"a": ["x"], "b": ["y"]}, ["z"])


@pytest.mark.parametrize("text", ["", " ", "\ud800", "日本語", "x" * 50_000, "\0"])
def test_no_text_is_refused(text):
    (found,) = choices(router(), text)
    assert 0 <= found.score <= 1


def test_a_single_example_each_is_enough_to_begin():
    model = router({"a": ["where is my order"], "b": ["refund please"]}, ())
    assert choices(model, "my order")[0].ranked[0][0] == "a"


def test_decisions_are_judged_in_scope_and_out_of_it():
    def decision(route, best):
        return Routed(route, 0.9, "z", 0.1, not route, ((best, 0.9), ("z", 0.1)))

    decided = [decision("a", "a"), decision("b", "b"), decision("", "a"), decision("", "b"), decision("b", "b")]
    told = judged(["a", "a", "a", "", ""], decided)
    assert (told.in_scope, told.out_of_scope) == (3, 2)
    assert told.accuracy == pytest.approx(1 / 3)
    assert told.accuracy_without_refusals == pytest.approx(2 / 3)
    assert (told.refused_in_scope, told.out_of_scope_recall) == (pytest.approx(1 / 3), 0.5)
    assert told.out_of_scope_precision == 0.5
    assert told.confused == (("", "b", 1), ("a", "", 1), ("a", "b", 1))
