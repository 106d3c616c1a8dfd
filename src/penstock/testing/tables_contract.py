"""The contract of `Tables`, as tests. Whoever has one inherits them and supplies it, and what writes a file to read."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pytest

from penstock.errors import Refused
from penstock.ports.tables import Tables

Write = Callable[[Sequence[dict[str, Any]]], Path]


class TablesContract:
    FORMAT: ClassVar[str]

    @pytest.fixture
    def tables(self) -> Tables:
        raise NotImplementedError("supply the tables under test")

    @pytest.fixture
    def write(self) -> Write:
        raise NotImplementedError("supply what writes rows to a file of FORMAT")

    def test_f1_rows_are_what_json_can_hold(self, tables: Tables, write: Write) -> None:
        row = {
            "whole": 2**53 + 1,
            "half": 0.5,
            "none": float("nan"),
            "exact": Decimal("12.50"),
            "text": "é",
            "yes": True,
            "when": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            "bytes": b"\x00\xff",
            "list": [1, None],
            "deep": {"a": [{"b": "c"}]},
        }
        ((given,),) = tables.rows(write([row]), self.FORMAT)
        assert given == {
            **row,
            "none": None,
            "exact": 12.5,
            "when": "2026-01-02T03:04:05Z",
            "bytes": "AP8=",
        }

    def test_f1_each_row_comes_once_and_in_order(self, tables: Tables, write: Write) -> None:
        path = write([{"n": n} for n in range(5000)])
        assert [row for batch in tables.rows(path, self.FORMAT) for row in batch] == [{"n": n} for n in range(5000)]

    def test_f2_rows_come_in_batches(self, tables: Tables, write: Write) -> None:
        sizes = [len(batch) for batch in tables.rows(write([{"n": n} for n in range(5000)]), self.FORMAT)]
        assert max(sizes) <= 1000

    def test_f3_what_is_no_such_file_is_refused(self, tables: Tables, tmp_path: Path) -> None:
        (tmp_path / "broken").write_bytes(b"PAR1 no table at all")
        with pytest.raises(Refused):
            list(tables.rows(tmp_path / "broken", self.FORMAT))
