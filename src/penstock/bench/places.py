"""Where a benchmark keeps its store, how many bytes lie there, and the topics that its events go over."""

import secrets
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import parse_qs, urlsplit

from penstock.brokers import remove_topics
from penstock.stores import usage_of

FOLDER = Path(".penstock")  # in the working folder, whose disk is what is to be measured


@dataclass(frozen=True, slots=True)
class Place:
    """A store. `file`: None for one that is no file of ours."""

    url: str
    file: Path | None = None

    @property
    def kind(self) -> str:
        return self.url.partition(":")[0]

    async def kept_bytes(self) -> int:
        """How many bytes lie on the disk; a file holds all of it once its store is closed."""
        if self.file is not None:
            files = (self.file, self.file.with_name(f"{self.file.name}-wal"))
            return sum(each.stat().st_size for each in files if each.exists())
        return 0 if self.kind == "memory" else (await usage_of(self.url)).total_bytes


@contextmanager
def place_of(url: str) -> Generator[Place]:
    """Yield the store at an address; empty: a new file in the working folder, which is removed again."""
    if url:
        scheme, _, path = url.partition(":")
        yield Place(url, Path(path) if scheme == "sqlite" else None)
        return
    FOLDER.mkdir(exist_ok=True)
    with TemporaryDirectory(prefix="bench-", dir=FOLDER) as folder:
        file = Path(folder) / "turns.db"
        yield Place(f"sqlite:{file}", file)


@asynccontextmanager
async def log_of(url: str) -> AsyncGenerator[str]:
    """Yield the broker at an address, with topics of its own, unless it names a prefix; those are removed again. Empty: none.

    What an earlier run has left in the topics would be handled again: the store is new.
    """
    if not url or "prefix" in parse_qs(urlsplit(url).query):
        yield url
        return
    own = f"{url}{'&' if '?' in url else '?'}prefix=bench-{secrets.token_hex(4)}-"
    try:
        yield own
    finally:
        await remove_topics(own)
