"""Turns the bytes of one file into title and text, by its suffix.

Whatever is wrong with a file comes out as `Refused`, or as `Missing` where a package would help, and as nothing else:
another's file may be broken in any way.
"""

import codecs
import logging
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import PurePath
from threading import Lock
from typing import Any, NamedTuple

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
    return Text(*page(_decoded(body, _charset(body))))


def _charset(body: bytes) -> str:
    """Return the encoding that a page names in its head; empty where that is UTF-8, or none that is known."""
    named = _CHARSET.search(body[:_HEAD_BYTES])
    name = named[1].decode("ascii").lower() if named else ""
    try:
        found = codecs.lookup(name).name if name else ""
    except LookupError:
        return ""
    # What pages call Latin 1 or ASCII is Windows' own (WHATWG, "Encoding"). UTF-16 would not have let us read its name.
    if found in ("iso8859-1", "ascii"):
        return "cp1252"
    return "" if found.startswith(("utf-8", "utf-16", "utf-32")) or not _is_of_text(found) else found


def _is_of_text(codec: str) -> bool:
    try:
        b"a".decode(codec)
    except (LookupError, UnicodeError):  # base64 and its kin are codecs, too
        return False
    return True


_HEAD_BYTES = 4096
_CHARSET = re.compile(
    rb"""<(?:meta\b[^>]*?\bcharset|\?xml\b[^>]*?\bencoding)\s*=\s*["']?\s*([A-Za-z0-9_.:-]+)""", re.IGNORECASE
)


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


def _docx(body: bytes) -> Text:
    try:
        import docx
    except ImportError as error:
        raise Missing("python-docx, which reads Word files,", "pip install 'penstock[documents]'") from error
    from io import BytesIO

    if body.startswith(_OLD_OFFICE):
        raise Refused("a Word file that is encrypted, or in the old format", "save it as .docx without a password")
    parts: list[str] = []
    chars = 0
    try:
        found = docx.Document(BytesIO(body))
        for block in _blocks(found):
            text = _table(block) if hasattr(block, "rows") else _paragraph(block)
            if text:
                parts.append(text)
                chars += len(text)
            if chars > TEXT_CHARS_MAX:
                break
        title = str(found.core_properties.title or "")
    except Exception as error:  # a broken file can raise nearly anything
        reason = f"{type(error).__name__}: {error}"[:200].rstrip(": ")
        raise Refused(f"not a readable .docx ({reason})", "open and save it again") from error
    if not parts:
        raise Refused("a .docx without text", "remove it, or run text recognition over its pictures")
    return Text(title, "\n\n".join(parts))


_OLD_OFFICE = bytes.fromhex("d0cf11e0a1b11ae1")


_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"  # says again what stands beside it
_SPACES = {f"{_WORD}tab": "\t", f"{_WORD}br": "\n", f"{_WORD}cr": "\n", f"{_WORD}noBreakHyphen": "-"}


def _blocks(found: Any) -> Iterator[Any]:
    """Yield paragraphs and tables in their order, those within content controls too."""
    from docx.table import Table
    from docx.text.paragraph import Paragraph

    waiting = list(reversed(found.element.body))
    while waiting:
        element = waiting.pop()
        if element.tag == f"{_WORD}p":
            yield Paragraph(element, found)
        elif element.tag == f"{_WORD}tbl":
            yield Table(element, found)
        elif element.tag in (f"{_WORD}sdt", f"{_WORD}sdtContent", f"{_WORD}ins", f"{_WORD}customXml"):
            waiting.extend(reversed(element))


def _said(element: Any) -> str:
    """Return what an element says: insertions and links too, and not what was deleted."""
    parts: list[str] = []
    waiting = [element]
    while waiting:
        each = waiting.pop()
        if each.tag == f"{_WORD}t":
            parts.append(each.text or "")
        elif each.tag in _SPACES:
            parts.append(_SPACES[each.tag])
        elif each.tag not in (_FALLBACK, f"{_WORD}pPr", f"{_WORD}rPr"):
            if each.tag == f"{_WORD}p" and parts:
                parts.append("\n")
            waiting.extend(reversed(each))
    return "".join(parts)


def _paragraph(block: Any) -> str:
    text = _said(block._p).strip()  # noqa: SLF001 - what python-docx calls `text` leaves insertions out
    name = str(block.style.name) if block.style is not None else ""
    level = re.fullmatch(r"(?:Heading ([1-6])|(Title))", name)
    if text and level:
        return f"{'#' * int(level[1] or 1)} {' '.join(text.split())}"
    return f"- {text}" if text and name.startswith("List") else text


def _table(block: Any) -> str:
    rows = (" | ".join(_said(cell).strip() for cell in row.tc_lst) for row in block._tbl.tr_lst)  # noqa: SLF001
    return "\n".join(row for row in rows if row.strip(" |"))


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
    ".docx": _docx,
}


def _decoded(body: bytes, charset: str = "") -> str:
    """Decode by byte order mark, else by the encoding that was named, else as UTF-8.

    What is none of it is replaced by U+FFFD, as long as most can be read.
    """
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = body.decode("utf-16", errors="replace")
    elif b"\0" in body:
        raise Refused("binary data, not text", "rename or remove it")
    else:
        text = body.decode(
            "utf-8-sig" if not charset or body.startswith(codecs.BOM_UTF8) else charset, errors="replace"
        )
    if len(_UNREADABLE.findall(text)) > UNREADABLE_SHARE_MAX * len(text):
        raise Refused("mostly bytes that are no UTF-8 text", "save it as UTF-8, or remove it")
    return text


_UNREADABLE = re.compile(r"[\ufffd\x00-\x08\x0e-\x1f]")
