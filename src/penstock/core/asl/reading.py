"""What a distributed Map reads, as items: an object in CSV, JSON or JSON Lines. PARQUET is for whoever has a library for it.

Every failure is `ReadingFailed`, whose text is the cause of States.ItemReaderFailed.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from penstock.core.asl.definition import ReaderConfig
from penstock.core.asl.values import Json, parsed_json

ITEMS_MAX: Final = 100_000_000
_DELIMITERS: Final = {"COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "SPACE": " ", "TAB": "\t"}
_NOT_ITERABLE: Final = "Attempting to map over non-iterable node."


class ReadingFailed(Exception):
    """An object cannot be read into items."""


def read_items_from(body: bytes, config: ReaderConfig, items_max: int | None = None) -> Json:
    """Return the items in an object, at most `items_max` of them (0 and None: all)."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ReadingFailed(f"The object is not text in UTF-8: {error}") from error
    limit = items_max or ITEMS_MAX
    match config.input_type:
        case "CSV":
            return _first(_rows(text, config), limit)
        case "JSONL":
            return _first((_parsed(line) for line in text.splitlines() if line.strip()), limit)
        case "JSON" | None:
            return _in_json(text, config.items_pointer, limit)
        case _:
            raise ReadingFailed(f"Cannot read an object of InputType {config.input_type}.")


def _in_json(text: str, pointer: str | None, limit: int) -> Json:
    found = _parsed(text)
    for key in (pointer or "").split("/")[1:]:
        name = key.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isdigit() and int(name) < len(found):
            found = found[int(name)]
        else:
            raise ReadingFailed(f"The ItemsPointer {pointer} names nothing in the object.")
    if not isinstance(found, list):
        raise ReadingFailed(_NOT_ITERABLE)
    return found[:limit]


def _rows(text: str, config: ReaderConfig) -> Iterator[Json]:
    delimiter = _DELIMITERS.get(config.csv_delimiter or "COMMA", ",")
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        if config.csv_header_location == "GIVEN":
            headers: Sequence[str] = tuple(config.csv_headers or ())
        else:
            headers = next(rows, ())
        if len(set(headers)) < len(headers):
            raise ReadingFailed("CSV headers cannot contain duplicates.")
        for row in rows:
            if row:
                filled = [*row, *[""] * (len(headers) - len(row))]
                yield dict(zip(headers, filled, strict=False))
    except csv.Error as error:
        raise ReadingFailed(f"The object is not CSV: {error}") from error


def _parsed(text: str) -> Json:
    try:
        return parsed_json(text)
    except ValueError as error:
        raise ReadingFailed(f"The object is not JSON: {error}") from error


def _first(items: Iterator[Json], limit: int) -> list[Json]:
    return list(islice(items, limit))
