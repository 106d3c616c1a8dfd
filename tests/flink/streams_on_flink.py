"""An app whose streams do all that a job on Flink carries, and what was recorded for them."""

from collections.abc import Iterable
from random import Random

from penstock import (
    App,
    Context,
    Embedded,
    Event,
    Joined,
    Pair,
    Pane,
    Passage,
    Retry,
    Sessions,
    Sliding,
    StreamOptions,
    Tumbling,
)
from penstock.app import Running
from penstock.runtime.found import Found

BASE_MS = 1_767_225_600_000
DEVICES, ROOMS, READINGS, CHECKS = 6, 3, 240, 120
BOOKS = {"heat": "a boiler that is hot wants water", "leaks": "a valve that leaks is shut", "pumps": "a pump runs"}
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


class Known(Event, key="device", topic="known"):
    device: str
    value: int
    found: list[str]


class Advised(Event, key="device", topic="advised"):
    device: str
    start_ms: int
    texts: list[str]


class Checked(Event, key="device", topic="checked"):
    device: str
    at_ms: int
    number: int


class Confirmed(Event, key="device", topic="confirmed"):
    device: str
    value: int
    number: int


class Agreed(Event, key="device", topic="agreed"):
    device: str
    start_ms: int
    count: int


OUT = (Minute, Smooth, Visit, Missed, Word, Noted, Known, Advised, Agreed)
app = App("recorded")
notes = app.knowledge("notes")
books = app.knowledge("books")
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


def known(joined: Joined[Measured, Found]) -> Known:
    return Known(device=joined.value.device, value=joined.value.value, found=[each.id for each in joined.found])


def advised(pane: Pane[list[Joined[Measured, Found]]]) -> Advised:
    texts = [each.text for joined in pane.value for each in joined.found]
    return Advised(device=pane.key, start_ms=pane.start_ms, texts=texts)


def confirm(pair: Pair[Measured, Checked]) -> Confirmed:
    return Confirmed(device=pair.left.device, value=pair.left.value, number=pair.right.number)


def agreed(pane: Pane[int]) -> Agreed:
    return Agreed(device=pane.key, start_ms=pane.start_ms, count=pane.value)


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
advice = readings.filter(has_note).join(books, "note", limit=2, mode="words")
advice.map(known).to(Known)
advice.window(Tumbling(20), late="drop", name="advice").collect().map(advised).to(Advised)
checks = app.stream(Checked, name="checks", options=once).event_time(
    "at_ms", out_of_order_s=1, idle_s=None, ahead_s_max=None
)
confirmed = readings.join(checks, between_s=(-2, 3), late="drop", name="confirming")
confirmed.map(confirm).to(Confirmed)
confirmed.window(Tumbling(20), name="agreeing").count().map(agreed).to(Agreed)
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


async def with_books(live: Running) -> None:
    """Have the collection filled that the streams search."""
    passages = [Passage(id=name, text=text) for name, text in BOOKS.items()]
    await live.knowledge("books").put(passages, consistency="strong")


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


def checked(seed: int = 7) -> list[Checked]:
    """Return checks of the devices, some too late, and at last one of each that meets its last reading."""
    chance, found = Random(seed), list[Checked]()
    for number in range(CHECKS):
        at_s = number / CHECKS * 90 + chance.uniform(0, 1.5) - (20 if number % 17 == 16 else 0)
        found.append(_checked(number % DEVICES, at_s, number))
    return [*found, *(_checked(device, 9001, CHECKS + device) for device in range(DEVICES))]


def _checked(device: int, at_s: float, number: int) -> Checked:
    return Checked(device=f"d{device}", at_ms=BASE_MS + round(at_s * 1000), number=number)


def _measured(device: int, at_s: float, value: int, note: str) -> Measured:
    at_ms = BASE_MS + round(at_s * 1000)
    return Measured(device=f"d{device}", room=f"r{device % ROOMS}", at_ms=at_ms, value=value, note=note)
