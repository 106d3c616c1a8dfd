"""The items in an object, from its bytes as they come: `Intake` takes part after part, so that an object need not be held whole.

CSV and JSON Lines give their items row by row; a JSON document is read when its end is there. What is compressed by gzip is told
by its first bytes. Every failure is `ReadingFailed`, whose text is the cause of States.ItemReaderFailed.
"""

import codecs
import csv
import re
import zlib
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from penstock.core.asl.definition import ReaderConfig
from penstock.core.asl.values import Json, parsed_json

ITEMS_MAX: Final = 100_000_000
HELD_BYTES_MAX: Final = 256 * 1024 * 1024
"""How much an object may hold that is read into items, once it is unpacked: all of a Map's items are in memory."""
HEADER_BYTES_MAX: Final = 10 * 1024
_DELIMITERS: Final = {"COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "SPACE": " ", "TAB": "\t"}
_NOT_ITERABLE: Final = "Attempting to map over non-iterable node."
_GZIP: Final = b"\x1f\x8b"
_UNPACKED_BYTES_MAX: Final = 8 * 1024 * 1024  # of one piece of what is compressed


class ReadingFailed(Exception):
    """An object cannot be read into items. `error` is what the store says, where it was the store that failed."""

    def __init__(self, cause: str, error: str | None = None) -> None:
        super().__init__(cause)
        self.cause = cause
        self.error = error

    def __str__(self) -> str:
        return self.cause


class Intake:
    """Takes the parts of one object in their order, and holds the items in it, at most `items_max` of them."""

    def __init__(self, config: ReaderConfig, items_max: int = ITEMS_MAX, held_bytes_max: int = HELD_BYTES_MAX) -> None:
        self.items: list[Json] = []
        self.held_bytes = 0
        self._items_max = items_max
        self._held_bytes_max = held_bytes_max
        self._unpack: _Gunzip | None = None
        self._head: bytes | None = b""
        self._text = codecs.getincrementaldecoder("utf-8-sig")()
        self._records = _records(config)

    @property
    def is_full(self) -> bool:
        """Whether nothing more of the object is needed."""
        return len(self.items) >= self._items_max

    def feed(self, part: bytes) -> None:
        """Take the next part. Raise `ReadingFailed` when the object is not what it should be, or holds too much."""
        if self._head is not None:
            part = self._head + part
            if len(part) < len(_GZIP):  # too little to tell what it is
                self._head = part
                return
            self._head = None
            self._unpack = _Gunzip() if part.startswith(_GZIP) else None
        for piece in [part] if self._unpack is None else self._unpack.feed(part):
            self._take(piece)
            if self.is_full:
                return

    def end(self) -> list[Json]:
        """Return the items, once the whole object has been fed, or enough of it."""
        if not self.is_full:
            if self._unpack is not None:
                self._unpack.end()
            self._take(self._head or b"", final=True)
        return self.items[: self._items_max]

    def _take(self, piece: bytes, *, final: bool = False) -> None:
        self.held_bytes += len(piece)
        if self.held_bytes > self._held_bytes_max:
            most = f"{self._held_bytes_max // 2**20} MiB"
            raise ReadingFailed(f"The object holds more than {most}: set MaxItems, or split it into several objects.")
        try:
            text = self._text.decode(piece, final)
        except UnicodeDecodeError as error:
            raise ReadingFailed(f"The object is not text in UTF-8: {error}") from error
        self.items += self._records.feed(text)
        if final:
            self.items += self._records.end()


class _Records(Protocol):
    """Takes text in pieces, and returns the items that are whole with each of them."""

    def feed(self, text: str) -> list[Json]: ...
    def end(self) -> list[Json]: ...


def _records(config: ReaderConfig) -> _Records:
    match config.input_type:
        case "CSV":
            return _CsvRows(config)
        case "JSONL":
            return _JsonLines()
        case "JSON" | None:
            return _JsonDocument(config.items_pointer)
        case _:
            raise ReadingFailed(f"An object of InputType {config.input_type} is no text.")


class _JsonDocument:
    """One JSON document: a list, or one that `pointer` names in it."""

    def __init__(self, pointer: str | None) -> None:
        self._pointer = pointer
        self._pieces: list[str] = []

    def feed(self, text: str) -> list[Json]:
        self._pieces.append(text)
        return []

    def end(self) -> list[Json]:
        found = _parsed("".join(self._pieces))
        for key in (self._pointer or "").split("/")[1:]:
            name = key.replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and name in found:
                found = found[name]
            elif isinstance(found, list) and name.isdigit() and int(name) < len(found):
                found = found[int(name)]
            else:
                raise ReadingFailed(f"The ItemsPointer {self._pointer} names nothing in the object.")
        if not isinstance(found, list):
            raise ReadingFailed(_NOT_ITERABLE)
        return found


class _JsonLines:
    def __init__(self) -> None:
        self._rest = ""
        self._line = 0

    def feed(self, text: str) -> list[Json]:
        *lines, self._rest = (self._rest + text).split("\n")  # no other sign ends a line: a text may hold U+2028
        return list(self._values(lines))

    def end(self) -> list[Json]:
        return list(self._values([self._rest]))

    def _values(self, lines: Sequence[str]) -> Iterator[Json]:
        for line in lines:
            self._line += 1
            if line.strip():
                yield _parsed(line, f"line {self._line} of the object")


class _CsvRows:
    """Rows, each an object under the names of the header. A short row gets empty texts, one that is too long is cut."""

    def __init__(self, config: ReaderConfig) -> None:
        self._delimiter = _DELIMITERS.get(config.csv_delimiter or "COMMA", ",")
        sign = re.escape(self._delimiter)
        self._field = re.compile(rf'(?:"[^"]*(?:""[^"]*)*"?[^{sign}\r\n]*|[^{sign}\r\n]*)({sign}|\r\n|\n|\r|\Z)')
        self._rest = ""
        self._headers: Sequence[str] | None = None
        if config.csv_header_location == "GIVEN":
            self._set_headers(tuple(config.csv_headers or ()))

    def feed(self, text: str) -> list[Json]:
        text = self._rest + text
        whole = self._whole(text)
        self._rest = text[whole:]
        return list(self._rows(text[:whole]))

    def end(self) -> list[Json]:
        return list(self._rows(self._rest))

    def _whole(self, text: str) -> int:
        """Return where the last row ends that is there whole: a line break within quotes ends none."""
        if '"' not in text:
            last = max(text.rfind("\n"), text.rfind("\r", 0, -1))  # \r at the very end may be the half of \r\n
            return last + 1
        at = whole = 0
        while at < len(text):
            found = self._field.match(text, at)
            assert found is not None, "it matches nothing at all, too"
            at = found.end()
            ended = found[1]
            if ended in ("\n", "\r\n") or (ended == "\r" and at < len(text)):
                whole = at
            elif ended == "":
                break
        return whole

    def _rows(self, text: str) -> Iterator[Json]:
        # A row is taken as a line only where a line ends in CSV: `splitlines` would break at U+2028 too.
        lines = [each for each in re.split(r"(?<=\n)|(?<=\r)(?!\n)", text) if each]
        rows = csv.reader(lines, delimiter=self._delimiter)
        try:
            for row in rows:
                if self._headers is None:
                    self._set_headers(row)
                elif row:
                    filled = [*row, *[""] * (len(self._headers) - len(row))]
                    yield dict(zip(self._headers, filled, strict=False))
        except csv.Error as error:
            raise ReadingFailed(f"The object is not CSV: {error}") from error

    def _set_headers(self, headers: Sequence[str]) -> None:
        if len(set(headers)) < len(headers):
            raise ReadingFailed("CSV headers cannot contain duplicates.")
        if sum(len(each.encode()) + 1 for each in headers) > HEADER_BYTES_MAX:
            raise ReadingFailed(f"CSV headers cannot be larger than {HEADER_BYTES_MAX // 1024} KiB.")
        self._headers = headers


class _Gunzip:
    """Unpacks what gzip has packed, piece by piece; several files behind each other are one."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)

    def feed(self, part: bytes) -> Iterator[bytes]:
        try:
            while part:
                if self._stream.eof:
                    self._stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
                yield self._stream.decompress(part, _UNPACKED_BYTES_MAX)
                part = self._stream.unconsumed_tail or self._stream.unused_data
        except zlib.error as error:
            raise ReadingFailed(f"The object is not whole gzip: {error}") from error

    def end(self) -> None:
        if not self._stream.eof:
            raise ReadingFailed("The object is not whole gzip: its end is missing")


def _parsed(text: str, what: str = "the object") -> Json:
    try:
        return parsed_json(text)
    except ValueError as error:
        raise ReadingFailed(f"{what[0].upper()}{what[1:]} is not JSON: {error}") from error
