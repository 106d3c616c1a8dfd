import os

import pytest

from penstock.adapters.documents.folder import open_folder
from penstock.core.knowledge.chunking import Document
from penstock.errors import Finding, Missing, Refused


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    return folder


def put(root, name, body="text"):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body.encode() if isinstance(body, str) else body)
    return path


def read(root, **options):
    """The documents by id, and the findings by path, in a folder."""
    items = list(open_folder(root, **options))
    documents = {item.id: item for item in items if isinstance(item, Document)}
    return documents, {item.path: item for item in items if isinstance(item, Finding)}


def test_ids_are_paths_below_the_folder_in_a_steady_order(root):
    for name in ("b.md", "a.txt", "sub/deep/c.rst", "sub/d.html"):
        put(root, name)
    assert list(read(root)[0]) == ["a.txt", "b.md", "sub/d.html", "sub/deep/c.rst"]


def test_the_total_is_known_before_anything_is_read(root):
    put(root, "a.md")
    put(root, "b.md")
    folder = open_folder(root)
    (root / "b.md").unlink()
    assert folder.total == 2
    first, second = folder
    assert first == Document("a.md", "a", "text", {"source": "a.md", "document": "a.md", "kind": "md"})
    assert isinstance(second, Finding)


def test_hidden_and_made_folders_and_unknown_kinds_are_left_out(root):
    for name in (".git/a.md", ".hidden.md", "node_modules/a.md", "x/__pycache__/a.py", "a.png", "b.exe", "sub/c.png"):
        put(root, name)
    put(root, "a.md")
    documents, findings = read(root)
    assert list(documents) == ["a.md"]
    assert [str(finding) for finding in findings.values()] == ["3 files of other kinds: left out: .exe, .png"]


def test_a_folder_without_documents_is_refused_and_told_what_is_read(root):
    with pytest.raises(Refused, match=r"no documents found in .* \(\.md, \.markdown, \.txt"):
        open_folder(root)
    put(root, "a.csv")
    with pytest.raises(Refused, match="only 1 file of another kind"):
        open_folder(root)


def test_a_single_file_is_read_and_nothing_beside_it(root):
    put(root, "a.md", "# Title")
    put(root, "b.md")
    documents, findings = read(root / "a.md")
    assert [(each.id, each.title) for each in documents.values()] == [("a.md", "Title")]
    assert findings == {}


def test_a_single_file_of_another_kind_is_refused(root):
    with pytest.raises(Refused, match=r"give a file of these: \.md"):
        open_folder(put(root, "a.csv"))


def test_a_title_is_taken_from_the_file_or_else_its_name(root):
    put(root, "a.md", "Intro.\n\n# The title #\n\ntext")
    put(root, "b.md", '---\ntitle: "From above"\ntags: [x]\n---\n\n# Other\n')
    put(root, "c.html", "<html><head><title>Page &amp; more</title></head><body>x</body></html>")
    put(root, "d.txt", "nothing")
    documents, _ = read(root)
    assert [document.title for document in documents.values()] == ["The title", "From above", "Page & more", "d"]
    assert "tags: [x]" in documents["b.md"].text


def test_html_gives_its_text_with_its_structure(root):
    put(
        root,
        "a.html",
        "<nav>menu</nav><h1>Top\n <em>level</em></h1><script>alert(1)</script><p>One<br>two &lt;3</p>"
        "<ul><li>first<li>second</ul><pre>def f():\n    pass</pre><table><tr><td>a<td>b</table><style>x{}</style>",
    )
    assert read(root)[0]["a.html"].text == (
        "# Top level\n\nOne\ntwo <3\n\n- first\n\n- second\n\n```\ndef f():\n    pass\n```\n\na | b"
    )


def test_python_gives_its_docstrings(root):
    put(
        root,
        "a.py",
        '"""What it is for."""\n\nclass Tank:\n    """Holds water."""\n\n    def __init__(self, size_l: int = 5):\n        ...\n\n'
        '    def drain(self, valve):\n        """Let it out."""\n\nasync def _hidden():\n    """Not said."""\n',
    )
    text = read(root)[0]["a.py"].text
    assert text == (
        "What it is for.\n\n## Tank\n\n```python\nTank(size_l: int = 5)\n```\n\nHolds water.\n\n"
        "### Tank.drain\n\n```python\nTank.drain(valve)\n```\n\nLet it out."
    )


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"caf\xe9 \xff", "caf\ufffd \ufffd"),
        ("\ufeffbom".encode(), "bom"),
        ("wide 字".encode("utf-16"), "wide 字"),
        (b"", ""),
    ],
)
def test_any_encoding_is_read(root, body, text):
    put(root, "a.txt", body)
    assert read(root)[0]["a.txt"].text == text


@pytest.mark.parametrize(
    ("name", "body", "problem"),
    [
        ("a.md", b"x" * 2000, "larger than"),
        ("a.txt", b"PK\x03\x04\0\0\0", "binary data"),
        ("a.txt", b"text first " * 80 + b"\0", "binary data"),
        ("a.md", bytes(range(1, 256)), "mostly bytes that are no UTF-8 text"),
        (
            "a.html",
            "<p>\u043f\u0440\u0438\u0432\u0435\u0442</p>".encode("cp1251"),
            "mostly bytes that are no UTF-8 text",
        ),
        ("a.py", "def broken(:", "not Python source"),
        ("a.py", "'\\d'\nx = 1" + "(" * 500, "not Python source"),
    ],
)
def test_what_cannot_be_read_is_a_finding_and_the_rest_is_read(root, name, body, problem):
    put(root, name, body)
    put(root, "z.md")
    documents, findings = read(root, file_bytes_max=1000)
    assert list(documents) == ["z.md"]
    assert problem in findings[name].problem
    assert findings[name].hint


def test_a_broken_pdf_is_a_finding(root):
    pytest.importorskip("pypdf", reason="the extra penstock[documents] is not installed: PDF files are not tested")
    put(root, "a.pdf", b"%PDF-1.7\nnothing of the kind")
    assert "not a readable PDF" in read(root)[1]["a.pdf"].problem


def test_what_is_wrong_with_a_pdf_is_said_by_its_finding_alone(root, caplog):
    pytest.importorskip("pypdf", reason="the extra penstock[documents] is not installed: PDF files are not tested")
    put(root, "a.pdf", pdf("Water drives it").replace(b"%%EOF", b""))
    put(root, "b.pdf", b"%PDF-1.7\nnothing of the kind")
    read(root)
    assert caplog.records == []


def test_a_pdf_gives_its_pages(root):
    pytest.importorskip("pypdf", reason="the extra penstock[documents] is not installed: PDF files are not tested")
    put(root, "a.pdf", pdf("Water drives it"))
    assert read(root)[0]["a.pdf"].text == "## Page 1\n\nWater drives it"


def test_a_pdf_of_pictures_is_a_finding(root):
    pytest.importorskip("pypdf", reason="the extra penstock[documents] is not installed: PDF files are not tested")
    put(root, "a.pdf", pdf(""))
    assert "without text" in read(root)[1]["a.pdf"].problem


def pdf(text):
    content = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        (
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
            b"/Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>"
        ),
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
    ]
    body, offsets = b"%PDF-1.4\n", []
    for number, each in enumerate(objects, start=1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    trailer = b"trailer << /Size 5 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % len(body)
    return body + b"xref\n0 5\n0000000000 65535 f \n" + table + trailer


def test_a_loop_of_links_is_walked_once(root):
    put(root, "sub/a.md")
    (root / "sub" / "again").symlink_to(root, target_is_directory=True)
    (root / "self").symlink_to("self")
    documents, findings = read(root)
    assert list(documents) == ["sub/a.md"]
    assert list(findings) == ["self"]


def test_a_link_out_of_the_folder_is_not_followed(root, tmp_path):
    secret = put(tmp_path, "secret.txt", "secret")
    (root / "link.txt").symlink_to(secret)
    (root / "folder").symlink_to(tmp_path, target_is_directory=True)
    put(root, "a.md")
    (root / "inside.md").symlink_to(root / "a.md")
    documents, findings = read(root)
    assert list(documents) == ["a.md", "inside.md"]
    assert {path: finding.problem for path, finding in findings.items()} == {
        "link.txt": "a link out of the folder, not followed",
        "folder": "a link out of the folder, not followed",
    }


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything, so nothing can be forbidden here")
def test_what_may_not_be_read_is_a_finding(root):
    put(root, "a.md").chmod(0)
    put(root, "sub/b.md")
    (root / "sub").chmod(0)
    documents, findings = read(root)
    (root / "sub").chmod(0o700)
    assert documents == {}
    assert set(findings) == {"a.md", "sub"}


def test_no_more_files_are_read_than_allowed_and_that_is_said(root):
    for name in "abc":
        put(root, f"{name}.md")
    documents, findings = read(root, files_max=2)
    assert list(documents) == ["a.md", "b.md"]
    assert "more than 2 files" in findings["."].problem
    assert read(root, files_max=3)[1] == {}


def test_a_name_that_is_no_utf8_gets_an_id_that_can_be_stored(root):
    try:
        (root / os.fsdecode(b"caf\xe9.md")).write_bytes(b"text")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    assert list(read(root)[0]) == ["caf\ufffd.md"]


def test_no_folder_is_missing_with_a_hint(root):
    with pytest.raises(Missing, match="give the path of a folder"):
        open_folder(root / "nowhere")
