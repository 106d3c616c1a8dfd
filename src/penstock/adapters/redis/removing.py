"""Removing keys of a Redis: those that a test made, known by the prefix of their names."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

from redis import asyncio as redis

BATCH = 500


async def remove_topics(url: str) -> int:
    """Remove all keys that begin with the prefix of an address; return how many there were."""
    return await _remove(url, "{}*")


async def remove_store(url: str) -> int:
    """Remove all keys of a store: they begin with the prefix of its address, as a hash tag."""
    return await _remove(url, "{{{}}}*")


async def _remove(url: str, pattern: str) -> int:
    parts = urlsplit(url)
    prefix = parse_qs(parts.query)["prefix"][-1]
    opened: Any = redis.Redis
    client = opened.from_url(parts._replace(query="").geturl(), socket_connect_timeout=5)
    try:
        count, batch = 0, list[bytes]()
        async for key in client.scan_iter(match=pattern.format(prefix), count=BATCH):
            batch.append(key)
        for first in range(0, len(batch), BATCH):
            count += await client.delete(*batch[first : first + BATCH])
        return count
    finally:
        await client.aclose()
