"""Removing streams of a NATS: those that a test made, known by the prefix of their names."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import nats


async def remove_topics(url: str) -> int:
    """Remove all streams that begin with the prefix of an address; return how many there were."""
    parts = urlsplit(url)
    prefix = parse_qs(parts.query)["prefix"][-1]
    client: Any = nats  # parts of it are not typed
    connection = await client.connect([f"nats://{each}" for each in parts.netloc.split(",")], connect_timeout=5)
    try:
        streams = connection.jetstream()
        names = [each.config.name or "" for each in await streams.streams_info()]
        wanted = [each for each in names if each.startswith(prefix)]
        for each in wanted:
            await streams.delete_stream(each)
        return len(wanted)
    finally:
        await connection.close()
