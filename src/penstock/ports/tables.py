"""Files of tables that need a library to be read: Parquet and ORC. Its contract, as tests: `penstock.testing.tables_contract`."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from penstock.core.asl.values import Json


class Tables(Protocol):
    """Reads the rows of a file.

    Every implementation guarantees:

    F1 rows     Each row once, in the file's order, as an object of its columns, in what JSON can hold: times in ISO 8601,
                decimals as numbers, bytes in Base64, nested columns as lists and objects, what is no number as null.
    F2 bounded  No more of the file is in memory than one batch of rows.
    F3 refused  A file that cannot be read is `Refused`, with the library's reason; `Missing` when there is no library.
    """

    def rows(self, path: Path, format: str) -> Iterator[Sequence[Json]]:
        """Yield the rows of a file in "PARQUET" or "ORC", batch by batch. Blocks: call it in a thread."""
        ...
