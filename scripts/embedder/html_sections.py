"""Reads an HTML page of documentation as a list of sections: a heading and the text below it.

Only what a reader would read is kept: no scripts, styles, navigation or index tables. Code blocks are kept, because
questions about software name the things that stand in code.
"""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

_SILENT = frozenset({"script", "style", "nav", "footer", "head", "svg", "button", "select", "form"})
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_BLOCKS = frozenset(
    {
        "p",
        "li",
        "dd",
        "dt",
        "pre",
        "td",
        "th",
        "div",
        "section",
        "tr",
        "br",
        "table",
        "ul",
        "ol",
        "dl",
        "blockquote",
        "article",
    }
)
_SPACES = re.compile(r"\s+")
_ANCHOR = re.compile(r"[¶§#🔗]+\s*$")
_HIDDEN = frozenset(
    {
        "sphinxsidebar",
        "navigation",
        "navheader",
        "navfooter",
        "related",
        "toctree-wrapper",
        "headerlink",
        "breadcrumb",
        "sidebar",
        "docs-sidebar",
        "docs-copyright",
        "docs-header",
        "src",
        "srclink",
        "out-of-band",
        "anchor",
        "line-numbers",
    }
)
# Elements that HTML never closes: they must not open a silent stretch that nothing ends.
_VOID = frozenset(
    {"br", "hr", "img", "input", "link", "meta", "col", "area", "base", "embed", "source", "track", "wbr"}
)


@dataclass(slots=True)
class Section:
    heading: str
    blocks: list[str] = field(default_factory=list[str])


def sections(page: str) -> list[Section]:
    """The page's sections in order. Text before the first heading has the heading ''."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    reader.end_block()
    return [s for s in reader.found if s.blocks]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found = [Section("")]
        self._text: list[str] = []
        self._silent_tag: str | None = None
        self._silent_depth = 0
        self._heading = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._silent_tag is not None:
            self._silent_depth += tag == self._silent_tag
            return
        marks = " ".join(value or "" for name, value in attrs if name in {"class", "role", "id"}).split()
        if tag not in _VOID and (tag in _SILENT or not _HIDDEN.isdisjoint(marks)):
            self._silent_tag, self._silent_depth = tag, 1
        elif tag in _HEADINGS:
            self.end_block()
            self._heading = True
        elif tag in _BLOCKS and not self._heading:
            self.end_block()

    def handle_endtag(self, tag: str) -> None:
        if self._silent_tag is not None:
            if tag == self._silent_tag:
                self._silent_depth -= 1
                if self._silent_depth == 0:
                    self._silent_tag = None
            return
        if tag in _HEADINGS:
            self.found.append(Section(_ANCHOR.sub("", self._joined()).strip()))
            self._heading = False
        elif tag in _BLOCKS and not self._heading:
            self.end_block()

    def handle_data(self, data: str) -> None:
        if self._silent_tag is None:
            self._text.append(data)

    def end_block(self) -> None:
        text = self._joined()
        if text:
            self.found[-1].blocks.append(text)

    def _joined(self) -> str:
        text = _SPACES.sub(" ", "".join(self._text)).strip()
        self._text.clear()
        return text
