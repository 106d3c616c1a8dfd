"""Copying a file of an export into a store: looked through first, and written only if there is nothing wrong with it.

- What is there already is left alone, so an import that was stopped is done by doing it again. What contradicts what is there
  refuses the whole.
- A mark in the store keeps apps from beginning on half of an import. It is written with the first commit and goes with the last.
- The store must be nobody else's meanwhile: an import claims it.
"""

from collections.abc import AsyncIterator, Callable
from typing import Final

from msgspec import Struct
from msgspec.structs import asdict

from penstock.core.agents.unit import DeadLetter, ValueWrite, Writes
from penstock.core.exports.copying import add_row, uses_of
from penstock.core.exports.keys import KEYS, fresh
from penstock.core.exports.lines import FORMAT, End, Header, Line, Tally, decode_line, kind_of
from penstock.errors import Finding, Invalid, Refused
from penstock.ports.clock import Clock
from penstock.ports.exports import LineReader
from penstock.ports.state import Claim
from penstock.ports.store import Store
from penstock.runtime.generations import is_of_an_index
from penstock.runtime.importing_subjects import SinceForgotten

FINDINGS_MAX: Final = 100
_ROWS_MAX: Final = 500  # in one commit
_BYTES_MAX: Final = 8 * 1024 * 1024
_TTL_MS: Final = 3_600_000
_MARK: Final = ("penstock", "penstock.import", "")  # tenant, agent, key
_NAME: Final = "unfinished"
_AGAIN: Final = "export again"


class Checked(Struct, frozen=True):
    """What is in a file, and how many of its rows the store has not yet."""

    header: Header
    counts: dict[str, int]
    new: int


class _Batch:
    """Some rows, and where each is in the file."""

    def __init__(self) -> None:
        self.rows = Writes()
        self.where: dict[int, str] = {}
        self.bytes_held = 0

    def add(self, where: str, line: Line, size: int) -> None:
        add_row(self.rows, line)
        self.rows.values = [each for each in self.rows.values if not is_of_an_index(each)]
        self.bytes_held += size
        for rows in asdict(self.rows).values():
            if rows:
                self.where.setdefault(id(rows[-1]), where)

    def moved(self, before: list[int]) -> None:
        """Know events again that others took the place of."""
        for was, each in zip(before, self.rows.events, strict=True):
            self.where[id(each)] = self.where.get(was, "")

    @property
    def is_full(self) -> bool:
        return len(self.where) >= _ROWS_MAX or self.bytes_held >= _BYTES_MAX


class Import:
    """One file on its way into one store, which has no layer that takes large values apart."""

    def __init__(
        self, reader: LineReader, store: Store, clock: Clock, told: Callable[[int], None] = lambda _: None
    ) -> None:
        self._reader = reader
        self._store = store
        self._clock = clock
        self._told = told
        self._findings: list[Finding] = []
        self._more = 0
        self._header: Header | None = None
        self._end: End | None = None
        self._tally = Tally()

    async def check(self) -> Checked:
        """Read all of the file, and compare it with the store; `Invalid` with all findings and where they are."""
        self._header, self._end, self._tally = None, None, Tally()
        new = 0
        async for batch in self._batches():
            rows, others = fresh(batch.rows, await self._store.known(batch.rows))
            for kind, row in others:
                problem = f"the store has something else in the place of this one of its {kind} ({KEYS[kind](row)})"
                self._found(batch.where[id(row)], problem, "import into an empty store")
            new += sum(len(getattr(rows, kind)) for kind in KEYS)
            self._told(len(batch.where))
        self._sum_up()
        have, header = await self._store.partitions(), self._header
        if header is not None and have > header.partitions:
            self._found("line 1", f"has {header.partitions} partitions, and the store {have}", "use a new store")
        if self._more:
            self._findings.append(Finding("(more)", f"{self._more} more findings", "mend these first"))
        if self._findings or self._header is None:
            raise Invalid(str(self._reader.path), tuple(self._findings))
        return Checked(self._header, self._tally.counts, new)

    async def write(self, checked: Checked) -> int:
        """Write what the store has not yet, and return how many rows that are. `Fenced` when somebody else takes the store."""
        if not checked.new and not await is_unfinished(self._store):
            return 0
        claim = await self._store.claim("import")
        await self._divide(claim, checked.header.partitions)
        await self._store.commit(claim, 1, Writes(values=[ValueWrite(*_MARK, _NAME, b"\xc3")]))
        number, written = 1, 0
        async for batch in self._batches():
            rows, _ = fresh(batch.rows, await self._store.known(batch.rows))
            rows.dead = [await self._with_event(letter, rows) for letter in rows.dead]
            rows.blob_uses = uses_of(rows, self._clock.now_ms())
            number += 1
            await self._store.commit(claim, number, rows)
            written += sum(len(getattr(rows, kind)) for kind in KEYS)
            self._told(len(batch.where))
        await self._store.commit(claim, number + 1, Writes(values=[ValueWrite(*_MARK, _NAME, None)]))
        return written

    async def _batches(self) -> AsyncIterator[_Batch]:
        """Yield what is in the file, without what is about those who were forgotten in the store since it was made."""
        since: SinceForgotten | None = None
        async for batch in self._read():
            if since is None and self._header is not None:
                since = SinceForgotten(self._store, self._header.at_ms)
            if since is not None:
                places = [id(each) for each in batch.rows.events]
                await since.taken_out(batch.rows)
                batch.moved(places)
            yield batch

    async def _read(self) -> AsyncIterator[_Batch]:
        batch = _Batch()
        for where, body in self._reader.lines():
            line = self._line(where, body)
            if line is None:
                continue
            try:
                batch.add(where, line, len(body))
            except ValueError as error:
                self._found(where, str(error), _AGAIN)
            if batch.is_full:
                yield batch
                batch = _Batch()
        if batch.where:
            yield batch

    def _line(self, where: str, body: bytes) -> Line | None:
        """Return a line that is a row; what others say is kept."""
        try:
            line = decode_line(body)
        except ValueError as error:
            self._found(where, str(error), "it is no export, or one of a newer penstock")
            return None
        if isinstance(line, Header):
            if self._header is not None and self._end is None:
                self._found(where, "is a second first line", _AGAIN)
            if line.format > FORMAT:
                self._found(where, f"has format {line.format}, this penstock knows {FORMAT}", "use a newer penstock")
            self._header = line
        elif self._header is None:
            self._found(where, "comes before the line that says what the file is", "it is no export")
        if isinstance(line, End):
            self._end = line
            return None
        self._tally.add(kind_of(line), body)
        return None if isinstance(line, Header) else line

    def _sum_up(self) -> None:
        if self._header is None and not self._findings:
            self._found("(whole)", "is empty", _AGAIN)
        elif self._end is None:
            self._found("(end)", "the last line is missing: the file was cut off", "copy it again, or export again")
        elif not self._findings:
            found = self._tally.end()
            for kind in sorted(found.counts.keys() | self._end.counts.keys()):
                counts = (self._end.counts.get(kind, 0), found.counts.get(kind, 0))
                if counts[0] != counts[1]:
                    self._found("(end)", f"there should be {counts[0]} lines of {kind}, and are {counts[1]}", _AGAIN)
                elif found.digests[kind] != self._end.digests.get(kind):
                    self._found("(end)", f"the lines of {kind} are not those that were exported", _AGAIN)

    def _found(self, where: str, problem: str, hint: str) -> None:
        if len(self._findings) < FINDINGS_MAX:
            self._findings.append(Finding(where, problem, hint))
        else:
            self._more += 1

    async def _divide(self, claim: Claim, partitions: int) -> None:
        if await self._store.partitions() < partitions:
            await self._store.divide(claim, partitions)

    async def _with_event(self, letter: DeadLetter, rows: Writes) -> DeadLetter:
        """Return a dead letter with its event, which comes before it in each export."""
        place = letter.event.position
        for each in rows.events:
            if each.position == place:
                return DeadLetter(letter.run_id, letter.agent, each, letter.reason, letter.attempts, letter.at_ms)
        found = await self._store.read(place.topic, place.partition, after=place.offset - 1, limit=1)
        if not found or found[0].position != place:
            finding = Finding(f"the dead letter {letter.run_id}", f"its event is not at {place}", _AGAIN)
            raise Invalid(str(self._reader.path), (finding,))
        return DeadLetter(letter.run_id, letter.agent, found[0], letter.reason, letter.attempts, letter.at_ms)


async def is_unfinished(store: Store) -> bool:
    """Whether an import into a store was begun and has not ended."""
    return bool(await store.values(*_MARK))


async def require_finished(store: Store) -> None:
    """Raise `Refused` when a store holds half of an import."""
    if await is_unfinished(store):
        raise Refused("an import into this store has not ended", "do it again, with the same file: it goes on")
