"""Removing topics of a Kafka: those that a test made, known by the prefix of their names."""

import asyncio
from typing import Any

from confluent_kafka import KafkaException, admin

from penstock.adapters.kafka.address import address_of
from penstock.adapters.kafka.errors import Complaints, of_exception

ANSWER_S = 10.0


async def remove_topics(url: str) -> int:
    """Remove all topics that begin with the prefix of an address, and its group; return how many topics there were."""
    return await asyncio.to_thread(_remove, url)


def _remove(url: str) -> int:
    address, complaints = address_of(url), Complaints()
    settings: dict[str, Any] = dict(address.settings) | {"error_cb": complaints, "log_level": 0}
    client: Any = admin.AdminClient(settings)
    try:
        names = [each for each in client.list_topics(timeout=ANSWER_S).topics if each.startswith(address.prefix)]
        if names:
            for removed in client.delete_topics(names, operation_timeout=ANSWER_S).values():
                removed.result(2 * ANSWER_S)
    except KafkaException as error:
        raise of_exception(complaints, "remove topics", error) from error
    try:
        client.delete_consumer_groups([address.group])[address.group].result(ANSWER_S)
    except KafkaException:
        return len(names)  # nobody has told it anything
    return len(names)
