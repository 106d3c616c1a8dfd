"""What EventBridge answered, and what its matcher event-ruler did: every case, alone and among all others."""

import json
import os
from pathlib import Path

import pytest

from penstock.cli.pattern_cases import cases_in, graded
from penstock.core.patterns.documents import read_event
from penstock.core.patterns.reading import parse_pattern
from penstock.core.patterns.rules import RuleSet

ROOT = Path(__file__).parents[3]
CORPUS = ROOT / os.environ.get("PENSTOCK_CORPUS", "../shared/corpus") / "events"
AWS, RULER = CORPUS / "event_patterns_aws_given.jsonl", CORPUS / "event_patterns_ruler_given.jsonl"
needs_corpus = pytest.mark.skipif(
    not AWS.is_file(), reason="NO CORPUS: set PENSTOCK_CORPUS to the folder of the corpora"
)


@needs_corpus
@pytest.mark.parametrize(("file", "count"), [(AWS, 83), (RULER, 1144)], ids=["aws", "ruler"])
def test_every_case_is_answered_as_it_was_recorded(file, count):
    results = [graded(case) for case in cases_in(file)]
    assert len(results) >= count
    assert not [each for each in results if not each.passed]


@needs_corpus
def test_aws_refuses_in_the_same_words():
    told = [each for each in map(graded, cases_in(AWS)) if each.same_words is not None]
    assert len(told) >= 20
    assert not [each for each in told if not each.same_words]


@needs_corpus
def test_all_patterns_together_answer_as_each_alone():
    rules, wanted = RuleSet(), []
    for case in [*cases_in(AWS), *cases_in(RULER)]:
        if "matches" in case:
            text = case.get("pattern_text", case.get("pattern"))
            rules.add(str(text), parse_pattern(text, complexity_max=None))
            event = case["event"] if "event" in case else read_event(case["event_text"])
            wanted.append((event, str(text), case["matches"]))
    assert len(rules) > 250
    assert [case for case in wanted if (case[1] in rules.matching(case[0])) != case[2]] == []


@needs_corpus
def test_a_big_event_matches_its_rule():
    rule, event = (json.loads((CORPUS / name).read_text("utf-8")) for name in ("bigEventRule.json", "bigEvent.json"))
    assert RuleSet({"big": parse_pattern(rule)}).matching(event) == ["big"]
