"""What a text is made of: headings, paragraphs and code blocks, for Markdown, reStructuredText and plain text.

- Outside headings no character is lost: the blocks' texts, joined, are the text but for white space at their edges.
- Of a heading the mark-up is lost (`#`, underlines), never a word.
- Any text is accepted; what looks like nothing in particular is a paragraph.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

HEADING_CHARS_MAX = 200


@dataclass(frozen=True, slots=True)
class Heading:
    """A title that holds for what follows, down to the next heading of its level or above (1 is the highest)."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of text that belongs together. Code is better cut between lines, prose between sentences."""

    kind: Literal["prose", "code"]
    text: str


def blocks(text: str) -> Iterator[Heading | Block]:
    """Yield the headings and blocks of `text` in order.

    Headings are ATX (`# x`) and underlined ones: the setext headings of CommonMark 0.31 (section 4.3) and the
    section titles of reStructuredText (docutils, "Sections"), with or without a line above the title.
    """
    lines = text.splitlines()
    levels = _Levels()
    at = 0
    while at < len(lines):
        line = lines[at]
        if not line.strip():
            at += 1
        elif fence := _FENCE.match(line):
            end = _fence_end(lines, at, fence[1])
            yield Block("code", "\n".join(lines[at:end]))
            at = end
        elif heading := _ATX.fullmatch(line):
            levels.markdown = True
            yield Heading(len(heading[1]), heading[2].strip())
            at += 1
        elif found := _underlined(lines, at):
            title, style, at = found
            yield Heading(levels.level(style), title)
        else:
            end = _indented_end(lines, at) if _is_indented(line) else _paragraph_end(lines, at)
            yield Block("code" if _is_indented(line) else "prose", "\n".join(lines[at:end]).rstrip())
            at = end


_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_ATX = re.compile(r"(#{1,6})[ \t]+(\S.*?)(?:[ \t]+#+)?[ \t]*")
_UNDERLINE = re.compile(r"([=\-~^\"'#*+.:_`])\1{2,}[ \t]*")


class _Levels:
    """Which level an underline stands for: in Markdown `=` is 1 and `-` is 2, else the order of first use decides."""

    def __init__(self) -> None:
        self.markdown = False
        self._styles: list[str] = []

    def level(self, style: str) -> int:
        if self.markdown and style in ("=", "-"):
            return 1 if style == "=" else 2
        if style not in self._styles:
            self._styles.append(style)
        return self._styles.index(style) + 1


def _underlined(lines: Sequence[str], at: int) -> tuple[str, str, int] | None:
    """Return title, style (underline character, twice with an overline) and the line after, if a title starts here."""
    if at + 2 < len(lines) and _UNDERLINE.fullmatch(lines[at]) and lines[at].strip() == lines[at + 2].strip():
        title = lines[at + 1].strip()
        if title and len(title) <= HEADING_CHARS_MAX and not _UNDERLINE.fullmatch(title):
            return title, lines[at][0] * 2, at + 3
    if at + 1 < len(lines) and (underline := _UNDERLINE.fullmatch(lines[at + 1])):
        title = lines[at].strip()
        # A shorter line under a longer one is a rule or a row of a table, but for Markdown's `===` and `---`.
        long_enough = len(lines[at + 1].rstrip()) >= min(len(title), 80) or underline[1] in "=-"
        starts_alone = at == 0 or not lines[at - 1].strip()
        if (
            title
            and long_enough
            and starts_alone
            and len(title) <= HEADING_CHARS_MAX
            and not _is_indented(lines[at])
            and not _UNDERLINE.fullmatch(title)
        ):
            return title, underline[1], at + 2
    return None


def _is_indented(line: str) -> bool:
    return line.startswith(("    ", "\t"))


def _fence_end(lines: Sequence[str], start: int, fence: str) -> int:
    closing = re.compile(rf" {{0,3}}{re.escape(fence[0])}{{{len(fence)},}}[ \t]*")
    for at in range(start + 1, len(lines)):
        if closing.fullmatch(lines[at]):
            return at + 1
    return len(lines)


def _indented_end(lines: Sequence[str], start: int) -> int:
    """An indented block goes on over blank lines, as long as what follows them is indented too."""
    end = start
    for at in range(start, len(lines)):
        if _is_indented(lines[at]):
            end = at + 1
        elif lines[at].strip():
            break
    return end


def _paragraph_end(lines: Sequence[str], start: int) -> int:
    at = start + 1
    while at < len(lines) and lines[at].strip() and not _FENCE.match(lines[at]) and not _ATX.fullmatch(lines[at]):
        at += 1
    return at
