"""Objects become items part by part: the same wherever the parts are cut."""

import csv
import gzip
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.asl.definition import ReaderConfig
from penstock.core.asl.reading import athena_places, inventory, inventory_rows, read_items_from
from penstock.core.asl.records import Intake, ReadingFailed

CSV = ReaderConfig(input_type="CSV", csv_header_location="FIRST_ROW")
LINES = ReaderConfig(input_type="JSONL")
cells = st.text(st.sampled_from(list('a"é, \n\r|x\u2028')), max_size=6)
rows = st.lists(st.lists(cells, min_size=2, max_size=2), min_size=1, max_size=6)


def fed(body, config, size=3, **bounds):
    intake = Intake(config, **bounds)
    for start in range(0, len(body), size):
        intake.feed(body[start : start + size])
        if intake.is_full:
            break
    return intake.end()


@given(rows, st.integers(1, 9), st.booleans())
def test_csv_is_the_same_wherever_it_is_cut(given_rows, size, packed):
    out = io.StringIO(newline="")
    csv.writer(out).writerows([["one", "two"], *given_rows])
    body = out.getvalue().encode()
    expected = [dict(zip(("one", "two"), row, strict=True)) for row in given_rows]
    assert fed(gzip.compress(body, mtime=0) if packed else body, CSV, size) == expected


@given(st.text(st.sampled_from(list('ab",\n\r')), max_size=30), st.integers(1, 5))
def test_csv_that_nobody_meant_is_the_same_wherever_it_is_cut(text, size):
    config = ReaderConfig(input_type="CSV", csv_header_location="GIVEN", csv_headers=("A", "B", "C"))
    assert fed(text.encode(), config, size) == fed(text.encode(), config, 1000)


@given(st.lists(st.dictionaries(st.text(max_size=3), st.text(max_size=5)), max_size=6), st.integers(1, 9))
def test_json_lines_are_the_same_wherever_they_are_cut(values, size):
    body = "\n".join(json.dumps(each, ensure_ascii=False) for each in values).encode()
    assert fed(body, LINES, size) == values


@pytest.mark.parametrize(
    ("delimiter", "sign"), [("COMMA", ","), ("PIPE", "|"), ("SEMICOLON", ";"), ("SPACE", " "), ("TAB", "\t")]
)
def test_every_delimiter_that_has_a_name(delimiter, sign):
    config = ReaderConfig(input_type="CSV", csv_header_location="FIRST_ROW", csv_delimiter=delimiter)
    body = f'a{sign}b\n1{sign}"x{sign}y"\r\n2\n3{sign}4{sign}5\n\n'.encode()
    assert read_items_from(body, config) == [{"a": "1", "b": f"x{sign}y"}, {"a": "2", "b": ""}, {"a": "3", "b": "4"}]


def test_a_byte_order_mark_is_no_part_of_the_header():
    assert read_items_from(b"\xef\xbb\xbfa,b\n1,2\n", CSV) == [{"a": "1", "b": "2"}]


def test_reading_stops_at_the_most_items_before_what_is_broken():
    body = b'{"n": 1}\n{"n": 2}\nno json'
    assert fed(body, LINES, 9, items_max=2) == [{"n": 1}, {"n": 2}]
    with pytest.raises(ReadingFailed, match="Line 3 of the object is not JSON"):
        fed(body, LINES, 9)


def test_a_pointer_leads_to_the_list_in_a_document():
    body = b'{"a/b": {"~": [[1], [2, 3]]}}'
    assert read_items_from(body, ReaderConfig(input_type="JSON", items_pointer="/a~1b/~0/1")) == [2, 3]
    with pytest.raises(ReadingFailed, match="names nothing"):
        read_items_from(body, ReaderConfig(input_type="JSON", items_pointer="/nothing"))


@pytest.mark.parametrize(
    ("body", "config", "cause"),
    [
        (b'{"a": 1}', ReaderConfig(), "Attempting to map over non-iterable node."),
        (b"a,a\n1,2", CSV, "CSV headers cannot contain duplicates."),
        (b"x" * 11_000 + b"\n1\n", CSV, "CSV headers cannot be larger than 10 KiB."),
        (b"[1, 2", ReaderConfig(input_type="JSON"), "The object is not JSON"),
        (b"\xff\xfe\xff", LINES, "not text in UTF-8"),
        (gzip.compress(b"[1]" * 100, mtime=0)[:-9], ReaderConfig(), "not whole gzip"),
        (b"x", ReaderConfig(input_type="PARQUET"), "is no text"),
    ],
)
def test_what_cannot_be_read_says_why(body, config, cause):
    with pytest.raises(ReadingFailed, match=cause):
        read_items_from(body, config)


def test_an_object_that_unpacks_to_more_than_may_be_held_is_refused():
    packed = gzip.compress(b'"' + b"x" * 5_000_000 + b'"\n', mtime=0)
    assert len(packed) < 10_000
    with pytest.raises(ReadingFailed, match="holds more than 1 MiB"):
        fed(packed, LINES, 1000, held_bytes_max=2**20)


def test_several_gzip_files_behind_each_other_are_one():
    assert read_items_from(gzip.compress(b"1\n", mtime=0) + gzip.compress(b"2\n", mtime=0), LINES) == [1, 2]


def test_a_manifest_of_s3_inventory_names_files_and_columns():
    body = {
        "sourceBucket": "source",
        "destinationBucket": "arn:aws:s3:::inventories",
        "fileFormat": "CSV",
        "fileSchema": "Bucket, Key, Size",
        "files": [{"key": "data/1.csv.gz", "size": 9, "MD5checksum": "x"}],
    }
    found = inventory(json.dumps(body).encode(), "elsewhere")
    assert [(each.bucket, each.key) for each in found.places] == [("inventories", "data/1.csv.gz")]
    assert read_items_from(b'"source","a%20b","12"\n', inventory_rows(found)) == [
        {"Bucket": "source", "Key": "a%20b", "Size": "12"}
    ]
    with pytest.raises(ReadingFailed, match="none of S3 Inventory"):
        inventory(b'{"fileFormat": "XML"}', "b")


def test_a_manifest_of_athena_names_objects():
    places = athena_places(b"s3://bucket/a/1.csv\ns3://other/b\n\n")
    assert [(each.bucket, each.key) for each in places] == [("bucket", "a/1.csv"), ("other", "b")]
    with pytest.raises(ReadingFailed, match="no URL"):
        athena_places(b"/etc/passwd\n")
