"""Both forms of export keep the contract of a file of lines."""

import gzip

import pytest

from penstock.adapters.exports.jsonl import JsonlReader, open_jsonl_writer
from penstock.adapters.exports.parquet import ParquetReader, open_parquet_writer
from penstock.errors import Invalid, Refused
from penstock.testing.exports_contract import LineFileContract, lines, written


class TestJsonl(LineFileContract):
    @pytest.fixture
    def open_writer(self):
        return open_jsonl_writer

    @pytest.fixture
    def open_reader(self):
        return JsonlReader


class TestCompressedJsonl(TestJsonl):
    @pytest.fixture
    def place(self, tmp_path):
        return tmp_path / "export.jsonl.gz"


class TestParquet(LineFileContract):
    @pytest.fixture
    def open_writer(self):
        pytest.importorskip("pyarrow", reason="NOT TESTED: Parquet (the extra is not installed)")
        return open_parquet_writer

    @pytest.fixture
    def open_reader(self, open_writer):
        return ParquetReader


def test_a_compressed_file_that_was_cut_off_is_not_valid(tmp_path):
    place = tmp_path / "export.jsonl.gz"
    written(open_jsonl_writer, place, lines(2000))
    assert len(gzip.decompress(place.read_bytes())) > 10 * place.stat().st_size
    place.write_bytes(place.read_bytes()[:-3000])
    with pytest.raises(Invalid, match=r"line \d+: cannot be read"):
        list(JsonlReader(place).lines())


def test_a_folder_that_is_there_is_not_overwritten(tmp_path):
    with pytest.raises(Refused, match="is a folder that is there already"), open_jsonl_writer(tmp_path):
        pass


def test_a_place_through_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(Refused, match="check that the folder exists"), open_jsonl_writer(tmp_path / "file" / "x"):
        pass


def test_what_people_ask_for_is_a_column(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="NOT TESTED: Parquet (the extra is not installed)")
    written(open_parquet_writer, tmp_path / "export", lines(30))
    events = parquet.read_table(tmp_path / "export" / "event.parquet").to_pylist()
    assert [events[2][name] for name in ("topic", "offset", "event_id", "event_type", "event_key", "event_data")] == [
        "t",
        2,
        "e2",
        "T.v1",
        "k",
        '{"x": "2 2 "}',
    ]
    values = parquet.read_table(tmp_path / "export" / "value.parquet").to_pylist()
    assert [(each["name"], each["value"]) for each in values[:3]] == [
        ("v0", '[1, "ab", null]'),
        ("raw0", None),
        ("v1", '[1, "ab", null]'),
    ]
