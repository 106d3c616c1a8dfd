"""A store of places in a folder of this machine: rows in SQLite are the truth, HNSW graphs (usearch) find what is near.

- A write is durable in the rows before a graph has it; a graph that was lost or saved earlier is caught up when it is opened.
- Each tenant has graphs of its own (C10). With a filter, the rows say exactly what it lets through: if that is little, every one
  of them is looked at, else the graph is asked for more until there are enough.
- Scores are those of the rows, so they do not depend on the graph.
"""

import asyncio
import shutil
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import parse_qsl, urlsplit

import numpy as np
from numpy.typing import NDArray

from penstock.adapters.usearch.rows import Keys, Rows
from penstock.adapters.usearch.shelves import Graph, Matrix, Shelf, library, shelf_of
from penstock.core.knowledge.passages import Hit, Passage
from penstock.core.knowledge.places import NAME, Place, key_of
from penstock.core.knowledge.placing import clamped
from penstock.core.knowledge.plain_filters import Asked
from penstock.errors import Finding, Invalid, PenstockError

LOOKED_AT_MAX = 10_000  # passages that a filter lets through and that are all looked at
RESCORED_MORE = 32
TIMES_MORE = 4
_OPTIONS = {"connectivity": (2, 256), "expansion": (1, 10_000), "search": (1, 10_000), "graph": (1, 10_000_000)}
T = TypeVar("T")
Vector = NDArray[np.float32] | None


class Address(NamedTuple):
    """Which folder, whose collections in it, and how its graphs are made."""

    folder: Path
    prefix: str
    how: Graph


def address_of(url: str) -> Address:
    """Read `usearch:FOLDER?connectivity=&expansion=&search=&graph=&prefix=`; `Invalid` with all that is wrong."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    prefix, findings, read = options.pop("prefix", "penstock"), list[Finding](), dict[str, int]()
    path = f"{parts.netloc}{parts.path}"
    if not path:
        findings.append(Finding("vectors", "names no folder", "write usearch:FOLDER"))
    if not NAME.fullmatch(prefix):
        findings.append(Finding("vectors", f"has the prefix {prefix!r}", "1 to 40 letters and digits, a letter first"))
    for name, value in options.items():
        low, high = _OPTIONS.get(name, (0, 0))
        if not high:
            findings.append(Finding("vectors", f"has the option {name!r}", f"{', '.join(_OPTIONS)} there are"))
        elif not (value.isdecimal() and low <= int(value) <= high):
            findings.append(Finding("vectors", f"has {name}={value!r}", f"a number from {low} to {high}"))
        else:
            read[name] = int(value)
    if findings:
        raise Invalid("the settings", tuple(findings))
    usual = Graph()
    how = Graph(
        read.get("connectivity", usual.connectivity),
        read.get("expansion", usual.expansion_add),
        read.get("search", usual.expansion_search),
        read.get("graph", usual.rows_min),
    )
    return Address(Path(path).expanduser().absolute(), prefix, how)


@asynccontextmanager
async def open_usearch(address: Address) -> AsyncGenerator["UsearchPlaces"]:
    """Open a folder, which is made where it is missing; graphs are saved on leaving. `Refused` while another process has it."""
    library()
    with ThreadPoolExecutor(1, thread_name_prefix="usearch") as thread:
        loop = asyncio.get_running_loop()

        def opened() -> UsearchPlaces:
            address.folder.mkdir(parents=True, exist_ok=True)
            return UsearchPlaces(Rows(address.folder / "passages.db"), address.folder / "graphs", address.how, thread)

        places = await loop.run_in_executor(thread, opened)
        try:
            yield places
        finally:
            await loop.run_in_executor(thread, places.close)


class UsearchPlaces:
    """A store of places for `PlacedPassages`. One thread does all the work."""

    def __init__(self, rows: Rows, graphs: Path, how: Graph, thread: ThreadPoolExecutor) -> None:
        self._rows = rows
        self._graphs = graphs
        self._how = how
        self._thread = thread
        self._shelves: dict[tuple[str, str], Shelf] = {}

    def close(self) -> None:
        """Save the graphs, and let go of the file."""
        for shelf in self._shelves.values():
            shelf.save()
        self._rows.close()

    async def names(self) -> Sequence[str]:
        return await self._do(self._rows.names)

    async def make(self, at: Place) -> None:
        await self._do(lambda: self._rows.make(at))

    async def drop(self, at: Place) -> None:
        def drop() -> None:
            for key in [key for key in self._shelves if key[0] == at.name]:
                del self._shelves[key]
            self._rows.drop(at)
            shutil.rmtree(self._graphs / at.name, ignore_errors=True)

        await self._do(drop)

    def refuse(self, passage: Passage) -> PenstockError | None:  # noqa: ARG002 - it takes all that an event can hold
        return None

    async def put(self, at: Place, tenant: str, rows: Sequence[tuple[Passage, Vector]]) -> bool:
        def put() -> bool:
            if not self._rows.has(at):
                return False
            shelf = self._shelf(at, tenant) if at.dims else None
            gone, new = self._rows.put(at, tenant, rows)
            if shelf is not None:
                vectors = [vector for _, vector in rows if vector is not None]
                shelf.remove(np.array(gone, np.int64))
                shelf.add(np.array(new, np.int64), np.array(vectors, np.float32))
                if isinstance(shelf, Matrix) and len(shelf) >= self._how.rows_min:
                    del self._shelves[at.name, tenant]  # the next one is a graph
            return True

        return await self._do(put)

    async def remove(self, at: Place, tenant: str, ids: Sequence[str]) -> bool:
        def remove() -> bool:
            gone = self._rows.remove(at, tenant, ids)
            if (shelf := self._shelves.get((at.name, tenant))) is not None:
                shelf.remove(np.array(gone, np.int64))
            return True

        return await self._do(remove)

    async def search(
        self, at: Place, tenant: str, queries: NDArray[np.float32], count: int, asked: Asked
    ) -> Sequence[Sequence[tuple[Hit, Mapping[str, str]]]] | None:
        def search() -> list[list[tuple[Hit, Mapping[str, str]]]]:
            shelf = self._shelf(at, tenant)
            through = None if asked.plain is None else self._rows.keys(at, tenant, asked.plain)
            return [self._near(shelf, query, count, through) for query in queries]

        return await self._do(search)

    async def read(self, at: Place, tenant: str, ids: Sequence[str]) -> Sequence[Passage] | None:
        return await self._do(lambda: self._rows.read(at, tenant, ids))

    async def vectors(self, at: Place, tenant: str, ids: Sequence[str]) -> Mapping[str, Sequence[float]] | None:
        found = await self._do(lambda: self._rows.vectors_of(at, tenant, ids))
        return {name: vector.tolist() for name, vector in found.items()}

    async def page(self, at: Place, tenant: str, after: str, limit: int) -> tuple[Mapping[str, str], str] | None:
        found = await self._do(lambda: self._rows.page(at, tenant, after, limit))
        return dict(found), found[-1][0].encode().hex() if len(found) == limit else ""

    async def tenants(self, at: Place) -> Sequence[str] | None:
        return await self._do(lambda: self._rows.tenants(at))

    def _near(
        self, shelf: Shelf, query: NDArray[np.float32], count: int, through: Keys | None
    ) -> list[tuple[Hit, Mapping[str, str]]]:
        keys, vectors = shelf.vectors(self._candidates(shelf, query, count, through))
        if not len(keys):
            return []
        lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
        scores = np.einsum("ij,j->i", vectors, query) / lengths
        # All that score as the last one does come, so that who asks sees the ties.
        order = np.argsort(-scores, kind="stable")[: min(count, len(scores))]
        named = self._rows.named(keys[order])
        return [
            (Hit(named[int(keys[at])][0], clamped(float(scores[at]))), named[int(keys[at])][1])
            for at in order
            if int(keys[at]) in named
        ]

    def _candidates(self, shelf: Shelf, query: NDArray[np.float32], count: int, through: Keys | None) -> Keys:
        """The keys that are worth scoring."""
        wanted = count + RESCORED_MORE
        if through is None or isinstance(shelf, Matrix):
            near = shelf.near(query, wanted)
            return near if through is None else np.intersect1d(near, through)
        if len(through) <= LOOKED_AT_MAX:
            return through
        asked = wanted * max(1, len(shelf) // len(through)) * 2
        while True:
            found = np.intersect1d(shelf.near(query, asked), through)
            if len(found) >= wanted or asked >= len(shelf):
                return found if len(found) >= min(wanted, len(through)) else through
            asked *= TIMES_MORE

    def _shelf(self, at: Place, tenant: str) -> Shelf:
        known = self._shelves.get((at.name, tenant))
        if known is None:
            folder = self._graphs / at.name
            folder.mkdir(parents=True, exist_ok=True)
            known = shelf_of(self._rows, at, tenant, folder / f"{key_of(tenant, '')}.usearch", self._how)
            self._shelves[at.name, tenant] = known
        return known

    async def _do(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
