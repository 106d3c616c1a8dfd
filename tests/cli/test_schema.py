"""`penstock schema`: cases, and a registry in a store."""

import json
from contextlib import chdir

import pytest
from typer.testing import CliRunner

from penstock.cli import app

FIRST = {"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}]}
BROKEN = {"type": "record", "name": "R", "fields": [{"name": "b", "type": "int"}]}


@pytest.fixture
def schema(tmp_path):
    def run(*arguments, code=0):
        done = CliRunner().invoke(app, ["schema", *arguments])
        assert done.exit_code == code, done.output
        return done.stdout

    (tmp_path / "first.json").write_text(json.dumps(FIRST))
    (tmp_path / "broken.json").write_text(json.dumps(BROKEN))
    with chdir(tmp_path):
        yield run


def test_a_schema_is_registered_checked_and_listed(schema):
    assert json.loads(schema("register", "a", "first.json", "--json"))["version"] == 1
    assert schema("check", "a", "first.json") == "compatible\n"
    assert "READER_FIELD" in schema("check", "a", "broken.json", code=1)
    schema("register", "a", "broken.json", code=2)
    schema("register", "a", "broken.json", "--mode", "none")
    assert [each["version"] for each in json.loads(schema("list", "a", "--json"))] == [1, 2]
    assert "a" in schema("list")


def test_cases_are_counted_and_a_wrong_one_is_named(schema, tmp_path):
    cases = [
        {"name": "good", "reader": "long", "writer": "int", "compatible": True},
        {"name": "bad", "reader": "int", "writer": "long", "compatible": True},
        {"name": "form", "input": '{"type":"int"}', "canonical": '"int"'},
        {"name": "fits", "schema": {"type": "integer"}, "data": 1, "valid": True},
        {"name": "far", "schema": {"$ref": "http://127.0.0.1:9/x"}, "data": 1, "valid": True, "remote": True},
    ]
    (tmp_path / "cases.jsonl").write_text("\n".join(map(json.dumps, cases)))
    said = schema("test", "cases.jsonl", code=1).splitlines()
    assert said[0] == "bad: expected compatible, got incompatible"
    assert said[-1] == "3 passed, 1 failed"
