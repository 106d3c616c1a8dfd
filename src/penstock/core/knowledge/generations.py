"""The generations of a collection: which there are, which one serves, and what may become of each.

A collection has exactly one generation that serves. Its passages lie in spaces of its own, so that another one can be built
beside it, be searched, take over, and be taken back. Functions here take a catalogue and return the next; what may not be is
refused with what to do instead.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from penstock.errors import Missing, Refused

# "building": it lacks some of the log. "ready": it has all, and may take over. "standby": it served, follows on, and may be taken
# back. "dropping": its passages are being removed.
Status = Literal["building", "ready", "serving", "standby", "dropping", "dropped"]
FOLLOWING: tuple[Status, ...] = ("building", "ready", "standby")  # they get what the serving one gets, a little later
LIVE_MAX = 4  # generations with passages; each costs memory, and work for every write
KEPT_MAX = 32  # records of dropped ones
GRACE_MS = 7 * 24 * 3600 * 1000  # how long the one that served before can be taken back


class Generation(Struct, frozen=True):
    """One build of a collection. New fields go to the end, with a default."""

    number: int
    embedder: str  # as the settings name it: "static", "openai:NAME"
    model: str  # the embedder's own name for what makes its vectors
    status: Status
    begun_ms: int = 0
    ready_ms: int = 0
    served_ms: int = 0  # when it began to serve, the last time
    drop_ms: int = 0  # when one that stands by is dropped; 0: never by itself
    per_s: float = (
        0.0  # passages that its build writes in a second at most; 0: as many as leave half of the time to others
    )
    switch: bool = False  # whether it takes over by itself once it is ready
    replaces: bool = False  # whether the one before is dropped at once then
    note: str = ""
    options: Mapping[str, str] = {}  # how texts are made into passages, where that is not the app's way
    asked_by: str = ""  # the event that asked for it
    refines: bool = False  # whether searches in the one that serves are refined by its vectors, as far as it has them


class Catalogue(Struct, frozen=True):
    """All generations of a collection, by number, and what is known of its embedders."""

    generations: tuple[Generation, ...]
    before: int = 0  # the one that served before; 0: none that can be taken back
    seen: str = ""  # the model of the settings that was last agreed upon
    switched_by: str = ""  # the event that asked for the last switch
    held_by: str = ""  # while it is said, no worker indexes: a name of its own for each time
    held_for: int = 0  # the generation that is to have all by then; 0: none

    @property
    def serving(self) -> Generation:
        return next(each for each in self.generations if each.status == "serving")

    @property
    def first_model(self) -> str:
        """The model whose vectors events may carry."""
        return self.generations[0].model

    @property
    def refining(self) -> Generation | None:
        """The one whose vectors refine searches; none where it has other passages than the one that serves."""
        mine = [each for each in self.generations if each.refines and each.status in ("building", "ready")]
        return mine[0] if mine and mine[0].options == self.serving.options else None

    def find(self, number: int) -> Generation:
        """Return a generation; `Missing` when there is none of that number."""
        for each in self.generations:
            if each.number == number:
                return each
        known = ", ".join(str(each.number) for each in self.generations)
        raise Missing(f"generation {number}", f"there are {known}: see `penstock knowledge generations`")


def begin(embedder: str, model: str, now_ms: int) -> Catalogue:
    """Return the catalogue of a collection that has its first generation only."""
    first = Generation(1, embedder, model, "serving", begun_ms=now_ms, ready_ms=now_ms, served_ms=now_ms)
    return Catalogue((first,), seen=model)


def built(catalogue: Catalogue, new: Generation, seen: str = "") -> Catalogue:
    """Add a generation that is to be built; its number is given here. `seen`: the settings' model, when they asked for it.

    One is built at a time, and beside it one that refines: its model may be slow enough for that to take days.
    """
    for each in catalogue.generations:
        if new.refines and each.refines and each.status in FOLLOWING:
            hint = f"drop it first: penstock knowledge drop {each.number}"
            raise Refused(f"generation {each.number} refines searches already", hint)
        if each.status == "building" and each.refines == new.refines:
            hint = f"wait for it, or end it: penstock knowledge drop {each.number}"
            raise Refused(f"generation {each.number} is being built", hint)
    live = [each.number for each in catalogue.generations if each.status != "dropped"]
    if len(live) >= LIVE_MAX:
        numbers = ", ".join(map(str, live))
        raise Refused(f"there are {len(live)} generations already ({numbers})", "drop one: penstock knowledge drop")
    number = catalogue.generations[-1].number + 1
    first, newest = (
        catalogue.generations[0],
        catalogue.generations[-KEPT_MAX:],
    )  # the first says whose vectors events carry
    kept = [each for each in catalogue.generations if each is first or each in newest or each.status != "dropped"]
    new = replace(new, number=number, status="building")
    return replace(catalogue, generations=(*kept, new), seen=seen or catalogue.seen)


def readied(catalogue: Catalogue, number: int, now_ms: int) -> Catalogue:
    """A build has everything; one that is none any more stays as it is."""
    if catalogue.find(number).status != "building":
        return catalogue
    return _with(catalogue, number, status="ready", ready_ms=now_ms)


def switched(catalogue: Catalogue, number: int, now_ms: int, grace_ms: int = GRACE_MS, asked_by: str = "") -> Catalogue:
    """Have a generation serve. The one that served stands by for some time, or is dropped where it was only replaced."""
    new, old = catalogue.find(number), catalogue.serving
    if new.number == old.number:
        return catalogue
    require_can_serve(new)
    if new.replaces:
        catalogue = _with(catalogue, old.number, status="dropping")
        before = 0
    else:
        catalogue = _with(catalogue, old.number, status="standby", drop_ms=now_ms + grace_ms)
        before = old.number
    catalogue = _with(
        catalogue, number, status="serving", served_ms=now_ms, drop_ms=0, switch=False, replaces=False, refines=False
    )
    return replace(catalogue, before=before, switched_by=asked_by, held_by="", held_for=0)


def held(catalogue: Catalogue, by: str, number: int) -> Catalogue:
    """Have all workers stop to index, for a generation that is to have all; an empty `by` lets them go on."""
    return replace(catalogue, held_by=by, held_for=number)


def require_can_serve(generation: Generation) -> None:
    """Raise `Refused` unless a generation could take over."""
    match generation.status:
        case "building":
            hint = "wait until it is ready: penstock knowledge generations"
            raise Refused(f"generation {generation.number} is still being built", hint)
        case "dropping" | "dropped":
            raise Refused(f"generation {generation.number} was dropped", "build a new one: penstock knowledge build")
        case _:
            pass


def taken_back(catalogue: Catalogue) -> Generation:
    """Return the generation that served before; `Refused` when there is none any more."""
    if not catalogue.before or catalogue.find(catalogue.before).status != "standby":
        raise Refused("no generation that served before is kept", "switch to another one: penstock knowledge switch")
    return catalogue.find(catalogue.before)


def removed(catalogue: Catalogue, number: int, note: str = "") -> Catalogue:
    """Have a generation dropped, or its build cancelled; that of the one that serves is refused."""
    found = catalogue.find(number)
    if found.status == "serving":
        raise Refused(f"generation {number} serves", "switch to another one first: penstock knowledge switch")
    if found.status in ("dropping", "dropped"):
        return catalogue
    catalogue = _with(catalogue, number, status="dropping", note=note or found.note)
    return replace(catalogue, before=0) if catalogue.before == number else catalogue


def emptied(catalogue: Catalogue, number: int) -> Catalogue:
    """Nothing is left of a generation but its record."""
    return _with(catalogue, number, status="dropped")


def noted(catalogue: Catalogue, number: int, note: str) -> Catalogue:
    """Say something of a generation, for people."""
    return _with(catalogue, number, note=note)


def overdue(catalogue: Catalogue, now_ms: int) -> list[Generation]:
    """Return the generations whose grace is over."""
    return [each for each in catalogue.generations if each.status == "standby" and 0 < each.drop_ms <= now_ms]


def encode(catalogue: Catalogue) -> bytes:
    """Return the stored form (MessagePack)."""
    return msgspec.msgpack.encode(catalogue)


def decode(body: bytes) -> Catalogue:
    """Return a catalogue from its stored form."""
    return msgspec.msgpack.decode(body, type=Catalogue)


def _with(catalogue: Catalogue, number: int, **changes: object) -> Catalogue:
    catalogue.find(number)
    changed = tuple(replace(each, **changes) if each.number == number else each for each in catalogue.generations)
    return replace(catalogue, generations=changed)
