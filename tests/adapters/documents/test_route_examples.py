"""Examples of routes are read as people have them: lines of JSON or CSV, whatever their texts hold."""

import json

import pytest

from penstock.adapters.documents.examples import examples_of, read_pairs
from penstock.errors import Invalid, Missing

ODD = "one\u2028two\x85three\x0bfour\u2029five \u00a0 \U0001f600"


@pytest.mark.parametrize("text", ["text", "sentence", "utterance", "query"])
@pytest.mark.parametrize("route", ["route", "intent", "label", "category"])
def test_a_text_may_hold_any_character_in_both_forms(tmp_path, text, route):
    lines = tmp_path / "a.jsonl"
    lines.write_text(f"\ufeff{json.dumps({text: ODD, route: 'odd'}, ensure_ascii=False)}\r\n\n", encoding="utf-8")
    assert read_pairs(lines) == [(ODD, "odd")]
    table = tmp_path / "a.csv"
    table.write_text(
        f'{text},{route}\r\n"{ODD}, and ""more""\nof it",odd\r\n{ODD},oos\r\n', encoding="utf-8", newline=""
    )
    assert read_pairs(table) == [(f'{ODD}, and "more"\nof it', "odd"), (ODD, "")]


def test_those_of_no_route_are_outside():
    assert examples_of([("a", "x"), ("b", ""), ("c", "x")]).routes == {"x": ["a", "c"]}
    assert list(examples_of([("a", "x"), ("b", "")]).outside) == ["b"]


def test_all_lines_that_are_none_are_said(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"text": "a", "route": "x"}\n{"text": "", "route": "x"}\n[1]\nodd\n{"text": "a"}\n{"text": "a", "route": 3}\n'
    )
    with pytest.raises(Invalid) as raised:
        read_pairs(path)
    assert [each.path for each in raised.value.findings] == [f"line {number}" for number in range(2, 7)]
    path.write_text("\n")
    with pytest.raises(Invalid, match="has no examples"):
        read_pairs(path)
    table = tmp_path / "a.csv"
    table.write_text(f"text,route\n{'x' * 200_000},y\n")
    with pytest.raises(Invalid, match="no CSV"):
        read_pairs(table)
    with pytest.raises(Missing):
        read_pairs(tmp_path / "none.csv")
