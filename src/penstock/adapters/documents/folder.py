"""The documents in a folder: .md, .txt, .rst, .html, .pdf, and the docstrings of .py.

- One bad file never ends the reading: it comes out as a finding in its place.
- No file outside the folder is read, whatever links lead there; a loop of links is walked once.
- Files of other kinds are not read; one finding at the end counts them.
- Order and ids depend on the names in the folder only: an id is the path below the folder, with `/`.
"""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from penstock.adapters.documents.readers import READERS, read
from penstock.core.knowledge.chunking import Document
from penstock.errors import Finding, Missing, Refused

FILE_BYTES_MAX = 10 * 1024 * 1024
FILES_MAX = 100_000
LEFT_OUT = (
    "left out"  # how the problem of a finding begins that counts files of kinds that are not read: no fault of theirs
)
_SKIPPED_FOLDERS = frozenset({"node_modules", "__pycache__"})


class Folder:
    """What a walk through a folder found. Iterating reads file after file, and blocks: do it in a thread.

    Each of the `total` steps gives a document, or a finding about what could not be read: so `total` measures progress.
    """

    def __init__(self, root: Path, entries: tuple["Path | Finding", ...], *, file_bytes_max: int) -> None:
        self._root = root
        self._entries = entries
        self._file_bytes_max = file_bytes_max

    @property
    def total(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Document | Finding]:
        for entry in self._entries:
            yield entry if isinstance(entry, Finding) else self._read(entry)

    def _read(self, path: Path) -> Document | Finding:
        name = _id(self._root, path)
        try:
            with path.open("rb") as file:
                body = file.read(self._file_bytes_max + 1)
            if len(body) > self._file_bytes_max:
                limit = f"{self._file_bytes_max / 1024 / 1024:g} MiB"
                return Finding(name, f"larger than {limit}", "split it, or raise the limit")
            return file_document(name, body)
        except OSError as error:
            return Finding(name, f"cannot be read ({error.strerror or error})", "check that it exists and may be read")
        except Refused as refusal:
            return Finding(name, refusal.reason, refusal.hint)
        except Missing as missing:
            return Finding(name, f"{missing.what} is missing", missing.hint)


def file_document(name: str, body: bytes) -> Document:
    """Return the document in a file; `Refused` for one that cannot be read, `Missing` for want of a package that reads it."""
    path = PurePosixPath(name)
    if path.suffix.lower() not in READERS:
        raise Refused(f"{name} is of a kind that is not read", f"give a file of these: {', '.join(READERS)}")
    title, text = read(path, body)
    kind = path.suffix.lower().removeprefix(".")
    return Document(name, title or path.stem, text, {"source": name, "document": name, "kind": kind})


def open_folder(root: Path, *, file_bytes_max: int = FILE_BYTES_MAX, files_max: int = FILES_MAX) -> Folder:
    """Walk through a folder (names only), or take a single file.

    Hidden files and folders, node_modules and __pycache__ are left out.
    Raises `Missing` when there is no such folder or file, and `Refused` when there is nothing of a known kind in it.
    """
    if root.is_file():
        if root.suffix.lower() not in READERS:
            raise Refused(f"{root} is of a kind that is not read", f"give a file of these: {', '.join(READERS)}")
        return Folder(root.parent, (root,), file_bytes_max=file_bytes_max)
    if not root.is_dir():
        raise Missing(f"the folder or file {root}", "give the path of a folder with documents, or of a document")
    walk = _Walk(root.resolve(), files_max)
    walk.enter(root)
    if not walk.entries:
        others = f", only {walk.others()}" if walk.kinds else ""
        reason = f"no documents found in {root} ({', '.join(READERS)}){others}"
        raise Refused(reason, "give a folder that has such files")
    if walk.kinds:
        walk.entries.append(Finding(walk.others(), f"{LEFT_OUT}: {', '.join(sorted(walk.kinds))}"))
    return Folder(root, tuple(walk.entries), file_bytes_max=file_bytes_max)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a path really is: device and inode, by which two paths to one folder are recognised."""

    device: int
    inode: int


class _Walk:
    def __init__(self, root: Path, files_max: int) -> None:
        self.entries: list[Path | Finding] = []
        self.kinds: Counter[str] = Counter()  # of the files that are not read
        self._root = root
        self._files_max = files_max
        self._files = 0
        self._full = False
        self._entered: set[_Place] = set()

    def enter(self, top: Path) -> None:
        waiting = [top]
        while waiting:
            folder = waiting.pop()
            try:
                status = folder.stat()
                place = _Place(status.st_dev, status.st_ino)
                if place in self._entered:
                    continue
                self._entered.add(place)
                with os.scandir(folder) as listing:
                    paths = [folder / entry.name for entry in sorted(listing, key=lambda entry: entry.name)]
            except OSError as error:
                hint = "check that it may be read"
                self.entries.append(Finding(_id(top, folder), f"cannot be listed ({error.strerror})", hint))
                continue
            folders = [path for path in paths if self._belongs(top, path) and self._take(path)]
            # The last one in is the first one out.
            waiting.extend(reversed(folders))
            if self._full:
                problem = f"more than {self._files_max:,} files: the rest was left out"
                self.entries.append(Finding(_id(top, folder), problem, "give a smaller folder"))
                return

    def others(self) -> str:
        """Return how many files are not read, in words."""
        count = self.kinds.total()
        return f"{count:,} files of other kinds" if count > 1 else "1 file of another kind"

    def _belongs(self, top: Path, path: Path) -> bool:
        if path.name.startswith(".") or path.name in _SKIPPED_FOLDERS:
            return False
        if not path.is_symlink():
            return True
        try:
            target = path.resolve(strict=True)
        except (OSError, RuntimeError):
            # RuntimeError: a link to itself, before Python 3.13.
            self.entries.append(Finding(_id(top, path), "a link that leads nowhere", "remove it"))
            return False
        if target.is_relative_to(self._root):
            return True
        problem = "a link out of the folder, not followed"
        self.entries.append(Finding(_id(top, path), problem, "copy what it leads to, or give that folder"))
        return False

    def _take(self, path: Path) -> bool:
        """Return whether this is a folder to enter; keep it if it is a file of a known kind."""
        try:
            if path.is_dir():
                return True
            if not path.is_file():
                return False
            if path.suffix.lower() not in READERS:
                self.kinds[path.suffix.lower() or "(none)"] += 1
                return False
            self._full = self._files == self._files_max
            if not self._full:
                self.entries.append(path)
                self._files += 1
        except OSError:
            # Gone since it was listed, or a name too long: nothing to read either way.
            return False
        return False


def _id(root: Path, path: Path) -> str:
    # Names that are no UTF-8 could not be stored.
    return os.fsencode(path.relative_to(root).as_posix()).decode("utf-8", errors="replace")
