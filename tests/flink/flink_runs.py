"""What a job of the shop reads, and what it writes by key."""

import json
from collections.abc import Sequence

from shop_on_flink import Ordered

from penstock.core.events.envelope import Envelope
from penstock.core.events.messages import Message, Place, to_event


def orders(count: int, keys: int, *, first: int = 0) -> list[Envelope]:
    """Return orders in the order in which they are made; each hundredth is one that no agent can handle."""
    made: list[Envelope] = []
    for number in range(first, first + count):
        order = Ordered(customer=f"c{number % keys}", number=-1 if number % 100 == 99 else number)
        made.append(
            Envelope(
                f"order-{number}",
                "/tests",
                order.type_,
                order.customer,
                1_767_225_600_000 + number,
                order.encoded(),
                correlation_id=f"order-{number}",
            )
        )
    return made


def by_key(topic: str, messages: Sequence[Message]) -> dict[str, list[tuple[str, dict[str, object]]]]:
    """Return ids and data of events by their keys, in order."""
    found: dict[str, list[tuple[str, dict[str, object]]]] = {}
    for number, message in enumerate(messages):
        event = to_event(message, Place(topic, 0, number))
        found.setdefault(event.key, []).append((event.id, json.loads(event.data)))
    return found
