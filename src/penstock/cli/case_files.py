"""Files of recorded cases, one JSON object a line."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from penstock.errors import Invalid, Missing

T = TypeVar("T")


def read_cases(file: Path, read: Callable[[str], T]) -> Iterator[T]:
    """Yield the cases of a file. Raises `Missing` without the file, and what `read` finds in a line with its number."""
    if not file.is_file():
        raise Missing(str(file), "name a file of cases, one JSON object a line")
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    case = read(line)
                except Invalid as error:
                    raise Invalid(f"{file}, line {number}", error.findings) from error
                yield case
