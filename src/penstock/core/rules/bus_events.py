"""What lies on a bus, and what goes from a rule to a target of it: events of penstock's own, and the document that rules see."""

from typing import Any, Final

from penstock.core.asl.services.bus import Entry, EntryFailed, document_of
from penstock.core.events.envelope import Envelope
from penstock.core.events.event import Event
from penstock.core.events.versions import parsed
from penstock.core.patterns.documents import read_event
from penstock.core.timing.timers import moment_text

OWN_BUS: Final = "app"
"""The bus on which all events of the app itself are."""


class BusEvent(Event, topic="penstock-bus"):
    """An event that was put on a bus: by a state machine, over HTTP, or by the app."""

    bus: str
    source: str
    detail_type: str
    detail: str  # a JSON object
    resources: tuple[str, ...] = ()
    time_ms: int = 0  # what its sender says; 0: when it came


class TargetDue(Event, topic="penstock-targets", key="key"):
    """A target of a rule is to get something of an event that the rule matched."""

    target: str  # the agent that stands for it
    key: str  # what orders the calls of a target
    document: dict[str, Any]  # the event as the rule saw it


def own_refused(entry: Entry | EntryFailed) -> Entry | EntryFailed:
    """Refuse an entry for the bus that nobody but the app itself puts events on."""
    if isinstance(entry, Entry) and entry.bus == OWN_BUS:
        problem = f"Parameter EventBusName is not valid. Reason: {OWN_BUS!r} is the bus of the app's own events."
        return EntryFailed("InvalidArgument", problem)
    return entry


def put_event(entry: Entry) -> BusEvent:
    """Return an entry as the event that lies on the bus."""
    return BusEvent(
        bus=entry.bus,
        source=entry.source,
        detail_type=entry.detail_type,
        detail=entry.detail,
        resources=entry.resources,
        time_ms=entry.time_ms or 0,
    )


def seen_on_bus(event: BusEvent, envelope: Envelope) -> dict[str, Any]:
    """Return what rules see of an event that was put on a bus."""
    entry = Entry(source=event.source, detail_type=event.detail_type, detail=event.detail, resources=event.resources)
    time = moment_text(event.time_ms or envelope.time_ms)
    return document_of(entry, id=envelope.id, time=time, account=envelope.tenant)


def seen_in_app(envelope: Envelope) -> dict[str, Any]:
    """Return what rules of the app's own bus see of one of its events.

    `detail-type` is its class, `source` the app, and the agent that emitted it behind a dot: `shop.answer`.
    """
    named = parsed(envelope.type)
    return {
        "version": "0",
        "id": envelope.id,
        "detail-type": envelope.type if named is None else named[0],
        "source": envelope.source.strip("/").replace("/", "."),
        "account": envelope.tenant,
        "time": moment_text(envelope.time_ms),
        "region": "",
        "resources": [],
        "detail": read_event(envelope.data),
    }
