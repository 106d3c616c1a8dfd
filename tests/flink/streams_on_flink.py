"""An app whose streams do all that a job on Flink carries, and what was recorded for them."""

from collections.abc import Iterable
from random import Random

from penstock import App, Context, Embedded, Event, Pane, Retry, Sessions, Sliding, StreamOptions, Tumbling

BASE_MS = 1_767_225_600_000
DEVICES, ROOMS, READINGS = 6, 3, 240
NOTES = ["the boiler is hot", "a valve leaks water", "the pump runs dry", "all is well in here"]


class Measured(Event, key="device", topic="measured"):
    device: str
    room: str
    at_ms: int
    value: int
    note: str = ""


class Minute(Event, key="device", topic="minutes"):
    device: str
    start_ms: int
    count: int
    number: int


class Smooth(Event, key="device", topic="smoothed"):
    device: str
    start_ms: int
    total: int


class Visit(Event, key="room", topic="visits"):
    room: str
    start_ms: int
    end_ms: int
    values: list[int]


class Missed(Event, key="device", topic="missed"):
    device: str
    value: int


class Word(Event, key="device", topic="words"):
    device: str
    word: str


class Noted(Event, key="device", topic="noted"):
    device: str
    note: str
    dims: int


class Told(Event, key="device", topic="told"):
    device: str
    found: list[str]


OUT = (Minute, Smooth, Visit, Missed, Word, Noted)
app = App("recorded")
notes = app.knowledge("notes")
once = StreamOptions(retry=Retry(attempts_max=1))


async def is_right(reading: Measured) -> bool:
    return reading.value >= 0


def has_note(reading: Measured) -> bool:
    return bool(reading.note)


def words(reading: Measured) -> Iterable[Word]:
    return [Word(device=reading.device, word=each) for each in reading.note.split()]


def minute(pane: Pane[int]) -> Minute:
    return Minute(device=pane.key, start_ms=pane.start_ms, count=pane.value, number=pane.number)


def added(total: int, reading: Measured) -> int:
    return total + reading.value


def smooth(pane: Pane[int]) -> Smooth:
    return Smooth(device=pane.key, start_ms=pane.start_ms, total=pane.value)


def visit(pane: Pane[list[Measured]]) -> Visit:
    values = sorted(each.value for each in pane.value)  # they come from several devices, whose events have no order
    return Visit(room=pane.key, start_ms=pane.start_ms, end_ms=pane.end_ms, values=values)


def missed(reading: Measured) -> Missed:
    return Missed(device=reading.device, value=reading.value)


def noted(embedded: Embedded[Measured]) -> Noted:
    return Noted(device=embedded.value.device, note=embedded.value.note, dims=len(embedded.vector))


def passage_id(embedded: Embedded[Measured]) -> str:
    return f"{embedded.value.device}-{embedded.value.value}"


def about(embedded: Embedded[Measured]) -> dict[str, str]:
    return {"room": embedded.value.room}


timed = app.stream(Measured, name="readings", options=once)
readings = timed.event_time("at_ms", out_of_order_s=3, idle_s=None, ahead_s_max=None).filter(is_right)
minutes = readings.window(Tumbling(10), lateness_s=5, name="minutes")
minutes.count().map(minute).to(Minute)
minutes.late().map(missed).to(Missed)
readings.window(Sliding(20, every_s=10), late="drop", name="sliding").fold(int, added).map(smooth).to(Smooth)
readings.flat_map(words).to(Word)
readings.filter(has_note).embed(notes, "note").index(notes, id=passage_id, text="value.note", metadata=about).map(
    noted
).to(Noted)
# Here nothing is late, in whatever order the devices of a room come.
loose = app.stream(Measured, name="rooms", options=once).event_time(
    "at_ms", out_of_order_s=3000, idle_s=None, ahead_s_max=None
)
loose.filter(is_right).key_by("room").window(Sessions(4), late="drop").collect().map(visit).to(Visit)


@app.agent
async def tell(event: Noted, ctx: Context) -> Told:
    """Search: what a job cannot do, and an agent beside it does."""
    found = await notes.search(event.note, limit=1, mode="words")
    return Told(device=event.device, found=[each.id for each in found])


def recorded(seed: int = 5) -> list[Measured]:
    """Return readings out of order, some too late, some wrong, and at last one of each device that closes all windows.

    The last ones close those of a room: they must come when all others have.
    """
    chance, found = Random(seed), list[Measured]()
    for number in range(READINGS):
        device = number % DEVICES
        at_s = number / DEVICES * 1.5 + chance.uniform(0, 2.5) + (30 if (number // 40) % 2 else 0)
        if number % 37 == 36:
            at_s -= 25
        value = -1 if number % 29 == 28 else number
        note = NOTES[number % len(NOTES)] if number % 5 == 0 else ""
        found.append(_measured(device, at_s, value, note))
    return [*found, *(_measured(device, 9000, READINGS + device, "") for device in range(DEVICES))]


def _measured(device: int, at_s: float, value: int, note: str) -> Measured:
    at_ms = BASE_MS + round(at_s * 1000)
    return Measured(device=f"d{device}", room=f"r{device % ROOMS}", at_ms=at_ms, value=value, note=note)
