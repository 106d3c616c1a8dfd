"""Step `texts`: collects text of known, compatible licence, cut into passages, short texts and pairs.

What is written into the work folder, one JSON array per line:
  passages.jsonl  [source, text]            at most WORDS_MAX words each
  shorts.jsonl    [source, text]            headings and first sentences
  pairs.jsonl     [kind, query, passage]    (heading, section) and (docstring's first sentence, code)
  TEXTS.md        for each source its version, licence, number of passages and characters

The judged retrieval corpora and the questions of the examples are never read here.
"""

import ast
import hashlib
import json
import random
import re
import subprocess
import sys
import sysconfig
from collections import defaultdict
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import TypeVar

from html_sections import Section, sections

WORDS_MAX = 110
WORDS_MIN = 8
PASSAGES_PER_SOURCE_MAX = 14_000
SHORTS_PER_SOURCE_MAX = 6_000
PAIRS_PER_SOURCE_MAX = 7_000
CODE_CHARS_MAX = 1_200

# Debian documentation package -> (licence of its text as its copyright file states it, which pages to read).
DEBIAN: dict[str, tuple[str, str]] = {
    "apache2-doc": ("Apache-2.0", "en/**/*.html"),
    "cmake-doc": ("BSD-3-Clause", "*.html"),
    "golang-1.19-doc": ("BSD-3-Clause (Go)", "*.html"),
    "llvm-15-doc": ("Apache-2.0 WITH LLVM-exception", "*.html"),
    "nodejs-doc": ("MIT", "*.html"),
    "postgresql-doc-15": ("PostgreSQL", "*.html"),
    "python-django-doc": ("BSD-3-Clause", "*.html"),
    "python-pandas-doc": ("BSD-3-Clause", "*.html"),
    "python-scipy-doc": ("BSD-3-Clause", "*.html"),
    "python-sqlalchemy-doc": ("MIT", "*.html"),
    "python3.11-doc": ("PSF-2.0", "*.html"),
    "rust-doc": ("MIT OR Apache-2.0", "*.html"),
    "sqlite3-doc": ("public domain", "*.html"),
}
# Pages that are lists of names, release notes or sources rather than prose.
_NOT_PROSE = re.compile(
    r"genindex|py-modindex|searchindex|/search|/src/|/_modules/|whatsnew/v|doxygen|print\.html|release/\d|changelog|releaselog|/implementors/|/all\.html|sidebar-items"
    r"|(core|std)/(arch|core_arch|simd)|-edition/|/rustc_"
)
_PERMISSIVE = re.compile(
    r"\b(MIT|BSD|Apache|PSF|Python Software Foundation|ISC|Expat|Unlicense|0BSD|HPND|Zlib|BSL-1)", re.IGNORECASE
)
_COPYLEFT = re.compile(r"GPL|MPL|CC-BY|EUPL|CDDL|proprietary|NVIDIA", re.IGNORECASE)
_SPACES = re.compile(r"\s+")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s")
_Item = TypeVar("_Item")


class Collection:
    """What has been collected: deduplicated, and capped per source so that no one product rules the vocabulary."""

    def __init__(self) -> None:
        self.passages: defaultdict[str, list[str]] = defaultdict(list)
        self.shorts: defaultdict[str, list[str]] = defaultdict(list)
        self.pairs: defaultdict[str, list[tuple[str, str, str]]] = defaultdict(list)
        self.licences: dict[str, str] = {}
        self._seen: set[bytes] = set()

    def add_section(self, source: str, heading: str, text: str) -> None:
        heading = _SPACES.sub(" ", heading).strip()
        cut = [c for c in _cut(text) if self._is_new(c)]
        if not cut:
            return
        self.passages[source].extend(cut)
        if 3 <= len(heading) <= 160:
            if self._is_new("h:" + heading):
                self.shorts[source].append(heading)
            if len(heading.split()) >= 2:
                self.pairs[source].append(("section", heading, cut[0]))
        sentence = _first_sentence(cut[0])
        if 4 <= len(sentence.split()) <= 40 and len(sentence) < 0.8 * len(cut[0]):
            self.shorts[source].append(sentence)

    def add_code(self, source: str, sentence: str, code: str) -> None:
        if len(sentence.split()) >= 3 and len(code) >= 40:
            self.pairs[source].append(("code", sentence, code[:CODE_CHARS_MAX]))

    def write(self, folder: Path) -> None:
        rng = random.Random(0)
        table: dict[str, dict[str, str | int]] = {}
        rows: dict[str, list[list[str]]] = {"passages": [], "shorts": [], "pairs": []}
        for source in sorted(self.licences):
            passages = _sample(self.passages[source], PASSAGES_PER_SOURCE_MAX, rng)
            rows["passages"] += [[source, text] for text in passages]
            rows["shorts"] += [[source, text] for text in _sample(self.shorts[source], SHORTS_PER_SOURCE_MAX, rng)]
            rows["pairs"] += [list(pair) for pair in _sample(self.pairs[source], PAIRS_PER_SOURCE_MAX, rng)]
            if passages:
                table[source] = {
                    "licence": self.licences[source],
                    "passages": len(passages),
                    "characters": sum(map(len, passages)),
                }
        for name, lines in rows.items():
            rng.shuffle(lines)
            path = folder / f"{name}.jsonl"
            path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
            print(f"{name}: {len(lines)}  sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}")
        (folder / "TEXTS.md").write_text(markdown(table), encoding="utf-8")

    def _is_new(self, text: str) -> bool:
        digest = hashlib.blake2b(text.lower().encode(), digest_size=8).digest()
        if digest in self._seen:
            return False
        self._seen.add(digest)
        return True


def collect(work: Path) -> None:
    """Run the step. Debian packages are fetched with `apt-get download` and unpacked below `work`, not installed."""
    work.mkdir(parents=True, exist_ok=True)
    collection = Collection()
    _collect_python(
        collection, "Python standard library", "PSF-2.0", Path(sysconfig.get_path("stdlib")), files_max=10_000
    )
    print("stdlib", len(collection.passages["Python standard library"]), flush=True)
    for package, (licence, pattern) in DEBIAN.items():
        folder = _unpacked(work / "debian", package)
        source = f"Debian {package} {_debian_version(work / 'debian', package)}"
        collection.licences[source] = licence
        _collect_html(collection, source, folder, pattern)
        print(source, len(collection.passages[source]), flush=True)
    for distribution in sorted(metadata.distributions(), key=lambda d: d.metadata["Name"].lower()):
        _collect_distribution(collection, distribution)
    collection.write(work)


def _collect_html(collection: Collection, source: str, folder: Path, pattern: str) -> None:
    pages = [
        p
        for p in sorted(folder.rglob(pattern))
        if p.is_file() and not _NOT_PROSE.search(p.relative_to(folder).as_posix())
    ]
    random.Random(0).shuffle(pages)
    for page in pages:
        if len(collection.passages[source]) >= 2 * PASSAGES_PER_SOURCE_MAX:
            return
        try:
            text = page.read_text(encoding="utf-8", errors="ignore")
        except OSError:
            continue  # a dangling link of the package
        found = sections(text) if len(text) < 3_000_000 else []
        title = next((s.heading for s in found if s.heading and "ocumentation" not in s.heading), "")
        for section in found:
            collection.add_section(source, _titled(title, section), "\n".join(section.blocks))


def _titled(title: str, section: Section) -> str:
    """A heading such as 'Notes' says nothing alone: put the page's title before it."""
    if len(section.heading.split()) >= 3 or section.heading == title:
        return section.heading
    return f"{title}: {section.heading}" if section.heading and title else section.heading


def _collect_distribution(collection: Collection, distribution: metadata.Distribution) -> None:
    name = distribution.metadata["Name"]
    licence = _licence(distribution)
    # The packaged model is the teacher, not a text; and its page names nobody's licence but its own.
    if licence is None or name.startswith("gt-all"):
        return
    source = f"PyPI {name} {distribution.version}"
    collection.licences[source] = licence
    body = distribution.metadata.get_payload()
    if isinstance(body, str):
        for heading, text in _markdown_sections(body):
            collection.add_section(source, heading, text)
    packages = {f.parts[0] for f in distribution.files or () if f.suffix == ".py" and len(f.parts) > 1}
    for package in sorted(packages):
        folder = Path(str(distribution.locate_file(package)))
        if folder.is_dir() and not package.endswith((".dist-info", ".data")) and ".." not in package:
            _collect_python(collection, source, licence, folder, files_max=1_500)
    print(source, licence, len(collection.passages[source]), flush=True)


def _licence(distribution: metadata.Distribution) -> str | None:
    """The licence that the package states, when it is permissive; None when it is not, or is not stated."""
    head = distribution.metadata
    classifiers = [
        c.rsplit("::", 1)[-1].strip() for c in head.get_all("Classifier") or [] if c.startswith("License ::")
    ]
    stated = head.get("License-Expression") or ", ".join(classifiers) or (head.get("License") or "").split("\n")[0][:60]
    return stated if _PERMISSIVE.search(stated) and not _COPYLEFT.search(stated) else None


def _collect_python(collection: Collection, source: str, licence: str, folder: Path, *, files_max: int) -> None:
    collection.licences[source] = licence
    skipped = {"test", "tests", "site-packages", "_vendor", "lib2to3", "_bundled", "vendor", "externals"}
    files = [f for f in sorted(folder.rglob("*.py")) if not skipped.intersection(f.relative_to(folder).parts)]
    random.Random(0).shuffle(files)
    for file in files[:files_max]:
        try:
            code = file.read_text(encoding="utf-8", errors="ignore")
            tree = ast.parse(code)
        except (SyntaxError, ValueError, RecursionError):
            continue
        for name, docstring, body in _docstrings(tree, code.splitlines()):
            collection.add_section(source, f"{file.stem} {name}".strip(), docstring)
            collection.add_code(source, _first_sentence(docstring), body)


def _docstrings(tree: ast.Module, lines: list[str]) -> Iterator[tuple[str, str, str]]:
    """(name, docstring, code without the docstring) of each definition that has a docstring."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        docstring = ast.get_docstring(node)
        if not docstring:
            continue
        if isinstance(node, ast.Module):
            yield "", docstring, ""
        else:
            first = node.body[0]
            code = lines[node.lineno - 1 : first.lineno - 1] + lines[first.end_lineno or first.lineno : node.end_lineno]
            is_function = not isinstance(node, ast.ClassDef)
            yield node.name, docstring, "\n".join(code) if is_function and len(node.body) > 1 else ""


def _markdown_sections(text: str) -> Iterator[tuple[str, str]]:
    heading, lines = "", list[str]()
    for line in text.splitlines():
        if re.match(r"#{1,6} ", line):
            yield heading, "\n".join(lines)
            heading, lines = line.strip("# "), []
        elif not re.match(r"\s*(\[!\[|!\[|<|\.\. )", line):
            lines.append(re.sub(r"\]\([^)]*\)", "]", line))
    yield heading, "\n".join(lines)


def _cut(text: str) -> Iterable[str]:
    """Passages of whole lines, at most WORDS_MAX words; a longer line is cut."""
    words: list[str] = []
    for line in text.split("\n"):
        more = line.split()
        if words and len(words) + len(more) > WORDS_MAX:
            yield from _accepted(words)
            words = []
        words += more
        while len(words) > WORDS_MAX:
            yield from _accepted(words[:WORDS_MAX])
            words = words[WORDS_MAX:]
    yield from _accepted(words)


def _accepted(words: list[str]) -> Iterable[str]:
    text = " ".join(words)
    letters = sum(c.isascii() and c.isalpha() for c in text)
    if len(words) >= WORDS_MIN and len(text) < 1_500 and letters > 0.5 * len(text):
        yield text


def _first_sentence(text: str) -> str:
    return _SENTENCE_END.split(_SPACES.sub(" ", text).strip(), maxsplit=1)[0]


def _sample(items: list[_Item], count_max: int, rng: random.Random) -> list[_Item]:
    return items if len(items) <= count_max else rng.sample(items, count_max)


def _unpacked(folder: Path, package: str) -> Path:
    target = folder / package
    if not target.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", package], cwd=folder, check=True, stdout=sys.stderr)
        subprocess.run(["dpkg-deb", "-x", str(next(folder.glob(f"{package}_*.deb"))), str(target)], check=True)
    return target


def _debian_version(folder: Path, package: str) -> str:
    archive = next(folder.glob(f"{package}_*.deb"))
    return archive.name.split("_")[1].replace("%3a", ":")


def markdown(table: dict[str, dict[str, str | int]]) -> str:
    """The sources as a table for TEXTS.md."""
    lines = ["| source and version | licence as stated | passages | characters |", "| --- | --- | --- | --- |"]
    lines += [f"| {name} | {row['licence']} | {row['passages']} | {row['characters']} |" for name, row in table.items()]
    return "\n".join(lines) + "\n"
