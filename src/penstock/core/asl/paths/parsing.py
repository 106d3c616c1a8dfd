"""How a text becomes a path, with the freedoms that Jayway takes: a lone last character is dropped, `a` means `$.a`.

Parsed paths are kept: the same few texts are read in every transition of every run.
"""

import re
from functools import lru_cache

from penstock.core.asl.failures import PathInvalid
from penstock.core.asl.paths.cursor import Cursor, unescaped_text
from penstock.core.asl.paths.filters import parse_filter
from penstock.core.asl.paths.path import Call, Filter, Index, Name, Path, Scan, Slice, Step, Wildcard
from penstock.core.asl.values import Json, parsed_json

PATHS_KEPT_MAX = 4096
_INDEXES = re.compile(r"-?\d+(\s*,\s*-?\d+)*")
_SLICE = re.compile(r"(-?\d*):(-?\d*)(:-?\d*)*")


@lru_cache(maxsize=PATHS_KEPT_MAX)
def parse_path(text: str) -> Path:
    """Return the path of a text such as `$.orders[*].id`. Raise `PathInvalid` with the reason when it is none."""
    trimmed = text.strip(" ")
    if trimmed[:1] not in ("$", "@"):
        trimmed = f"$.{trimmed}"
    if trimmed.endswith("."):
        raise PathInvalid("Path must not end with a '.' or '..'")
    parser = _PathParser(trimmed)
    steps = parser.steps()
    return Path(text, _function_over_scan(steps), from_item=trimmed[0] == "@")


def _function_over_scan(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Turn `$..a.sum()` into `$.sum($..a)`: a function at the end of a scan takes all that was found at once."""
    match steps:
        case (Scan(), *_, Call(name, _)):
            return (Call(name, (_counted(name, Path("$", steps[:-1])),)),)
        case _:
            return steps


def _counted(name: str, argument: "Path | Json") -> "Path | Json":
    """Let a length be that of what an argument holds: Jayway counts the children of all that the argument found."""
    if (
        name in ("length", "size")
        and isinstance(argument, Path)
        and argument.steps
        and not isinstance(argument.steps[-1], Call)
    ):
        return Path(argument.text, (*argument.steps, Wildcard()), from_item=argument.from_item)
    return argument


class _PathParser:
    def __init__(self, text: str) -> None:
        self.cursor = Cursor(text)
        self.found: list[Step] = []

    def steps(self) -> tuple[Step, ...]:
        cursor = self.cursor
        if len(cursor.text) == 1:
            return ()
        cursor.at = 1
        if cursor.char not in (".", "["):
            raise PathInvalid(f"Illegal character at position {cursor.at} expected '.' or '['")
        self._step()
        while cursor.at < len(cursor.text) - 1:  # Jayway takes a single character that is left over for the end
            self._step()
        return tuple(self.found)

    def _step(self) -> None:
        match self.cursor.char:
            case "[":
                self._bracket()
            case ".":
                self._dot()
            case "*":
                self.cursor.at += 1
                self.found.append(Wildcard())
            case _:
                self._word()

    def _dot(self) -> None:
        cursor = self.cursor
        if cursor.text.startswith("..", cursor.at):
            self.found.append(Scan())
            cursor.at += 2
        else:
            cursor.at += 1
        if cursor.char == ".":
            raise PathInvalid(f"Character '.' on position {cursor.at} is not valid.")
        self._step()

    def _word(self) -> None:
        """Read `name` or `name(...)`."""
        cursor = self.cursor
        start = cursor.at
        if cursor.char in ("", " "):
            raise self._no_step()
        end = start
        while end < len(cursor.text) and cursor.text[end] not in " .[(":
            end += 1
        name, after = cursor.text[start:end], cursor.text[end : end + 1]
        if after == " ":
            hint = "Use bracket notion ['my prop'] if your property contains blank characters."
            raise PathInvalid(f"{hint} position: {start}")
        cursor.at = end
        self.found.append(self._call(name) if after == "(" else Name((name,)))

    def _call(self, name: str) -> Call:
        cursor = self.cursor
        end = cursor.closing(cursor.at, patterns=False)
        if end == -1:
            raise PathInvalid(f"Arguments to function: '{name}' are not closed properly.")
        inside = cursor.text[cursor.at + 1 : end]
        # Behind empty brackets Jayway stands on the closing one, which then is a name if more follows.
        cursor.at = end + 1 if inside else end
        return Call(name, tuple(_counted(name, _argument(each)) for each in _split(inside)))

    def _bracket(self) -> None:
        cursor = self.cursor
        second = cursor.significant_after(cursor.at)
        opener = cursor.text[second : second + 1]
        if opener in ("'", '"'):
            self._quoted_names(opener)
        elif opener == "*":
            end = cursor.significant_after(second)
            if cursor.text[end : end + 1] != "]":
                raise PathInvalid(f"Expected wildcard token to end with ']' on position {second + 1}")
            cursor.at = end + 1
            self.found.append(Wildcard())
        elif opener == "?":
            self._filter(second)
        elif opener and (opener.isdigit() or opener in "-:"):
            self._numbers()
        else:
            raise self._no_step()

    def _quoted_names(self, quote: str) -> None:
        cursor = self.cursor
        names: list[str] = []
        at = cursor.significant_after(cursor.at)
        while cursor.text[at : at + 1] == quote:
            end = cursor.unescaped(quote, at)
            if end == -1:
                raise PathInvalid(f"Property has not been closed - missing closing {quote}")
            names.append(cursor.text[at + 1 : end])
            at = cursor.significant_after(end)
            separator = cursor.text[at : at + 1]
            if separator == "]":
                meant = tuple(map(unescaped_text, names))
                self.found.append(Name(meant, tuple(names) if meant != tuple(names) else ()))
                cursor.at = at + 1
                return
            if separator != ",":
                problem = "Property must be separated by comma or Property must be terminated close square bracket"
                raise PathInvalid(f"{problem} at index {end}")
            at = cursor.significant_after(at)
        raise PathInvalid(f"Found empty property at index {at}")

    def _numbers(self) -> None:
        cursor = self.cursor
        end = cursor.text.find("]", cursor.at)
        inside = cursor.text[cursor.at + 1 : end].strip()
        if end == -1:
            raise self._no_step()
        if ":" in inside:
            found = _SLICE.fullmatch(inside)
            start, stop = (found[1], found[2]) if found else ("", "")
            if not start and not stop:
                raise PathInvalid(f"Failed to parse SliceOperation: {inside}")
            self.found.append(Slice(int(start) if start else None, int(stop) if stop else None))
        elif _INDEXES.fullmatch(inside):
            self.found.append(Index(tuple(int(each) for each in inside.split(","))))
        else:
            raise PathInvalid(f"Failed to parse ArrayIndexOperation: {inside}")
        cursor.at = end + 1

    def _filter(self, mark: int) -> None:
        cursor = self.cursor
        start = cursor.significant_after(mark)
        end = cursor.closing(start, patterns=True) if cursor.text[start : start + 1] == "(" else -1
        last = cursor.significant_after(end)
        if end == -1 or cursor.text[last : last + 1] != "]":
            raise self._no_step()
        self.found.append(Filter(parse_filter(cursor.text[start : end + 1], parse_path)))
        cursor.at = last + 1

    def _no_step(self) -> PathInvalid:
        return PathInvalid(f"Could not parse token starting at position {self.cursor.at}. Expected ?, ', 0-9, * ")


def _split(inside: str) -> list[str]:
    """Return the arguments between two brackets: commas inside of brackets and strings do not count."""
    cursor = Cursor(inside)
    parts: list[str] = []
    start = 0
    while cursor.at < len(inside):
        if cursor.char == ",":
            parts.append(inside[start : cursor.at])
            start = cursor.at + 1
        elif cursor.char in "([{":
            end = cursor.closing(cursor.at, patterns=False)
            cursor.at = len(inside) if end == -1 else end
        elif cursor.char in "'\"":
            end = cursor.unescaped(cursor.char, cursor.at)
            cursor.at = len(inside) if end == -1 else end
        cursor.at += 1
    parts.append(inside[start:])
    return [part.strip() for part in parts if part.strip()]


def _argument(text: str) -> "Path | Json":
    if text[0] in "$@":
        return parse_path(text)
    try:
        return parsed_json(text)
    except ValueError as error:
        raise PathInvalid(f"Arguments to function: {text!r} is no path and no JSON") from error
