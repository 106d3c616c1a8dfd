"""What is asked of a table: an event of penstock's own, in order per item."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final

from penstock.core.events.event import Event
from penstock.core.tables.schema import Schema, place_of
from penstock.core.tables.values import Item

PLACE_BYTES_MAX: Final = 512


class TableCalled(Event, topic="penstock-tables", key="place"):
    """A call of GetItem, PutItem, UpdateItem or DeleteItem, for one item."""

    place: str
    table: str
    action: str
    request: dict[str, Any]


def table_call(schema: Schema, action: str, request: Mapping[str, Any], key: Item) -> TableCalled:
    """Return the event that asks for a call on the item with a key."""
    place = place_of(schema.name, key)
    if len(place.encode()) > PLACE_BYTES_MAX:
        place = f"{schema.name}/{blake2b(place.encode(), digest_size=16).hexdigest()}"
    return TableCalled(place=place, table=schema.name, action=action, request=dict(request))
