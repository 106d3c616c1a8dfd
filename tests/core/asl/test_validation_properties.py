"""Whatever is given: the validator says something, never raises, changes nothing; and what it takes can be made ready to run."""

import copy
import json
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_validation import BAD

from penstock.core.asl.definition import from_document, to_document
from penstock.core.asl.findings import RULES, diagnostics, problems, refusal
from penstock.core.asl.program import compiled
from penstock.core.asl.validation import parse, validate
from penstock.core.asl.variables import variable_references
from penstock.errors import Invalid

DOCUMENTS = [document for document, _ in BAD.values()]
JUNK = [
    None, True, 0, -1, 1.5, 10**30, "", "x", "$.a", "$v", "$$", "{% 1 %}", "{% $x %}", "States.Format('{}', 1)", [], {}, [1], {"a": 1},
    [None], ["States.ALL"], {"Type": "Pass"}, {"Ref": "F"},
]  # fmt: skip
FIELDS = ["Next", "End", "Label", "Catch", "Retry", "Assign", "ItemReader", "Result", "QueryLanguage", "Resource", "Iterator", "Items", "Foo"]  # fmt: skip


def places(value, path=()):
    yield path
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in members:
        yield from places(each, (*path, key))


def broken(random):
    """A document of the tables, with up to three of its values taken away, replaced or added."""
    document = copy.deepcopy(random.choice(DOCUMENTS))
    for _ in range(random.randint(1, 3)):
        inside = list(places(document))[1:]
        if not inside:
            break
        *above, last = random.choice(inside)
        holder = document
        for key in above:
            holder = holder[key]
        match random.randint(0, 2):
            case 0:
                del holder[last]
            case 1:
                holder[last] = copy.deepcopy(random.choice(JUNK))
            case _ if isinstance(holder, dict):
                holder[random.choice(FIELDS)] = copy.deepcopy(random.choice(JUNK))
    return document


@settings(max_examples=600)
@given(st.integers(0, 2**32))
def test_any_document_is_answered_and_what_is_taken_can_be_run(seed):
    document = broken(Random(seed))
    before = json.dumps(document)
    findings = validate(document)
    assert json.dumps(document) == before
    assert all(each.rule in RULES and each.path.startswith("/") and each.problem for each in findings)
    assert (refusal(findings) is None) == (diagnostics(findings)["result"] == "OK") == (not problems(findings))
    assert all(isinstance(each, list) for each in variable_references(document).values())
    if problems(findings):
        with pytest.raises(Invalid) as refused:
            parse(document)
        assert list(refused.value.findings) == problems(findings)
    else:
        machine = parse(document)
        assert from_document(to_document(machine)) == machine
        assert compiled(machine)


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_any_text_is_answered(text):
    assert validate(text)
