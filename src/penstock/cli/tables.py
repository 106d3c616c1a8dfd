"""Tables and fields as lines of text that fit a width; None is no limit: another program reads them.

- No line ends with blanks. What is shown is printable: no text of an event can steer the terminal.
- On a narrow screen columns are left out, then the note gets a line of its own; ids are cut last, at their beginning.
"""

import os
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence

from rich.cells import cell_len, set_cell_size

GAP = "  "
NOTE_CELLS_MIN = 40
ID_CELLS_MIN = 12
Row = Mapping[str, str]


def screen_width() -> int | None:
    """Return how wide lines may be: as COLUMNS says, or the terminal; None where nobody limits them."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given):
        return int(given)
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def table_lines(forms: Sequence[Sequence[str]], rows: Sequence[Row], width: int | None, note: str) -> list[str]:
    """Return the lines of a table in the first of the forms (names of columns, the widest form first) that fits.

    The column `note` may be long: it stands at the end of the row where there is room, and on a line of its own elsewhere.
    """
    shown = [{name: printable(value) for name, value in row.items()} for row in rows]
    for names in forms:
        sizes = _sizes(names, shown)
        room = None if width is None else width - _total(sizes)
        if room is None or room >= 0:
            break
    else:
        names, sizes, room = forms[-1], _sizes(forms[-1], shown), 0
        assert width is not None
        sizes[0] = max(ID_CELLS_MIN, sizes[0] - (_total(sizes) - width))
    if not any(row[note] for row in shown):
        return [_line(names, sizes), *(_line(_cells(row, names, sizes), sizes) for row in shown)]
    note_room = None if room is None else room - len(GAP)
    if note_room is None or note_room >= min(NOTE_CELLS_MIN, max(cell_len(row[note]) for row in shown)):
        with_note = ([*_cells(row, names, sizes), _cut(row[note], note_room)] for row in shown)
        return [_line(cells, [*sizes, 0]) for cells in ([*names, note], *with_note)]
    lines = [_line(names, sizes)]
    for row in shown:
        lines.append(_line(_cells(row, names, sizes), sizes))
        if row[note]:
            lines.append(_cut(f"{GAP}{row[note]}", width))
    return lines


def field_lines(fields: Mapping[str, str], width: int | None) -> list[str]:
    """Return a line for each field, name first; long values go on below themselves."""
    left = max(map(cell_len, fields), default=0)
    lines: list[str] = []
    for name, value in fields.items():
        parts = [part for line in value.splitlines() for part in _wrapped(printable(line), left + len(GAP), width)]
        for number, part in enumerate(parts or [""]):
            lines.append(_line([name if number == 0 else "", part], [left, 0]))
    return lines


def printable(text: str) -> str:
    """Return text without what moves the cursor or hides: such characters become blanks."""
    return "".join(char if char.isprintable() else " " for char in text)


def _sizes(names: Sequence[str], rows: Sequence[Row]) -> list[int]:
    return [max(cell_len(name), *(cell_len(row[name]) for row in rows), 0) for name in names]


def _total(sizes: Sequence[int]) -> int:
    return sum(sizes) + len(GAP) * (len(sizes) - 1)


def _cells(row: Row, names: Sequence[str], sizes: Sequence[int]) -> list[str]:
    first, *others = (row[name] for name in names)
    return [first if cell_len(first) <= sizes[0] else f"...{first[3 - sizes[0] :]}", *others]


def _line(cells: Sequence[str], sizes: Sequence[int]) -> str:
    padded = (cell + " " * (size - cell_len(cell)) for cell, size in zip(cells, sizes, strict=True))
    return GAP.join(padded).rstrip()


def _cut(text: str, width: int | None) -> str:
    if width is None or cell_len(text) <= width:
        return text
    return f"{set_cell_size(text, max(0, width - 3)).rstrip()}..."


def _wrapped(line: str, indent: int, width: int | None) -> list[str]:
    if width is None:
        return [line]
    return textwrap.wrap(line, max(ID_CELLS_MIN, width - indent), break_on_hyphens=False) or [""]
