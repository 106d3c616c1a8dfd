"""Distinct real texts, from what is on the machine: docstrings of Python's library and of installed packages, manuals, docs.

A passage is two pieces of one source joined, as many as are wanted: neighbours first, then ever more distant pairs. Queries
are first sentences of docstrings, which are taken out of the passages.
"""

import ast
import gzip
import re
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

PIECE_CHARS = (60, 180)
SOURCE_BYTES_MAX = 1_000_000
QUERIES = 1_000
DISTANCE_MAX = 40

_SENTENCE = re.compile(r"(?<=[.!?:;])\s+|\n\s*\n")
_MARKUP = re.compile(r"^\.[A-Za-z\\].*$|\\f[A-Z]|\\-|\\&", re.MULTILINE)


def texts(count: int) -> tuple[list[str], list[str]]:
    """`count` passages of some 240 characters, and questions to ask; fewer where the machine holds fewer."""
    sources = [pieces for pieces in map(_pieces, _documents()) if len(pieces) > 1]
    queries = _taken_out(sources)
    found: dict[str, None] = {}
    for distance in range(1, DISTANCE_MAX):
        for pieces in sources:
            for first, second in zip(pieces, pieces[distance:], strict=False):
                found[f"{first} {second}"] = None
            if len(found) >= count:
                return list(found)[:count], queries
    return list(found), queries


def _taken_out(sources: list[list[str]]) -> list[str]:
    step = max(1, len(sources) // QUERIES)
    chosen = [pieces for pieces in sources[::step] if len(pieces) > 2][:QUERIES]
    return [pieces.pop(0) for pieces in chosen]


def _documents() -> Iterator[str]:
    for root in sorted({sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), f"{sys.base_prefix}/lib"}):
        for path in sorted(Path(root).rglob("*.py")):
            yield from _docstrings(path)
    for root in ("/usr/share/man/man1", "/usr/share/man/man3", "/usr/share/man/man8", "/usr/share/doc"):
        for path in sorted(Path(root).rglob("*")):
            if path.is_file() and path.stat().st_size < SOURCE_BYTES_MAX:
                yield _text(path)


def _docstrings(path: Path) -> Iterator[str]:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, OSError, RecursionError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""


def _text(path: Path) -> str:
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        return _MARKUP.sub(" ", data.decode())
    except (OSError, UnicodeDecodeError, EOFError):
        return ""


def _pieces(document: str) -> list[str]:
    """The document's sentences, short ones joined and long ones cut, so that each is of some 120 characters."""
    least, most = PIECE_CHARS
    pieces: list[str] = []
    waiting = ""
    for sentence in _SENTENCE.split(document):
        waiting = f"{waiting} {' '.join(sentence.split())}".strip()
        while len(waiting) > most:
            cut = waiting.rfind(" ", least, most)
            cut = most if cut < 0 else cut
            pieces.append(waiting[:cut])
            waiting = waiting[cut:].strip()
        if len(waiting) >= least:
            pieces.append(waiting)
            waiting = ""
    return pieces
