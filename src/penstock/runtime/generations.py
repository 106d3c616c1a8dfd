"""The generations of one collection in a running engine: which one is written, which one is searched, which follow.

- The catalogue in memory is ahead of the durable one by what the committer has not written yet. It only changes without an await
  between reading and adding to the committer.
- The indexer writes to `writing`. Searches go to `searching`, which changes only when the switch is durable: by then all that
  the new one needs can be found in it. A search that has begun goes on where it began.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Container, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal, Protocol

import msgspec

from penstock.core.agents.unit import ValueWrite
from penstock.core.events.envelope import Position
from penstock.core.events.partitions import PARTITIONS_MAX
from penstock.core.knowledge import generations as rules
from penstock.core.knowledge.generations import Catalogue, Generation
from penstock.core.knowledge.ordering import Cut, Point, point_of
from penstock.core.knowledge.passages import DEFAULT_TENANT, Space
from penstock.errors import Finding, Invalid, Missing, Refused
from penstock.ports.embedder import Embedder
from penstock.runtime.committer import Committer
from penstock.runtime.gate import Gate

OWNER = "penstock generations"  # whose values they are: no agent of that name, so that no retention lets them go
POSITIONS = "positions"
CATALOGUE = "catalogue"
LET_GO = "let go"  # the key under which is kept what of the log was let go
DIVIDED = "divided"  # the key under which is kept where the log was divided into several partitions
OnChange = Literal["refuse", "build", "keep"]
_positions = msgspec.msgpack.Decoder(list[tuple[int, int, int]])  # generation, partition, offset


def is_of_an_index(value: ValueWrite) -> bool:
    """Whether a value says how far passages are, which are not there where only the log and the state are copied to."""
    return value.agent == OWNER and value.name.partition(" ")[0] == POSITIONS


class ValueReader(Protocol):
    """Where values are kept."""

    async def values(self, tenant: str, agent: str, key: str) -> Mapping[str, bytes]: ...


@dataclass(frozen=True, slots=True)
class Built:
    """A generation and the embedder that makes its vectors."""

    record: Generation
    embedder: Embedder
    given_model: str  # the model whose vectors events may carry

    @property
    def number(self) -> int:
        return self.record.number


class Generations:
    """The generations of one collection."""

    def __init__(self, name: str, catalogue: Catalogue, embedders: Mapping[int, Embedder], *, stored: bool) -> None:
        self.name = name
        self.catalogue = catalogue
        self.embedders = dict(embedders)
        self.unopened: dict[int, str] = {}  # generations whose embedder cannot be opened any more, and why
        self.positions: dict[int, dict[int, int]] = {}  # generation -> partition -> how far it has the log
        self.gate = Gate()
        self.stored = stored
        self.wanted = ""  # an embedder for which a generation is to be built, since the settings changed to it
        self.refiner = ""  # the embedder of the settings that is to refine searches
        self.writing = self.searching = self.built(catalogue.serving.number)
        self.on_change: Callable[[], object] = _nothing
        self.before_writing: Callable[[], object] = _nothing
        self.after_writing: Callable[[Position], object] = _nothing
        self.partitions = 1  # of the log
        self.divided_at = 0  # up to there the first partition has what came when it was the only one
        self._visible: dict[int, int] = {}
        self._seen: Point | None = None

    @property
    def visible(self) -> Cut:
        """Up to where, in each partition, what was put can be found."""
        return self._visible

    def show(self, partition: int, through: int) -> None:
        """What a partition has up to there can be found."""
        if through > self._visible.get(partition, 0):
            self._visible[partition] = through
            self._seen = None

    @property
    def seen(self) -> Point:
        """`visible`, as users have it."""
        if self._seen is None:
            self._seen = point_of(self._visible, self.partitions)
        return self._seen

    @asynccontextmanager
    async def inside(self, last: Position) -> AsyncGenerator[None]:
        """Write to the generation that serves: no other one takes over until the block is left. `last`: the last event."""
        async with self.gate.inside():
            self.before_writing()
            yield
            self.after_writing(last)

    def space(self, tenant: str) -> Space:
        """Where the indexer writes."""
        return Space(self.name, tenant, self.writing.number)

    def asked(self, number: int | None) -> Built:
        """Return the generation that a search asks for; `Missing` and `Refused` say why it cannot have it."""
        if number is None or number == self.searching.number:
            return self.searching
        record = self.catalogue.find(number)
        rules.require_can_serve(record)
        if number not in self.embedders:
            raise Refused(f"generation {number} cannot be searched", f"its embedder: {self.unopened[number]}")
        return self.built(number)

    def is_behind(self, number: int, through: Cut | None = None) -> bool:
        """Whether a generation may lack something of what can be found; of what could, up to a point."""
        at = self.positions.get(number, {})
        return any(at.get(each, 0) < last for each, last in (self._visible if through is None else through).items())

    def change(self, catalogue: Catalogue, committer: Committer) -> None:
        """Go on with another catalogue, which the next commit writes; searches follow once that is durable."""
        served = self.writing.number
        self.catalogue, self.stored = catalogue, True
        serving = catalogue.serving.number
        self.writing = self.built(serving)
        writes = committer.add(lambda: self._durable(serving))
        writes.values.append(self._value(CATALOGUE, rules.encode(catalogue)))
        if serving != served:
            self.positions.pop(serving, None)  # it has what the indexer is done with
        kept = {each.number for each in catalogue.generations if each.status in rules.FOLLOWING}
        for gone in self.positions.keys() - kept:
            del self.positions[gone]

    def adopt(self, catalogue: Catalogue, embedders: Mapping[int, Embedder]) -> None:
        """Go on with a catalogue that another worker has written: it is durable."""
        self.embedders |= embedders
        serving = catalogue.serving.number
        if serving != self.writing.number:
            self.positions.pop(serving, None)
        self.catalogue, self.stored = catalogue, True
        self.writing = self.searching = self.built(serving)

    def keep(self, committer: Committer) -> None:
        """Have the catalogue written with the next commit where it never was."""
        if not self.stored:
            self.stored = True
            committer.add().values.append(self._value(CATALOGUE, rules.encode(self.catalogue)))

    def positions_value(self, partition: int) -> ValueWrite:
        """Return how far each generation has the log of a partition, to be written by its owner."""
        rows = [(number, partition, at[partition]) for number, at in self.positions.items() if partition in at]
        return self._value(f"{POSITIONS} {partition}" if partition else POSITIONS, msgspec.msgpack.encode(rows))

    def read_positions(self, stored: Mapping[str, bytes], partitions: Container[int]) -> None:
        """Take over how far each generation has the log of some partitions, as the store has it."""
        for name, body in stored.items():
            if name.partition(" ")[0] == POSITIONS:
                for number, partition, offset in _positions.decode(body):
                    if partition in partitions:
                        self.positions.setdefault(number, {})[partition] = offset

    def _durable(self, serving: int) -> None:
        self.searching = self.built(serving)
        self.on_change()

    def built(self, number: int) -> Built:
        """Return a generation with its embedder."""
        return Built(self.catalogue.find(number), self.embedders[number], self.catalogue.first_model)

    def _value(self, name: str, body: bytes) -> ValueWrite:
        return ValueWrite(DEFAULT_TENANT, OWNER, self.name, name, body)


@dataclass(frozen=True, slots=True)
class Embedding:
    """The embedder of the settings, and what follows where a collection has another one."""

    setting: str
    embedder: Embedder
    open: Callable[[str], Awaitable[Embedder]]
    on_change: Mapping[str, OnChange]
    refiner: str = ""  # an embedder that is to refine what is found, in the background


async def opened_generations(
    name: str, store: ValueReader, chosen: Embedding, *, legacy: str, now_ms: int
) -> Generations:
    """Return the generations of a collection as the store has them; `Invalid` where the settings name another embedder.

    `legacy`: under which value of the indexer an older version noted the embedder.
    """
    stored = await store.values(DEFAULT_TENANT, OWNER, name)
    mine = chosen.embedder.name
    if CATALOGUE not in stored:
        noted = await store.values(DEFAULT_TENANT, "indexer", "")
        model = mine if legacy not in noted else msgspec.msgpack.decode(noted[legacy], type=str)
        if model != mine:
            raise _changed(name, model, mine)
        found = Generations(name, rules.begin(chosen.setting, mine, now_ms), {1: chosen.embedder}, stored=False)
        found.refiner = chosen.refiner
        return found
    catalogue = rules.decode(stored[CATALOGUE])
    embedders, unopened = await embedders_of(name, catalogue, chosen, {})
    found = Generations(name, catalogue, embedders, stored=True)
    found.unopened, found.refiner = unopened, chosen.refiner
    found.read_positions(stored, range(PARTITIONS_MAX))
    _agree(found, chosen)
    return found


def _agree(found: Generations, chosen: Embedding) -> None:
    """See whether the embedder of the settings is one that is known here, and say what follows when it is not."""
    name, mine, catalogue = found.name, chosen.embedder.name, found.catalogue
    newest = [each.model for each in catalogue.generations if each.status in ("building", "ready")]
    if mine in (catalogue.serving.model, catalogue.seen, *newest):
        return
    match chosen.on_change.get(name, "refuse"):
        case "build":
            found.wanted = chosen.setting
        case "keep":
            pass
        case _:
            raise _changed(name, catalogue.serving.model, mine)


def _changed(name: str, was: str, mine: str) -> Invalid:
    build = f"penstock knowledge build --app APP.PY --collection {name} --embedder NAME --switch"
    by_itself = f'app.knowledge({name!r}, on_change="build")'
    hint = (
        f"go on with that one and build a new generation beside it: {build}; or have that done by itself: {by_itself}"
    )
    return Invalid("the embedder", (Finding("embedder", f"{name!r} was indexed with {was}, not with {mine}", hint),))


async def embedders_of(
    name: str, catalogue: Catalogue, chosen: Embedding, known: Mapping[int, Embedder]
) -> tuple[dict[int, Embedder], dict[int, str]]:
    """Open the embedders of all generations that have passages, but those known; one that does not serve may do without."""
    opened: dict[int, Embedder] = {}
    unopened: dict[int, str] = {}
    for each in catalogue.generations:
        if each.status in ("dropping", "dropped") or each.number in known:
            continue
        try:
            opened[each.number] = await _embedder_of(name, each, chosen)
        except (Invalid, Missing, Refused) as error:
            if each.status == "serving":
                raise
            unopened[each.number] = str(error)
    return opened, unopened


async def _embedder_of(name: str, generation: Generation, chosen: Embedding) -> Embedder:
    if generation.model == chosen.embedder.name:
        return chosen.embedder
    embedder = await chosen.open(generation.embedder)
    if embedder.name != generation.model:
        what = f"generation {generation.number} of {name!r} was indexed with {generation.model}"
        raise Refused(f"{what}, and {generation.embedder!r} is {embedder.name} now", "install the version that made it")
    return embedder


def mark_of(partition: int) -> tuple[str, str, str, str]:
    """Return the value that says up to which offset of a partition the log of knowledge was let go."""
    return DEFAULT_TENANT, OWNER, LET_GO, f"{LET_GO} {partition}" if partition else LET_GO


def divided_mark(end: int) -> ValueWrite:
    """Return the value that says where the log of knowledge ended when it was divided into several partitions."""
    return ValueWrite(DEFAULT_TENANT, OWNER, DIVIDED, DIVIDED, msgspec.msgpack.encode(end))


async def divided_at(reader: ValueReader) -> int:
    """Return up to which offset of its first partition the log has what came when that was the only one."""
    values = await reader.values(DEFAULT_TENANT, OWNER, DIVIDED)
    return msgspec.msgpack.decode(values[DIVIDED], type=int) if DIVIDED in values else 0


async def let_go_up_to(reader: ValueReader, partition: int = 0) -> int:
    """Return up to which offset of the log of knowledge what is not needed any more may have been let go; 0: it is whole."""
    *which, name = mark_of(partition)
    values = await reader.values(which[0], which[1], which[2])
    return msgspec.msgpack.decode(values[name], type=int) if name in values else 0


async def require_whole_log(reader: ValueReader, partitions: Iterable[int], what: str, hint: str) -> None:
    """Raise `Refused` when some of the log of knowledge was let go: what is made from it would lack what was put before."""
    for partition in partitions:
        gone = await let_go_up_to(reader, partition)
        if gone:
            where = f" of partition {partition}" if partition else ""
            raise Refused(f"the log of knowledge was let go up to offset {gone:,}{where}, and {what}", hint)


def _nothing(*_: object) -> None:
    """Stand in for nobody who keeps generations."""
