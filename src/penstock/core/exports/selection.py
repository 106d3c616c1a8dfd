"""Which part of a store is exported, and what of its other rows belongs to it."""

from msgspec import Struct
from msgspec.structs import asdict, replace

from penstock.core.agents.unit import ProgressWrite
from penstock.core.events.envelope import Envelope, Recorded


class Selection(Struct, frozen=True):
    """The events that are meant, and all that belongs to them; nothing given: the whole store. Times are those of events."""

    topic: str | None = None
    run: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    tenant: str | None = None

    @property
    def is_whole(self) -> bool:
        return self == Selection()

    @property
    def has_state(self) -> bool:
        """Whether sessions and values belong to it: they belong to a tenant, and to no topic, run or time."""
        return self == Selection(tenant=self.tenant)

    def chosen(self) -> dict[str, str | int]:
        """Return what was asked for."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def has(self, topic: str, event: Envelope) -> bool:
        """Whether an event is meant, as far as it is not named by a run."""
        return (
            self.topic in (None, topic)
            and self.tenant in (None, event.tenant)
            and (self.since_ms is None or event.time_ms >= self.since_ms)
            and (self.until_ms is None or event.time_ms < self.until_ms)
        )


class Reached:
    """How far each partition was exported: progress beyond that would take events that are yet to come for done."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, int], int] = {}

    def note(self, events: list[Recorded]) -> None:
        for each in events:
            place = each.position
            which = (place.topic, place.partition)
            self._last[which] = max(place.offset, self._last.get(which, 0))

    def bounded(self, progress: ProgressWrite) -> ProgressWrite | None:
        """Return the progress within what was exported; None where nothing was."""
        last = self._last.get((progress.topic, progress.partition))
        if last is None:
            return None
        above = [(first, min(end, last)) for first, end in progress.above if first <= last]
        return replace(progress, low=min(progress.low, last), above=above)
