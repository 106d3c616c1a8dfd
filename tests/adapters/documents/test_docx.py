"""Word files: their headings, lists and tables as Markdown would say them; broken and empty ones are refused with a reason."""

from io import BytesIO
from pathlib import PurePath

import docx
import pytest
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls

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


def test_what_was_inserted_linked_or_stands_in_a_control_is_read_once_and_what_was_deleted_is_not():
    document = docx.Document()
    document.add_paragraph("Before. ")
    document.element.body.insert(
        0,
        parse_xml(f"""
        <w:sdt {nsdecls("w")}><w:sdtContent><w:p><w:r><w:t>In a control.</w:t></w:r></w:p></w:sdtContent></w:sdt>"""),
    )
    document.element.body.insert(
        1,
        parse_xml(f"""
        <w:p {nsdecls("w")} xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006">
        <w:r><w:t xml:space="preserve">It </w:t></w:r><w:ins><w:r><w:t>turns</w:t></w:r></w:ins>
        <w:del><w:r><w:delText>stands</w:delText></w:r></w:del><w:hyperlink><w:r><w:t xml:space="preserve"> here</w:t></w:r></w:hyperlink>
        <w:r><mc:AlternateContent><mc:Choice><w:t>, boxed</w:t></mc:Choice><mc:Fallback><w:t>, boxed</w:t></mc:Fallback>
        </mc:AlternateContent></w:r><w:r><w:br/><w:t>next</w:t></w:r></w:p>"""),
    )
    text = read(PurePath("mill.docx"), saved(document)).text
    assert text == "In a control.\n\nIt turns here, boxed\nnext\n\nBefore."


def test_a_cell_that_was_merged_is_said_once_and_its_paragraphs_stay_apart():
    document = docx.Document()
    table = document.add_table(2, 3)
    merged = table.cell(0, 0).merge(table.cell(0, 1))
    merged.text = "head"
    merged.add_paragraph("of it")
    table.cell(0, 2).text, table.cell(1, 0).text = "3 m", "low"
    table.cell(1, 1).add_table(1, 1).cell(0, 0).text = "within"
    assert read(PurePath("mill.docx"), saved(document)).text == "head\nof it | 3 m\nlow | within | "
