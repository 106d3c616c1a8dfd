"""What goes into an archive before it goes: events or runs, with all that belongs to them, as an export of its own."""

from collections.abc import AsyncIterator, Sequence

from penstock.core.agents.unit import Writes
from penstock.core.exports.copying import blob_line, digests_of, lines_of
from penstock.core.exports.lines import FORMAT, Header, Line
from penstock.ports.archive import Archive
from penstock.ports.store import Store

_PAGE = 100


class Keeper:
    """Puts parts of a store into an archive."""

    def __init__(self, archive: Archive, store: Store, app: str, version: str) -> None:
        self._archive = archive
        self._store = store
        self._app = app
        self._version = version

    async def events(self, ids: Sequence[str], now_ms: int) -> None:
        """Keep events, with their runs; durable once it returns."""
        await self._archive.keep(self._pages(ids, None, now_ms))

    async def runs(self, ids: Sequence[str], now_ms: int) -> None:
        """Keep runs with their journals and streams, and not the events, which are still there."""
        events = list(dict.fromkeys(run.rpartition(":")[0].partition("+")[0] for run in ids))
        await self._archive.keep(self._pages(events, frozenset(ids), now_ms))

    async def _pages(
        self, event_ids: Sequence[str], runs: frozenset[str] | None, now_ms: int
    ) -> AsyncIterator[Sequence[Line]]:
        partitions = await self._store.partitions()
        yield [
            Header(
                FORMAT,
                self._app,
                now_ms,
                self._version,
                partitions,
                {"pruned": "events" if runs is None else "journals"},
            )
        ]
        seen: set[bytes] = set()
        for first in range(0, len(event_ids), _PAGE):
            rows = await self._store.rows_of(event_ids[first : first + _PAGE])
            if runs is not None:
                rows = _only(rows, runs)
            for digest in digests_of(rows):
                if digest not in seen:
                    seen.add(digest)
                    for body in (await self._store.blobs([digest])).values():
                        yield [blob_line(body)]
            yield list(lines_of(rows))


def _only(rows: Writes, runs: frozenset[str]) -> Writes:
    return Writes(
        runs=[each for each in rows.runs if each.run_id in runs],
        journal=[each for each in rows.journal if each.run_id in runs],
        streams=[each for each in rows.streams if each.run_id in runs],
    )
