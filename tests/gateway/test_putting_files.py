"""Files are put over HTTP, as bodies and by reference: their text is taken out at once; and what is indexed can be read again."""

import json
from io import BytesIO

import docx
import pytest
from desk import client_of, problem

from penstock import App

BASE = "/v1/knowledge/books"


@pytest.fixture
async def library(tmp_path):
    (tmp_path / "files" / "bucket" / "sub").mkdir(parents=True)
    (tmp_path / "files" / "bucket" / "sub" / "mill.html").write_text("<h1>Mill</h1><p>Water drives the wheel.</p>")
    (tmp_path / "files" / "bucket" / "odd.bin").write_bytes(b"odd")
    (tmp_path / "files" / "bucket" / "large.txt").write_bytes(b"large " * 2_000_000)
    app = App("library")
    app.knowledge("books")
    async with (
        app.running(store="memory:", objects=f"file:{tmp_path}/files") as running,
        client_of(running) as client,
    ):
        yield client


async def found(library, query):
    return (await library.post("/search", json={"query": query, "top_k": 1})).json()["results"]


def word_file(text):
    document, body = docx.Document(), BytesIO()
    document.add_paragraph(text)
    document.save(body)
    return body.getvalue()


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("a/mill.md", b"# Mill\n\nWater drives the wheel."),
        ("mill.txt", "Wasser, water; es fließt.".encode()),
        ("mill.html", b"<h1>Mill</h1><p>Water drives the wheel.<script>no</script>"),
        ("mill.docx", word_file("Water drives the wheel.")),
    ],
)
async def test_a_file_is_a_document_under_its_name(library, name, body):
    put = await library.put(f"{BASE}/files/{name}?consistency=strong", content=body)
    assert put.status_code == 202, put.text
    (best,) = await found(library, "water")
    assert (best["id"], best["metadata"]["kind"]) == (name, name.rpartition(".")[2])
    shown = (await library.get(f"{BASE}/documents/{name}")).json()
    assert [each["id"] for each in shown["passages"]] == [name]
    assert (await library.delete(f"{BASE}/documents/{name}?consistency=strong")).status_code == 202
    problem(await library.get(f"{BASE}/documents/{name}"), 404, "missing")


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("mill.exe", b"MZ", ".docx"),
        ("mill", b"no suffix", ".docx"),
        ("mill.txt", bytes(range(256)), "binary"),
        ("mill.pdf", b"%PDF-1.7 no more", "PDF"),
        ("mill.docx", b"PK no more", "docx"),
    ],
)
async def test_what_cannot_be_read_is_refused_at_once(library, name, body, said):
    answer = await library.put(f"{BASE}/files/{name}", content=body)
    assert said in problem(answer, 409, "refused")["detail"]
    assert (await library.get(f"{BASE}/export")).text == ""


async def test_a_file_that_is_too_large_is_refused(library):
    assert (await library.put(f"{BASE}/files/mill.txt", content=b"x" * (10 * 1024 * 1024 + 1))).status_code == 413


async def test_files_are_named_by_reference_and_stay_as_they_were_when_they_were_put(library, tmp_path):
    reference = "s3://bucket/sub/mill.html"
    put = await library.post(f"{BASE}/files?consistency=strong", json={"files": [reference]})
    assert put.status_code == 202, put.text
    (tmp_path / "files" / "bucket" / "sub" / "mill.html").unlink()
    (best,) = await found(library, "wheel")
    assert (best["id"], best["metadata"]["source"]) == (reference, reference)
    built = await library.post(f"{BASE}/generations", json={"switch": True})
    assert built.status_code == 202
    lines = (await library.get(f"{BASE}/export")).text.splitlines()
    assert [json.loads(each)["id"] for each in lines] == [reference]


async def test_all_references_that_cannot_be_read_are_said_and_none_is_put(library):
    given = ["s3://bucket/sub/mill.html", "bucket/x", "s3://bucket/none.md", "s3://bucket/odd.bin", "s3://no/a.md"]
    answer = await library.post(
        f"{BASE}/files", json={"files": [*given, "s3://bucket/large.txt", "s3://bucket/../a.md"]}
    )
    assert len(problem(answer, 422, "invalid")["findings"]) == 6
    assert (await library.get(f"{BASE}/export")).text == ""


async def test_without_a_place_for_files_the_setting_is_named():
    app = App("library")
    app.knowledge("books")
    async with app.running(store="memory:") as running, client_of(running) as client:
        answer = await client.post(f"{BASE}/files", json={"files": ["s3://bucket/a.md"]})
        assert "objects" in problem(answer, 422, "invalid")["detail"]


async def test_an_export_has_all_passages_of_its_tenant_in_the_order_of_their_ids(library):
    many = [{"id": f"d{number:03}", "text": f"Number {number}. \u2028 It is."} for number in range(700)]
    mine, others = {"X-Tenant": "mine"}, {"X-Tenant": "others"}
    for headers, documents in ((mine, many), (others, many[:3])):
        given = {"documents": documents}
        put = await library.post(f"{BASE}/documents?consistency=strong", json=given, headers=headers)
        assert put.status_code == 202
    answer = await library.get(f"{BASE}/export", headers=mine)
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(each)["id"] for each in answer.content.split(b"\n")[:-1]] == [each["id"] for each in many]
    assert (await library.get("/v1/knowledge/none/export")).status_code == 404


async def test_an_answer_says_which_model_made_the_vectors(library):
    await library.put(f"{BASE}/files/mill.txt?consistency=strong", content=b"Water drives the wheel.")
    answer = (await library.post("/search", json={"query": "water"})).json()
    assert answer["generation"] == 1
    assert answer["model"].startswith("static-")
