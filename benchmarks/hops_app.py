"""The pipeline on penstock: three agents in a row. Each reads what came, and sends the next event on; nothing else."""

from collections.abc import Callable

from penstock import App, Event


class Entered(Event, key="key", topic="entered"):
    key: str
    number: int
    at_ns: int
    text: str


class Checked(Event, key="key", topic="checked"):
    key: str
    number: int
    at_ns: int
    text: str


class Priced(Event, key="key", topic="priced"):
    key: str
    number: int
    at_ns: int
    text: str


class Left(Event, key="key", topic="left"):
    key: str
    number: int
    at_ns: int
    text: str


def nothing() -> None:
    pass


def pipeline(left: Callable[[], None] = nothing) -> App:
    """Return the app. `left` is called for each event that the last agent handles."""
    made = App("pipeline", events=[Left])

    @made.agent
    async def check(event: Entered) -> Checked:
        return Checked(key=event.key, number=event.number, at_ns=event.at_ns, text=event.text)

    @made.agent
    async def price(event: Checked) -> Priced:
        return Priced(key=event.key, number=event.number, at_ns=event.at_ns, text=event.text)

    @made.agent
    async def leave(event: Priced) -> Left:
        left()
        return Left(key=event.key, number=event.number, at_ns=event.at_ns, text=event.text)

    return made


app = pipeline()
