import json

import pytest

from penstock.adapters.documents.judged import FINDINGS_MAX, read_judged
from penstock.core.knowledge.judging import JudgedDocument
from penstock.errors import Invalid, Missing

DOCUMENTS = [{"_id": "1", "title": "Cats", "text": "They purr."}, {"_id": 2, "text": "Dogs bark.", "metadata": {}}]
QUERIES = [{"_id": "q", "text": "who purrs"}]
QRELS = "query-id\tcorpus-id\tscore\nq\t1\t2\nq\tgone\t1\nother\t1\t1\n"


def made(folder, documents=DOCUMENTS, queries=QUERIES, qrels=QRELS, at="qrels.tsv"):
    (folder / "corpus.jsonl").write_text("".join(json.dumps(each) + "\n" for each in documents))
    (folder / "queries.jsonl").write_text("".join(json.dumps(each) + "\n" for each in queries))
    (folder / at).parent.mkdir(exist_ok=True)
    (folder / at).write_text(qrels)
    return folder


def findings(folder, **options):
    with pytest.raises(Invalid) as caught:
        read_judged(folder, **options)
    return [(each.path, each.problem) for each in caught.value.findings]


def test_a_folder_is_read_with_its_judgements(tmp_path):
    judged = read_judged(made(tmp_path))
    assert list(judged.documents) == [JudgedDocument("1", "They purr.", "Cats"), JudgedDocument("2", "Dogs bark.")]
    assert judged.queries == {"q": "who purrs"}
    assert judged.relevant == {"q": {"1": 2.0, "gone": 1.0}}


@pytest.mark.parametrize("qrels", ["q\t1\t1\n", "q 0 1 1\n", "query-id\tcorpus-id\tscore\r\nq\t1\t1\r\n"])
def test_judgements_come_with_and_without_names_of_columns_and_in_the_form_of_trec(tmp_path, qrels):
    assert read_judged(made(tmp_path, qrels=qrels)).relevant == {"q": {"1": 1.0}}


def test_judgements_of_a_split_lie_in_a_folder(tmp_path):
    made(tmp_path, at="qrels/test.tsv")
    assert read_judged(tmp_path).relevant == read_judged(tmp_path, split="test").relevant
    assert findings(tmp_path, split="dev") == [("qrels/dev.tsv", "is missing")]


def test_all_that_is_wrong_is_said_at_once(tmp_path):
    made(
        tmp_path,
        documents=[{"text": "x"}, {"_id": "1"}, {"_id": "1", "text": "y"}, 7],
        qrels="a\tb\tc\nq\t1\nq\t1\tx\n",
    )
    (tmp_path / "queries.jsonl").write_text("{\n")
    assert [path for path, _ in findings(tmp_path)] == [
        "corpus.jsonl:1",
        "corpus.jsonl:2",
        "corpus.jsonl:3",
        "corpus.jsonl:4",
        "queries.jsonl:1",
        "qrels.tsv:2",
        "qrels.tsv:3",
    ]


def test_a_folder_without_its_files_or_that_is_none_says_what_belongs_there(tmp_path):
    assert findings(tmp_path) == [(name, "is missing") for name in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv")]
    with pytest.raises(Missing, match=r"corpus\.jsonl"):
        read_judged(tmp_path / "nowhere")


def test_nothing_relevant_is_a_finding_and_so_is_what_is_no_utf_8(tmp_path):
    made(tmp_path, qrels="q\t1\t0\n")
    assert findings(tmp_path) == [("qrels.tsv", "judges no document as relevant")]
    (tmp_path / "corpus.jsonl").write_bytes(b"\xff\xfe")
    assert findings(tmp_path)[0][0] == "corpus.jsonl"


def test_findings_are_bounded_and_the_rest_is_counted(tmp_path):
    made(tmp_path, documents=[{"text": "x"}] * (FINDINGS_MAX + 7))
    found = findings(tmp_path)
    assert len(found) == FINDINGS_MAX + 1
    assert found[-1] == ("(more)", "7 more findings")
