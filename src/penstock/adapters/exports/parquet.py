"""An export as a folder of Parquet files, one for each kind, beside `export.json` with the first and the last line.

What people ask for is a column; `line` is the whole line, from which it is read back.
"""

import json
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from penstock.adapters.exports.places import placed
from penstock.core.exports.lines import LINE_KINDS, Line, Tally, encode_line, kind_of
from penstock.errors import Finding, Invalid, Missing

INDEX: Final = "export.json"
_GROUP_ROWS = 2000
_GROUP_BYTES = 16 * 1024 * 1024
_LINE: Final = "line"


@contextmanager
def open_parquet_writer(place: Path) -> Generator["ParquetWriter"]:
    """Write lines to a folder that is not there yet; `Missing` without the extra."""
    library, parquet = _library("pyarrow"), _library("pyarrow.parquet")
    with placed(place) as path:
        path.mkdir()
        with ExitStack() as stack:
            writer = ParquetWriter(path, (library, parquet), stack)
            yield writer
            writer.end()


class ParquetWriter:
    """A `LineWriter`."""

    def __init__(self, folder: Path, libraries: tuple[Any, Any], stack: ExitStack) -> None:
        self._folder = folder
        self._arrow, self._parquet = libraries
        self._stack = stack
        self._files: dict[str, Any] = {}
        self._rows: dict[str, list[dict[str, Any]]] = {}
        self._bytes: dict[str, int] = {}
        self._tally = Tally()
        self._head = b""
        self.bytes_written = 0

    def write(self, line: Line) -> None:
        kind, body = kind_of(line), encode_line(line)
        self._tally.add(kind, body)
        self.bytes_written += len(body)
        if kind not in LINE_KINDS:
            self._head = body
            return
        rows = self._rows.setdefault(kind, [])
        rows.append({**_columns(json.loads(body)), _LINE: body.decode()})
        self._bytes[kind] = self._bytes.get(kind, 0) + len(body)
        if len(rows) == _GROUP_ROWS or self._bytes[kind] > _GROUP_BYTES:
            self._flush(kind)

    def end(self) -> None:
        for kind in list(self._rows):
            self._flush(kind)
        self._stack.close()
        index = b"[" + self._head + b",\n" + encode_line(self._tally.end()) + b"]\n"
        (self._folder / INDEX).write_bytes(index)

    def _flush(self, kind: str) -> None:
        rows = self._rows.pop(kind)
        self._bytes[kind] = 0
        if not rows:
            return
        if kind not in self._files:
            fields = [self._arrow.field(name, self._type_of(value)) for name, value in rows[0].items()]
            path = self._folder / f"{kind}.parquet"
            file = self._parquet.ParquetWriter(path, self._arrow.schema(fields), compression="zstd")
            self._files[kind] = self._stack.enter_context(file)
        file = self._files[kind]
        file.write_table(self._arrow.Table.from_pylist(rows, schema=file.schema))

    def _type_of(self, value: object) -> Any:
        match value:
            case bool():
                return self._arrow.bool_()
            case int():
                return self._arrow.int64()
            case float():
                return self._arrow.float64()
            case _:
                return self._arrow.string()


class ParquetReader:
    """A `LineReader`; `Missing` without the extra."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._parquet = _library("pyarrow.parquet")
        self._errors: tuple[type[Exception], ...] = (OSError, _library("pyarrow").ArrowException)

    def lines(self) -> Iterator[tuple[str, bytes]]:
        """Return the lines; `Invalid` when a file cannot be read."""
        head, end = self._index()
        yield INDEX, head
        for kind in LINE_KINDS:
            path = self.path / f"{kind}.parquet"
            if path.exists():
                yield from self._rows(path)
        yield INDEX, end

    def _index(self) -> tuple[bytes, bytes]:
        try:
            head, end = msgspec.json.decode((self.path / INDEX).read_bytes(), type=tuple[msgspec.Raw, msgspec.Raw])
        except (OSError, msgspec.MsgspecError, UnicodeError) as error:
            finding = Finding(INDEX, f"cannot be read ({error})", "it is no export, or not a whole one")
            raise Invalid(str(self.path), (finding,)) from error
        return bytes(head), bytes(end)

    def _rows(self, path: Path) -> Iterator[tuple[str, bytes]]:
        number = 0
        try:
            with self._parquet.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=200, columns=[_LINE]):
                    for body in batch.column(0).to_pylist():
                        number += 1
                        yield f"{path.name}, row {number}", body.encode()
        except self._errors as error:
            finding = Finding(f"{path.name}, row {number + 1}", f"cannot be read ({error})", "copy the file again")
            raise Invalid(str(self.path), (finding,)) from error


def _columns(line: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a line as columns: those of its event beside its own, values as the JSON that they are."""
    columns: dict[str, Any] = {}
    for name, value in line.items():
        if name == "event":
            columns |= {f"event_{each}": body for each, body in _columns(value).items()}
        elif isinstance(value, dict):
            columns[name] = _value(cast("dict[str, Any]", value))
        else:
            columns[name] = json.dumps(value) if isinstance(value, list) else value
    columns.pop("kind", None)
    return columns


def _value(told: dict[str, Any]) -> str | None:
    plain = told.get("json", told.get("packed", _value))
    return None if plain is _value else json.dumps(plain, ensure_ascii=False)


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise Missing("pyarrow, which writes and reads Parquet,", "pip install 'penstock[parquet]'") from error
