"""Events that are put on a bus from outside: by callers of a running app, and over HTTP."""

from penstock.core.asl.services import bus
from penstock.core.asl.services.problems import identity
from penstock.core.asl.values import Json
from penstock.core.rules.bus_events import own_refused, put_event
from penstock.errors import Finding, Invalid
from penstock.runtime.engine import Engine


class ForBuses:
    """The door to an app's buses."""

    __slots__ = ()
    engine: Engine

    async def put_events(self, entries: Json, *, id: str | None = None, tenant: str = "default") -> dict[str, Json]:
        """Put up to 10 events on buses, as EventBridge's PutEvents: `[{"Source", "DetailType", "Detail", "EventBusName"}]`.

        Returns `{"FailedEntryCount", "Entries"}` once what was taken is durable: an id for each event, or why it was not taken.
        The same `id` twice is one call. Raises `Invalid` for what is no list of entries.
        """
        if not isinstance(entries, list) or not 0 < len(entries) <= bus.ENTRIES_MAX:
            finding = Finding("Entries", "is no list of entries", f"1 to {bus.ENTRIES_MAX} of them")
            raise Invalid("the events", (finding,))
        read = [own_refused(each) for each in bus.entries_of(entries)]
        call = id or self.engine.services.clock.new_id()
        ids = [f"{call}~{number}" for number, _ in enumerate(read)]
        for event_id, entry in zip(ids, read, strict=True):
            if isinstance(entry, bus.Entry):
                await self.engine.send(put_event(entry), id=event_id, tenant=tenant)
        return bus.put(read, [identity("entry", each) for each in ids])
