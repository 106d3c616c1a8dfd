"""Whether the answer to an event is on the disk: in the log, or on its way to it, where it is found by its id alone."""

from collections.abc import Sequence

from penstock.core.events.envelope import Recorded, emitted_id, run_id
from penstock.wiring import Catalog

EMITTED_MAX = 12  # numbers of events that a run of these apps may emit


async def is_answered(catalog: Catalog, event_id: str, agents: Sequence[str], types: Sequence[str]) -> bool:
    """Whether an event of one of some types has followed from an event by way of these agents, one after the other."""
    if any(each.event.type in types for each in await catalog.origin(event_id)):
        return True
    last = [event_id]
    found: list[Recorded] = []
    for agent in agents:
        found = [more for each in last for more in await _emitted(catalog, run_id(each, agent), event_id)]
        last = [each.event.id for each in found]
    return any(each.event.type in types for each in found)


async def _emitted(catalog: Catalog, run: str, origin: str) -> list[Recorded]:
    found = [await catalog.event(emitted_id(run, origin, number)) for number in range(EMITTED_MAX)]
    return [each for each in found if each is not None]
