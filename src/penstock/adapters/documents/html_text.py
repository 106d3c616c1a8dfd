"""Turns an HTML page into text in Markdown's manner, so that the chunker sees its structure.

By the standard library's parser: it never fails on broken pages and costs no dependency; what an article-extraction
library would add (guessing the main column) is left to whoever exports the pages.
"""

import re
from html.parser import HTMLParser
from typing import NamedTuple

_HEADINGS = {f"h{level}": "#" * level for level in range(1, 7)}
_BLOCKS = frozenset(
    (  # noqa: SIM905 - a line of words is read sooner than a column
        "address article aside blockquote body center dd details div dl dt fieldset figcaption figure footer form header "
        "hr html legend li main ol p section summary table tbody tfoot thead tr ul"
    ).split()
)
# What is code, picture or furniture of the site, not what it says.
_UNSAID = frozenset({"script", "style", "template", "svg", "noscript", "nav", "iframe", "object", "select", "button"})


class Page(NamedTuple):
    """What a page says: its `<title>`, or nothing, and its text."""

    title: str
    text: str


def page(html: str) -> Page:
    """Return title and text of an HTML page. Any input is accepted."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return Page(" ".join(reader.title.split()), reader.text())


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title = ""
        self._blocks: list[str] = []
        self._line = ""
        self._unsaid = 0
        self._preformatted = 0
        self._in_title = False

    def text(self) -> str:
        self._end_block()
        return "\n\n".join(self._blocks)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - its signature
        if tag == "title":
            # The first one: an inline SVG has titles of its own.
            self._in_title = not self.title
        elif tag in _UNSAID:
            self._unsaid += 1
        elif tag == "pre":
            self._end_block()
            self._preformatted += 1
        elif tag == "br":
            self._line += "\n"
        elif tag in ("td", "th"):
            self._line += " | " if self._line.strip() else ""
        elif tag in _HEADINGS or tag in _BLOCKS:
            self._end_block()
            self._line = _HEADINGS[tag] + " " if tag in _HEADINGS else "- " if tag == "li" else ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._in_title = False
        elif tag in _UNSAID:
            self._unsaid = max(0, self._unsaid - 1)
        elif tag == "pre":
            self._end_block()
            self._preformatted = max(0, self._preformatted - 1)
        elif tag in _HEADINGS or tag in _BLOCKS:
            self._end_block()

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title += data
        elif not self._unsaid:
            self._line += data if self._preformatted else re.sub(r"\s+", " ", data)

    def _end_block(self) -> None:
        block, self._line = self._line, ""
        if self._preformatted and block.strip():
            self._blocks.append(f"```\n{block.strip(chr(10))}\n```")
        elif block.strip(" \n#-"):
            lines = [" ".join(line.split()) for line in block.strip().split("\n")]
            self._blocks.append((" " if block.startswith("#") else "\n").join(line for line in lines if line))
