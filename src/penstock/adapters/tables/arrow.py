"""Parquet and ORC by pyarrow: `Tables`."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import msgspec

from penstock.core.asl.values import Json
from penstock.errors import Missing, Refused

BATCH_ROWS: Final = 1000


def _plain(value: object) -> datetime:
    """Return a time as Python's own: where pandas is installed, pyarrow gives times in nanoseconds as those of pandas."""
    if isinstance(value, datetime):
        return datetime.combine(value.date(), value.timetz())
    raise NotImplementedError(type(value).__name__)


_ENCODER: Final = msgspec.json.Encoder(decimal_format="number", enc_hook=_plain)


class ArrowTables:
    """Reads a row group, or a stripe, at a time."""

    def rows(self, path: Path, format: str) -> Iterator[Sequence[Json]]:
        errors = (OSError, ValueError, _library("pyarrow").ArrowException)
        try:
            for batch in _parquet(path) if format == "PARQUET" else _orc(path):
                yield msgspec.json.decode(_ENCODER.encode(batch.to_pylist()))
        except errors as error:
            raise Refused(f"The file is no {format} that can be read ({error})", "write it again") from error


def _parquet(path: Path) -> Iterator[Any]:
    with _library("pyarrow.parquet").ParquetFile(path) as file:
        yield from file.iter_batches(batch_size=BATCH_ROWS)


def _orc(path: Path) -> Iterator[Any]:
    file = _library("pyarrow.orc").ORCFile(str(path))
    for stripe in range(file.nstripes):
        batch = file.read_stripe(stripe)
        for start in range(0, batch.num_rows, BATCH_ROWS):
            yield batch.slice(start, BATCH_ROWS)


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise Missing("pyarrow, which reads Parquet and ORC,", "pip install 'penstock[parquet]'") from error
