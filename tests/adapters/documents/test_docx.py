"""Word files: their headings, lists and tables as Markdown would say them; broken and empty ones are refused with a reason."""

from io import BytesIO
from pathlib import PurePath

import docx
import pytest

from penstock.adapters.documents.readers import read
from penstock.errors import Refused


def saved(document):
    body = BytesIO()
    document.save(body)
    return body.getvalue()


def test_headings_lists_and_tables_are_read_in_their_order():
    document = docx.Document()
    document.core_properties.title = "The mill"
    document.add_heading("Water", 1)
    document.add_paragraph("It falls.")
    document.add_paragraph("fast", style="List Bullet")
    table = document.add_table(1, 2)
    table.rows[0].cells[0].text, table.rows[0].cells[1].text = "head", "3 m"
    document.add_heading("Power", 2)
    assert read(PurePath("mill.docx"), saved(document)) == (
        "The mill",
        "# Water\n\nIt falls.\n\n- fast\n\nhead | 3 m\n\n## Power",
    )


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not a readable"),
        (b"PK\x03\x04 broken", "not a readable"),
        (bytes.fromhex("d0cf11e0a1b11ae1") + b"\0" * 600, "encrypted"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_reason(body, reason):
    with pytest.raises(Refused, match=reason):
        read(PurePath("x.docx"), body)


def test_one_without_text_is_refused():
    with pytest.raises(Refused, match="without text"):
        read(PurePath("x.docx"), saved(docx.Document()))
