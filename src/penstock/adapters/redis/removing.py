"""Removing keys of a Redis: those that a test made, known by the prefix of their names."""

from typing import Any

from redis import asyncio as redis
from redis.exceptions import RedisError

from penstock.adapters.redis.address import address_of
from penstock.adapters.redis.errors import error_of

BATCH = 500
CONNECT_S = 5.0
ANSWER_S = 10.0


async def remove_topics(url: str) -> int:
    """Remove all keys that begin with the prefix of an address; return how many there were."""
    return await _remove(url, "{}*")


async def remove_store(url: str) -> int:
    """Remove all keys of a store: they begin with the prefix of its address, as a hash tag."""
    return await _remove(url, "{{{}}}*")


async def _remove(url: str, pattern: str) -> int:
    address = address_of(url)
    opened: Any = redis.Redis
    client = opened(**address.connecting, socket_connect_timeout=CONNECT_S, socket_timeout=ANSWER_S)
    try:
        count, batch = 0, list[bytes]()
        async for key in client.scan_iter(match=pattern.format(address.prefix), count=BATCH):
            batch.append(key)
        for first in range(0, len(batch), BATCH):
            count += await client.delete(*batch[first : first + BATCH])
    except (RedisError, OSError) as error:
        raise error_of("remove keys", error) from error
    else:
        return count
    finally:
        await client.aclose()
