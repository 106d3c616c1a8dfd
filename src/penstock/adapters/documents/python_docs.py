"""The documentation that the running Python carries: its standard library's docstrings, and packages' READMEs.

- Modules written in Python are read, never imported; only compiled ones (math, time, itertools ...) are imported.
- One passage per documented name, in more pieces only where it is too long; a name is documented once.
- The same Python gives the same passages, in the same order.
"""

import re
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path

from penstock.adapters.documents.html_text import page
from penstock.adapters.documents.library import DocumentedModule, Library, is_private
from penstock.core.knowledge.blocks import Block, blocks
from penstock.core.knowledge.chunking import WORDS_MAX, Document, passages, pieces, size
from penstock.core.knowledge.passages import Passage

README_CHARS_MAX = 40_000
READMES_MAX = 500
SUMMARY_WORDS_MAX = 25


@dataclass(frozen=True, slots=True)
class Documented:
    """One step of a scan: a top-level module with all below it, or a README; and what it says."""

    document: str
    passages: Sequence[Passage]


class PythonDocs:
    """What can be scanned. Iterating reads module after module, and blocks: do it in a thread. Takes `total` steps."""

    def __init__(self, library: Library, tops: Sequence[str], packages: Mapping[str, Distribution]) -> None:
        self._library = library
        self._tops = tops
        self._packages = packages

    @property
    def total(self) -> int:
        return len(self._tops) + len(self._packages)

    def __iter__(self) -> Iterator[Documented]:
        for top in self._tops:
            yield Documented(top, [p for each in self._library.documented(top) for p in _module_passages(each)])
        for name, package in self._packages.items():
            yield Documented(f"readme:{name}", _readme_passages(name, package))


def open_python_docs(*, readmes: bool = True) -> PythonDocs:
    """List the standard library's public modules, and the packages that are installed beside it. Reads no file."""
    paths = dict(_sources(Path(sysconfig.get_path("stdlib"))))
    with_source = {name.partition(".")[0] for name in paths}
    compiled = [name for name in sys.stdlib_module_names if name not in with_source and not _is_left_out(name)]
    tops = sorted({*with_source, *compiled}, key=lambda name: (name != "builtins", name))
    found = sorted(_packages(), key=lambda package: package[0].casefold())[:READMES_MAX] if readmes else []
    return PythonDocs(Library(paths, compiled), [top for top in tops if not is_private(top)], dict(found))


# Tests, demos, tools with a window, tables. Importing `readline` writes to some terminals. The rest is gone since
# Python 3.12 or 3.13 (PEP 594, 632): where it is still found, nobody should be led to it.
_LEFT_OUT = frozenset(
    (  # noqa: SIM905 - a line of words is read sooner than a column
        "test tests idlelib turtledemo ensurepip pydoc_data encodings site-packages lib-dynload this antigravity readline "
        "xxlimited xxlimited_35 xxsubtype idle_test __pycache__ __phello__ aifc asynchat asyncore audioop cgi cgitb chunk "
        "crypt distutils imghdr imp lib2to3 mailcap msilib nis nntplib ossaudiodev pipes smtpd sndhdr spwd sunau "
        "telnetlib uu xdrlib"
    ).split()
)


def _is_left_out(name: str) -> bool:
    return name in _LEFT_OUT or not name.isidentifier() or name.startswith("__")


def _sources(folder: Path, prefix: str = "") -> Iterator[tuple[str, Path]]:
    """Yield name and path of each module below a folder, private ones too: they implement public names."""
    for path in sorted(folder.iterdir()):
        name = path.name.removesuffix(".py")
        if _is_left_out(name):
            continue
        if path.suffix == ".py":
            yield prefix + name, path
        elif (path / "__init__.py").is_file():
            yield prefix + name, path / "__init__.py"
            yield from _sources(path, f"{prefix}{name}.")
        elif path.is_dir() and prefix == "" and name in sys.stdlib_module_names:
            # `concurrent` was a package without `__init__` in some builds: what is in it counts all the same.
            yield from _sources(path, f"{name}.")


def _packages() -> Iterator[tuple[str, Distribution]]:
    for package in distributions():
        if name := package.metadata["Name"]:
            yield str(name), package


def _module_passages(documented: DocumentedModule) -> Iterator[Passage]:
    name = documented.name
    metadata = {"document": name, "kind": "stdlib"}
    for number, text in enumerate(_texts(name, "", documented.docstring, ""), start=1):
        yield Passage(f"{name}#{number}", text, {**metadata, "source": name, "title": name})
    summaries = {"": _summary(name, documented.docstring)}
    for symbol in documented.symbols:
        # In Python's own words it is `str.split`, not `builtins.str.split`.
        source = symbol.path if name == "builtins" else f"{name}.{symbol.path}"
        summaries[symbol.path] = _summary(source, symbol.docstring)
        owner = symbol.path.rpartition(".")[0]
        context = "\n".join(filter(None, (summaries.get(owner, "") if owner else "", summaries[""])))
        for number, text in enumerate(_texts(source, symbol.arguments, symbol.docstring, context), start=1):
            place = symbol.path if number == 1 else f"{symbol.path}.{number}"
            yield Passage(f"{name}#{place}", text, {**metadata, "source": source, "title": source})


def _summary(source: str, docstring: str) -> str:
    words = docstring.partition("\n\n")[0].split()
    return f"In {source}: {' '.join(words[:SUMMARY_WORDS_MAX])}" if words else ""


def _texts(source: str, arguments: str, docstring: str, context: str) -> Iterator[str]:
    """Yield the pieces of a docstring, each under the name that it documents.

    The first one ends in what the module and class are for: a docstring of one line does not say what it is about.
    """
    signature = source + arguments
    if size(signature) > WORDS_MAX // 3:
        signature = source
    room = WORDS_MAX - size(signature) - size(context)
    body = [block if isinstance(block, Block) else Block("prose", block.text) for block in blocks(docstring)]
    for number, text in enumerate(pieces(body, words_max=room)):
        yield f"{source}\n\n{text}" if number else f"{signature}\n\n{text}\n\n{context}".rstrip()


def _readme_passages(name: str, package: Distribution) -> list[Passage]:
    metadata = package.metadata
    text = str(metadata["Description"] or metadata.get_payload() or "")[:README_CHARS_MAX]  # type: ignore[attr-defined]
    readme = _without_badges(text)
    if not readme.strip():
        return []
    source = f"{name} README"
    document = f"readme:{name}"
    return passages(Document(document, source, readme, {"source": source, "document": document, "kind": "readme"}))


# What was new in each release answers nobody's question, and would crowd out what does.
_CHANGES = re.compile(
    r"(?im)^(?:#+[ \t]*{0}[ \t:#]*$|{0}[ \t]*\n[=\-~^*]{{3,}}[ \t]*$)".format(
        r"(?:(?:the )?change ?logs?|changes|release (?:notes|history)|(?:version |revision )?history|what'?s new)"
    )
)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_BADGE = re.compile(r"\[?!\[[^\]]*\]\([^)]*\)(?:\]\([^)]*\))?")
_LINK_TARGET = re.compile(r"(?m)^[ \t]*(?:\[[^\]]+\]:|\.\. (?:_[^\n]*:|(?:\|[^|\n]+\| )?image::))[^\n]*$")
_RST_OPTION = re.compile(r"(?m)^[ \t]+:(?:target|alt|width|height|align):[^\n]*$")
_TAGGED = re.compile(r"(?is)<(p|div|table|details|picture|h[1-6])\b.*?</\1>")
_TAG = re.compile(
    r"(?i)</?(?:a|b|br|center|code|details|div|em|h[1-6]|hr|i|img|kbd|li|p|picture|source|span|strong|sub|summary|sup"
    r"|table|td|th|tr|ul)(?:\s[^<>]*)?/?>"
)


def _without_badges(text: str) -> str:
    """Leave out what a reader of a README does not read: the change log at its end, pictures, link targets, tags."""
    text = _COMMENT.sub("", _CHANGES.split(text)[0])
    text = _TAGGED.sub(lambda tagged: page(tagged[0]).text, text)
    for noise in (_BADGE, _LINK_TARGET, _RST_OPTION, _TAG):
        text = noise.sub("", text)
    return text
