"""Turns the bytes of one file into title and text, by its suffix.

Whatever is wrong with a file comes out as `Refused`, or as `Missing` where a package would help, and as nothing else:
another's file may be broken in any way.
"""

import logging
import re
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import PurePath
from threading import Lock
from typing import NamedTuple

from penstock.adapters.documents.docstrings import module
from penstock.adapters.documents.html_text import page
from penstock.errors import Missing, Refused

TEXT_CHARS_MAX = 10_000_000
# Prose in an old encoding of Europe's west loses some letters in a hundred; random bytes lose more than half of all.
UNREADABLE_SHARE_MAX = 1 / 3


class Text(NamedTuple):
    """What a file says, and what it calls itself (empty if it does not)."""

    title: str
    text: str


def read(path: PurePath, body: bytes) -> Text:
    """Return title and text of the file at `path` that holds `body`; `path` is only looked at for its suffix."""
    found = READERS[path.suffix.lower()](body)
    if len(found.text) > TEXT_CHARS_MAX:
        raise Refused(f"more than {TEXT_CHARS_MAX:,} characters of text", "split the file")
    return found


def _plain(body: bytes) -> Text:
    return Text("", _decoded(body))


def _markdown(body: bytes) -> Text:
    text = _decoded(body)
    title = ""
    if front_matter := _FRONT_MATTER.match(text):
        # A fence, so that its lines are not taken for headings.
        text = f"```\n{front_matter[1].strip()}\n```\n\n{text[front_matter.end() :]}"
        named = re.search(r"(?m)^title:[ \t]*(.+)$", front_matter[1])
        title = named[1].strip().strip("\"'") if named else ""
    heading = re.search(r"(?m)^#[ \t]+(.+?)[ \t#]*$", text)
    return Text(title or (heading[1] if heading else ""), text)


_FRONT_MATTER = re.compile(r"---[ \t]*\n(.*?)\n---[ \t]*(?:\n|$)", re.DOTALL)


def _html(body: bytes) -> Text:
    return Text(*page(_decoded(body)))


def _python(body: bytes) -> Text:
    try:
        found = module(_decoded(body))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Refused(f"not Python source ({error})", "mend it, or rename it to .txt") from error
    parts = [found.docstring]
    for symbol in found.symbols:
        level = "#" * min(6, 2 + symbol.path.count("."))
        parts.append(f"{level} {symbol.path}\n\n```python\n{symbol.path}{symbol.arguments}\n```\n\n{symbol.docstring}")
    return Text("", "\n\n".join(part for part in parts if part))


def _pdf(body: bytes) -> Text:
    try:
        from pypdf import PdfReader
    except ImportError as error:
        raise Missing("pypdf, which reads PDF files,", "pip install 'penstock[documents]'") from error
    from io import BytesIO

    pages: list[str] = []
    chars = 0
    try:
        with _quiet("pypdf"):
            reader = PdfReader(BytesIO(body))
            title = str(reader.metadata.title or "") if reader.metadata else ""
            for number, each in enumerate(reader.pages, start=1):
                if text := each.extract_text().strip():
                    pages.append(f"## Page {number}\n\n{text}")
                    chars += len(text)
                if chars > TEXT_CHARS_MAX:
                    # A small file can unpack to any length.
                    break
    except Exception as error:  # pypdf raises nearly anything on a broken file
        reason = f"{type(error).__name__}: {error}".rstrip(": ")
        raise Refused(f"not a readable PDF ({reason})", "open and save it again, without a password") from error
    if not pages:
        raise Refused("a PDF without text, so probably of pictures", "run text recognition over it first")
    return Text(title, "\n\n".join(pages))


@contextmanager
def _quiet(library: str) -> Generator[None]:
    """Keep a library from logging: what is wrong with a file is said once, by our finding. One thread at a time."""
    logger = logging.getLogger(library)
    with _LOGGING:
        level = logger.level
        logger.setLevel(logging.CRITICAL + 1)
        try:
            yield
        finally:
            logger.setLevel(level)


_LOGGING = Lock()
READERS: Mapping[str, Callable[[bytes], Text]] = {
    ".md": _markdown,
    ".markdown": _markdown,
    ".txt": _plain,
    ".rst": _plain,
    ".html": _html,
    ".htm": _html,
    ".py": _python,
    ".pdf": _pdf,
}


def _decoded(body: bytes) -> str:
    """Decode by byte order mark, else as UTF-8; what is neither is replaced by U+FFFD, as long as most can be read."""
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = body.decode("utf-16", errors="replace")
    elif b"\0" in body:
        raise Refused("binary data, not text", "rename or remove it")
    else:
        text = body.decode("utf-8-sig", errors="replace")
    if len(_UNREADABLE.findall(text)) > UNREADABLE_SHARE_MAX * len(text):
        raise Refused("mostly bytes that are no UTF-8 text", "save it as UTF-8, or remove it")
    return text


_UNREADABLE = re.compile(r"[\ufffd\x00-\x08\x0e-\x1f]")
