"""The state machines of the corpora: those that AWS took, and those that it or other validators refused. Without them tests are skipped."""

import json
import os
from pathlib import Path

import pytest

CORPUS = Path(__file__).parents[3] / os.environ.get("PENSTOCK_CORPUS", "../shared/corpus")
needs_definitions = pytest.mark.skipif(
    not CORPUS.is_dir(), reason="NO CORPUS: set PENSTOCK_CORPUS to the folder of the corpora"
)


def cases(name):
    path = CORPUS / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


def accepted():
    """Return (name, definition) of every machine that AWS created and ran, and of those that it publishes as examples."""
    recorded = [each for kind in ("core", "lambda", "replay") for each in cases(f"asl/asl_{kind}_given")]
    published = cases("asl_definitions/aws_examples")
    return [(each["name"], each["definition"]) for each in (*recorded, *published)]
