"""An export as one file of JSON lines, compressed where its name ends in .gz."""

import gzip
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from penstock.adapters.exports.places import placed
from penstock.core.exports.lines import LINE_BYTES_MAX, Line, Tally, encode_line, kind_of
from penstock.errors import Finding, Invalid

_BUFFER_BYTES = 1024 * 1024
_COMPRESSION = 3  # half of the time of the default, for some percent of the size


@contextmanager
def open_jsonl_writer(place: Path) -> Generator["JsonlWriter"]:
    """Write lines to a file. The last line says how many there are, and sums them up."""
    with placed(place) as path, ExitStack() as stack:
        file: BinaryIO = stack.enter_context(path.open("wb", buffering=_BUFFER_BYTES))
        if place.suffix == ".gz":
            packed = gzip.GzipFile("", "wb", _COMPRESSION, file, mtime=0)
            file = cast("BinaryIO", stack.enter_context(packed))
        writer = JsonlWriter(file)
        yield writer
        writer.end()


class JsonlWriter:
    """A `LineWriter`."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._tally = Tally()
        self.bytes_written = 0

    def write(self, line: Line) -> None:
        body = encode_line(line)
        self._tally.add(kind_of(line), body)
        self._put(body)

    def end(self) -> None:
        self._put(encode_line(self._tally.end()))

    def _put(self, body: bytes) -> None:
        self._file.write(body)
        self._file.write(b"\n")
        self.bytes_written += len(body) + 1


class JsonlReader:
    """A `LineReader`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def lines(self) -> Iterator[tuple[str, bytes]]:
        """Return the lines; `Invalid` when the file cannot be read, or is damaged so that no line can be told from the next."""
        number = 0
        try:
            with gzip.open(self.path, "rb") if self.path.suffix == ".gz" else self.path.open("rb") as opened:
                file = cast("BinaryIO", opened)
                while line := file.readline(LINE_BYTES_MAX):
                    number += 1
                    if len(line) == LINE_BYTES_MAX and not line.endswith(b"\n"):
                        raise self._broken(number, f"is longer than {LINE_BYTES_MAX} bytes", "it is no export")
                    yield f"line {number}", line.rstrip(b"\n")
        except (OSError, EOFError) as error:  # BadGzipFile is one
            raise self._broken(number + 1, f"cannot be read ({error})", "copy the file again") from error

    def _broken(self, number: int, problem: str, hint: str) -> Invalid:
        return Invalid(str(self.path), (Finding(f"line {number}", problem, hint),))
