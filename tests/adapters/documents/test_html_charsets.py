"""A page is read in the encoding that it names."""

from pathlib import PurePath

import pytest

from penstock.adapters.documents.readers import read

TEXT = "Grüße aus der Mühle"


@pytest.mark.parametrize(
    ("head", "codec", "text"),
    [
        ('<meta charset="iso-8859-1">', "cp1252", f"{TEXT}: 3 \u20ac"),
        ("<META HTTP-EQUIV='content-type' CONTENT='text/html; charset=windows-1251'>", "cp1251", "Вода крутит колесо"),
        ("<meta charset=Shift_JIS>", "shift_jis", "水車が回る"),
        ('<?xml version="1.0" encoding="gb2312"?>', "gb2312", "水推动车轮"),
        ('<meta charset="utf-8">', "utf-8", TEXT),
        ("", "utf-8", TEXT),
        ('<meta charset="iso-8859-1">', "utf-8-sig", TEXT),
        ('<meta charset="base64">', "utf-8", TEXT),
        ('<meta charset="no-such">', "utf-8", TEXT),
        ('<meta charset="utf-16">', "utf-8", TEXT),
    ],
)
def test_a_page_is_read_in_its_encoding(head, codec, text):
    body = f"<html><head>{head}<title>{text}</title></head><body><p>{text}</p></body></html>".encode(codec)
    assert read(PurePath("a.html"), body) == (text, text)
