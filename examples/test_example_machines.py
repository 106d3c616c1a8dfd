"""The state machines of the examples are what their READMEs show, and have nothing to find fault with."""

from pathlib import Path

import pytest

from penstock.core.asl.documents import read_document
from penstock.core.asl.drawing.graph import graph_of
from penstock.core.asl.drawing.mermaid import mermaid_text
from penstock.core.asl.validation import parse, validate

MACHINES = [*Path(__file__).parent.glob("*/*.asl.json"), *Path(__file__).parent.glob("*/*.asl.yaml")]


@pytest.mark.parametrize("path", MACHINES, ids=lambda path: path.name)
def test_a_machine_has_no_findings_and_is_drawn_in_its_readme(path):
    document, findings = read_document(path.read_bytes())
    assert [*findings, *validate(document)] == []
    assert mermaid_text(graph_of(parse(document))).rstrip() in path.with_name("README.md").read_text(encoding="utf-8")
