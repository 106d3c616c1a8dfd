"""Parquet and ORC by pyarrow."""

import pyarrow as pa
import pytest
from pyarrow import orc, parquet

from penstock.adapters.tables.arrow import ArrowTables
from penstock.testing.tables_contract import TablesContract


class ArrowContract(TablesContract):
    @pytest.fixture
    def tables(self):
        return ArrowTables()

    @pytest.fixture
    def write(self, tmp_path):
        def write(rows):
            path = tmp_path / "table"
            library = parquet if self.FORMAT == "PARQUET" else orc
            library.write_table(pa.Table.from_pylist(rows), path)
            return path

        return write


class TestParquet(ArrowContract):
    FORMAT = "PARQUET"


class TestOrc(ArrowContract):
    FORMAT = "ORC"
