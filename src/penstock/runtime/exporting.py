"""Copying a store, or a part of it, into a file, page by page: memory does not grow with what is copied."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import asdict

from penstock.core.agents.unit import Writes
from penstock.core.events.envelope import Recorded, event_of
from penstock.core.exports.copying import blob_line, digests_of, lines_of
from penstock.core.exports.lines import FORMAT, Header, kind_of
from penstock.core.exports.selection import Reached, Selection
from penstock.errors import Missing
from penstock.ports.exports import LineWriter
from penstock.ports.rows import KINDS, Kind, RowSource
from penstock.runtime.generations import is_of_an_index
from penstock.runtime.indexer import NAME as INDEXER
from penstock.runtime.machines import definitions_of, is_definition

PAGE = 200
SEEN_MAX = 65_536  # blobs that are known to be in the file; one that was forgotten is written again
_OF_RUNS = ("journal", "streams", "runs", "dead")
_OF_EVENTS = ("events", *_OF_RUNS)


class ExportSource(RowSource, Protocol):
    """What is exported: rows, and the large values that they refer to."""

    async def blobs(self, digests: Sequence[bytes]) -> Mapping[bytes, bytes]: ...


class Origin(Struct, frozen=True):
    """What the first line says of where it came from."""

    app: str
    penstock: str
    at_ms: int


class Exported(Struct):
    """What was written: lines by kind, and large values that the store should have and has not."""

    counts: dict[str, int]
    missing: int = 0


async def export(
    source: ExportSource,
    writer: LineWriter,
    origin: Origin,
    chosen: Selection,
    told: Callable[[int], None] = lambda _: None,
) -> Exported:
    """Write the chosen part of a store; `told` hears how many more rows there are. `Missing` for a run that is not there."""
    copy = _Copy(source, writer, told)
    partitions = await source.partitions()
    writer.write(Header(FORMAT, origin.app, origin.at_ms, origin.penstock, partitions, chosen.chosen()))
    if chosen.is_whole:
        for kind in KINDS:
            await copy.all_of(kind, lambda _: True)
    else:
        await copy.part(chosen)
    return copy.exported


class _Copy:
    def __init__(self, source: ExportSource, writer: LineWriter, told: Callable[[int], None]) -> None:
        self._source = source
        self._writer = writer
        self._told = told
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._reached = Reached()
        self.exported = Exported({})

    async def part(self, chosen: Selection) -> None:
        """Write events with what belongs to them, and then what belongs to none."""
        if chosen.run is not None:
            await self._run(chosen.run)
        else:
            await self._events(chosen)
            if chosen.has_state:
                for kind in ("sessions", "values"):
                    await self.all_of(kind, lambda each: each.tenant == chosen.tenant and not is_definition(each))
            await self.all_of("values", is_definition)  # runs of state machines cannot be read without
            await self.all_of("timers", lambda each: chosen.has(each.timer.topic, each.timer.event))
            await self.all_of("sent", lambda each: chosen.has(each.topic, each.event))
        await self.all_of("progress", lambda _: True)

    async def all_of(self, kind: Kind, is_meant: Callable[[Any], bool]) -> None:
        """Write the rows of a kind that are meant."""
        after = b""
        while True:
            page = await self._source.rows(kind, after=after, limit=PAGE)
            await self._write(Writes(**{kind: [each for each in getattr(page.rows, kind) if is_meant(each)]}))
            after = page.after
            if not after:
                return

    async def _events(self, chosen: Selection) -> None:
        after = b""
        while True:
            page = await self._source.rows("events", after=after, limit=PAGE)
            meant = [each for each in page.rows.events if chosen.has(each.position.topic, each.event)]
            if meant:
                await self._write(Writes(events=meant))
                belonging = await self._source.rows_of([each.event.id for each in meant])
                await self._write(Writes(**{kind: getattr(belonging, kind) for kind in _OF_RUNS}))
            after = page.after
            if not after:
                return

    async def _run(self, run: str) -> None:
        first, _, others = event_of(run)[0].rpartition("+")  # a batch is named after its first event
        belonging = await self._source.rows_of([event_of(run)[0], *([first] if others.isdigit() else [])])
        mine = {
            kind: [each for each in getattr(belonging, kind) if _run_of(each) in (None, run)] for kind in _OF_EVENTS
        }
        if not any(mine[kind] for kind in ("runs", "journal", "dead")):
            raise Missing(f"the run {run!r}", "see `penstock runs list`")
        await self._write(Writes(**mine))
        wanted = definitions_of(Writes(**mine))
        if wanted is None:
            await self.all_of("values", is_definition)
        else:
            await self._write(Writes(values=(await self._source.known(wanted)).values))

    async def _write(self, rows: Writes) -> None:
        self._reached.note(rows.events)
        bounded = [self._reached.bounded(each) for each in rows.progress if each.agent != INDEXER]
        rows.progress = [each for each in bounded if each is not None]
        rows.values = [each for each in rows.values if not is_of_an_index(each)]
        for digest in digests_of(rows):
            await self._blob(digest)
        counts = self.exported.counts
        for line in lines_of(rows):
            self._writer.write(line)
            counts[kind_of(line)] = counts.get(kind_of(line), 0) + 1
        self._told(sum(len(each) for each in asdict(rows).values()))

    async def _blob(self, digest: bytes) -> None:
        if digest in self._seen:
            self._seen.move_to_end(digest)
            return
        body = (await self._source.blobs([digest])).get(digest)
        if body is None:
            self.exported.missing += 1
            return
        self._writer.write(blob_line(body))
        self.exported.counts["blob"] = self.exported.counts.get("blob", 0) + 1
        self._seen[digest] = None
        if len(self._seen) > SEEN_MAX:
            self._seen.popitem(last=False)


def _run_of(row: object) -> str | None:
    return None if isinstance(row, Recorded) else getattr(row, "run_id", None)
